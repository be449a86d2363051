"""Other programs read all records, even where the first that differs comes after megabytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt2_sampler.corpus.jobs import Job
from gpt2_sampler.corpus.run import Run
from gpt2_sampler.corpus.write import Written, describe
from gpt2_sampler.decoding.sampling import Sampling
from tests.readers import load_with_datasets

N, LONG = 120, "é" * 20_000  # 14 MB as JSON, more than datasets and pyarrow look at to decide
DIFFERENT = {"settings": {"top_k": 3}, "extra": {"label": "x"}, "left_out": 9, "problem": "no text"}


def asked() -> list[Job]:
    alike = [Job(n, 0, 3, (1,), 5, Sampling(), "Once") for n in range(N - 1)]
    return [*alike, Job(N - 1, 0, 3, (1,), 5, Sampling(), "Once", **DIFFERENT)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lines") / "a.jsonl")


def write(path: Path) -> Path:
    run = Run(path, {"settings": {}}, asked())
    records = [
        {"id": job.id, "ended": False, "length": 5, "text": LONG, **describe(job), "why": ""}
        for job in run.jobs
    ]
    for _ in run.write([Written(0, records)]):
        pass
    run.close()
    return path


def check(ids: list[int], last: dict[str, object]) -> None:
    assert ids == list(range(N))
    assert json.loads(str(last["settings"])) == DIFFERENT["settings"]
    assert json.loads(str(last["extra"])) == DIFFERENT["extra"]
    assert (last["left_out"], last["error"], last["text"]) == (9, "no text", LONG)


def test_datasets_reads_all_records(
    lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_with_datasets(lines, tmp_path, monkeypatch)
    check(found["id"][:], found[-1])


def test_pandas_reads_all_records(lines: Path) -> None:
    pandas = pytest.importorskip("pandas")
    found = pandas.read_json(lines, lines=True)
    check(list(found["id"]), found.iloc[-1].to_dict())


def test_polars_reads_all_records(lines: Path) -> None:
    polars = pytest.importorskip("polars")
    found = polars.read_ndjson(lines, infer_schema_length=10)
    check(found["id"].to_list(), found.row(-1, named=True))


def test_duckdb_reads_all_records(lines: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"select * from read_json('{lines}', sample_size=10) order by id")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    check([row["id"] for row in rows], rows[-1])


def test_pyarrow_reads_all_records(lines: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.json
    import pyarrow.parquet

    of_lines = pyarrow.json.read_json(lines)
    table = pyarrow.parquet.read_table(write(tmp_path / "a.parquet"))
    for found in (of_lines, table):
        check(found["id"].to_pylist(), found.slice(N - 1).to_pylist()[0])
    assert table.column_names == of_lines.column_names
