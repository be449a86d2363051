"""Records -> a Parquet file, and back. Needs pyarrow; knows no model.

A Parquet file has its table of contents at the end, so it cannot grow. A run writes lines, which
become a table when it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from gpt2_sampler.corpus.write import Record
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.writing import written

GROUP = 4096  # records of a row group


def require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise SamplerError(
            "Parquet files need pyarrow, which is not installed", package="pyarrow"
        ) from None


def write_table(path: Path, records: Iterable[Record]) -> None:
    """Writes all columns, with null for what a record does not have. Raises SamplerError."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        {
            "id": pyarrow.int64(),
            "ended": pyarrow.bool_(),
            "length": pyarrow.int64(),
            "text": pyarrow.string(),
            "prompt": pyarrow.string(),
            "seed": pyarrow.int64(),
            "sample": pyarrow.int64(),
            "settings": pyarrow.string(),
            "left_out": pyarrow.int64(),
            "why": pyarrow.string(),
            "error": pyarrow.string(),
            "tokens": pyarrow.list_(pyarrow.int32()),
            "logprobs": pyarrow.list_(pyarrow.float64()),
        }
    )
    rows = iter(records)
    with written(path) as new, pyarrow.parquet.ParquetWriter(new, schema) as file:
        while group := [flat(record) for record in islice(rows, GROUP)]:
            file.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def flat(record: Record) -> Record:
    """The record with its prompt's own settings, whose names vary, as JSON text."""
    settings = record.get("settings")
    return {**record, "settings": None if settings is None else json.dumps(settings)}


def read_table(path: Path) -> Iterator[Record]:
    """The records, without what is null. Raises SamplerError."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP):
                for row in batch.to_pylist():
                    record = {name: value for name, value in row.items() if value is not None}
                    if "settings" in record:
                        record["settings"] = json.loads(record["settings"])
                    yield record
    except (OSError, pyarrow.ArrowException) as problem:
        raise SamplerError(f"{path} cannot be read ({problem})") from None
