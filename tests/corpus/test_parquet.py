"""A Parquet file has the records of the lines that it is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt2_sampler.errors import SamplerError
from tests.corpus.test_run import NAMES, begin, complete, growing, jobs


def test_a_table_has_the_same_records(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    lines, table = tmp_path / NAMES[0], tmp_path / NAMES[2]
    complete(lines)
    complete(table)
    rows = parquet.read_table(table).to_pylist()
    for line, row in zip(lines.open(), rows, strict=True):
        assert json.loads(line) == row


def test_a_damaged_table_costs_nothing_that_is_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = tmp_path / NAMES[2]
    complete(table)
    growing(table).write_text("all there is")
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(SamplerError, match="cannot be read"):
        begin(table, jobs())
    assert growing(table).read_text() == "all there is"
