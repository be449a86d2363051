"""Records -> a Parquet file, and back. Needs pyarrow; knows no model.

A Parquet file has its table of contents at the end, so it cannot grow. A run writes lines, which
become a table when it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from gpt2_sampler.corpus.prompts import Id
from gpt2_sampler.corpus.write import Record
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.packages import require
from gpt2_sampler.writing import write_whole

GROUP = 4096  # records of a row group


def require_pyarrow() -> None:
    require("pyarrow", "Parquet files need")


def write_table(path: Path, records: Iterable[Record], all_whole: bool) -> None:
    """Writes the columns that the first record has; id is a column of whole
    numbers if all are, or else of texts. Raises SamplerError."""
    import pyarrow
    import pyarrow.parquet

    types = {
        "id": pyarrow.int64() if all_whole else pyarrow.string(),
        "ended": pyarrow.bool_(),
        "length": pyarrow.int64(),
        "text": pyarrow.string(),
        "prompt": pyarrow.string(),
        "seed": pyarrow.int64(),
        "sample": pyarrow.int64(),
        "settings": pyarrow.string(),
        "extra": pyarrow.string(),
        "left_out": pyarrow.int64(),
        "why": pyarrow.string(),
        "error": pyarrow.string(),
        "tokens": pyarrow.list_(pyarrow.int32()),
        "logprobs": pyarrow.list_(pyarrow.float64()),
    }
    rows = iter(records)
    first = list(islice(rows, 1))
    names = first[0] if first else types
    schema = pyarrow.schema({name: types[name] for name in names})
    rows = chain(first, rows)
    with write_whole(path) as new, pyarrow.parquet.ParquetWriter(new, schema) as file:
        while group := [{**r, "id": cell(r["id"], all_whole)} for r in islice(rows, GROUP)]:
            file.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def cell(id: Id, whole: bool) -> Id:
    """An id as a table has it, whose column holds whole numbers or else texts."""
    return id if whole or isinstance(id, str) else json.dumps(id)


def read_table(path: Path) -> Iterator[Record]:
    """The records, without what is null. Raises SamplerError."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP):
                for row in batch.to_pylist():
                    yield {name: value for name, value in row.items() if value is not None}
    except (OSError, pyarrow.ArrowException) as problem:
        raise SamplerError(f"{path} cannot be read ({problem})") from None
