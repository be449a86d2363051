"""Wherever a run is stopped, the next one makes the file that an undisturbed run makes."""

from __future__ import annotations

import dataclasses
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gpt2_sampler.corpus.jobs import Job
from gpt2_sampler.corpus.prompts import Id
from gpt2_sampler.corpus.records import MEMBER
from gpt2_sampler.corpus.run import Run, check_name, meta_path
from gpt2_sampler.corpus.write import Written, describe
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import SamplerError, UsageError

N = 2 * MEMBER + 5
SETTINGS = {"seed": 3, "top_k": 40, "stop": ("a", "b")}
IDS: list[Id] = ["a", 1.5, True, 7]
NAMES = ["a.jsonl", "a.jsonl.gz", "a.parquet"]


def jobs(n: int = N, seed: int = 3) -> list[Job]:
    return [
        Job(k, k, seed, (1,), 5, Sampling(), prompt=f"König {k}", settings={"top_k": k})
        for k in range(n)
    ]


def pieces(jobs: Iterator[Job], sizes: Sequence[int] = (3, 0, 1, 7)) -> Iterator[Written]:
    """Each record's text is made of its id, and some pieces have several."""
    left = list(jobs)
    while left:
        for size in sizes:
            taken, left = left[:size], left[size:]
            records = [
                {"id": j.id, "ended": True, "length": 3, "text": f"é {j.id}\n" * 9}
                | {**describe(j), "why": "end of text"}
                for j in taken
            ]
            yield Written(3 * size, records)


def begin(path: Path, jobs: list[Job], **settings: Any) -> Run:
    return Run(path, {"settings": SETTINGS | settings, "versions": {}}, jobs)


def complete(path: Path, n: int = N, **options: Any) -> bytes:
    run = begin(path, jobs(n))
    if not run.finished:
        for _ in run.write(pieces(run.jobs, **options)):
            pass
    run.close()
    return path.read_bytes()


def growing(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished.jsonl") if path.suffix == ".parquet" else path


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param.endswith("parquet"):
        pytest.importorskip("pyarrow")
    return tmp_path / request.param


def test_however_the_end_is_torn_the_bytes_are_those_of_one_run(path: Path) -> None:
    other = path.with_name(f"other-{path.name}")
    expected = complete(other)
    run = begin(path, jobs())
    for piece in run.write(pieces(run.jobs)):
        if any(record["id"] == N - 1 for record in piece.records):
            break
    run = begin(path, jobs())  # closed, so that all lines are there
    whole = growing(path).read_bytes()
    del run
    for n in {0, 1, 2, 60, 300, len(whole) // 3, len(whole) // 2, len(whole) - 1, len(whole)}:
        path.unlink(missing_ok=True)
        growing(path).write_bytes(whole[:n])
        assert complete(path, sizes=(1,)) == expected, n
        assert meta_path(path).read_bytes() == meta_path(other).read_bytes()
        names = {path.name, meta_path(path).name}
        assert {p.name for p in path.parent.iterdir() if not p.name.startswith("other")} == names


def test_a_stop_between_two_pieces_loses_no_record(path: Path) -> None:
    run = begin(path, jobs())
    writing = run.write(pieces(run.jobs))
    for _ in range(9):
        next(writing)
    n_records = run.done
    writing.close()  # as an exception does
    assert begin(path, jobs()).done == n_records > 0


def test_a_finished_run_is_recognised_and_left_alone(path: Path) -> None:
    content = complete(path)
    before = path.stat().st_mtime_ns
    run = begin(path, jobs())
    assert (run.finished, run.done) == (True, N)
    run.close()
    assert path.read_bytes() == content
    assert path.stat().st_mtime_ns == before


def test_more_samples_of_the_same_set_are_added(path: Path) -> None:
    if path.suffix == ".parquet":
        complete(path)
        with pytest.raises(UsageError, match=f"complete with {N} records; a Parquet file"):
            begin(path, jobs(N + 9))
        return
    complete(path)
    assert complete(path, N + 9) == complete(path.with_name(f"other-{path.name}"), N + 9)


def test_other_settings_are_refused_by_name_and_change_nothing(path: Path) -> None:
    content = complete(path)
    with pytest.raises(UsageError, match=f"{path.name} was made with top_k 40, not 41"):
        begin(path, jobs(), top_k=41)
    with pytest.raises(UsageError, match="was made with device None, not 'gpu'"):
        begin(path, jobs(), device="gpu")
    with pytest.raises(UsageError, match=r"made with prompt 'König 0' in record 1, not None"):
        begin(path, [Job(0, 0, 3, (1,), 5, Sampling())])
    with pytest.raises(UsageError, match=f"has more than the {N - 1} records"):
        begin(path, jobs(N - 1))
    assert path.read_bytes() == content


def test_a_file_of_somebody_elses_is_not_touched(path: Path) -> None:
    path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists and has no"):
        begin(path, jobs())
    assert path.read_bytes() == b"mine"
    assert list(path.parent.iterdir()) == [path]


def test_damage_in_the_middle_is_told_and_nothing_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    content = bytearray(complete(path))
    content[content.index(b"\n") + 1] = ord("x")
    path.write_bytes(content)
    for damaged in (bytes(content), content[: content.index(b"\n") + 1] + b"[" * 10**5 + b"\n"):
        path.write_bytes(damaged)
        with pytest.raises(SamplerError, match="damaged after its first 1 records"):
            begin(path, jobs())
        assert path.read_bytes() == damaged
    path.write_bytes(content.replace(b"x", b"{").replace(b"\\n", b"\0\0", 1))
    with pytest.raises(SamplerError, match="damaged after its first 0 records"):
        begin(path, jobs())
    packed = tmp_path / NAMES[1]
    content = bytearray(complete(packed))
    content[len(content) // 2] ^= 255
    packed.write_bytes(content)
    with pytest.raises(SamplerError, match="damaged after its first"):
        begin(packed, jobs())
    assert packed.read_bytes() == content


@pytest.mark.parametrize("meta", ['{"settings": []}', '{"model": "demo"}', "[]", "{", "[" * 10**5])
def test_notes_that_are_damaged_are_told(tmp_path: Path, meta: str) -> None:
    path = tmp_path / NAMES[0]
    complete(path)
    path.with_name(f"{path.name}.meta.json").write_text(meta)
    with pytest.raises(SamplerError, match=r"meta.json is "):
        begin(path, jobs())


def test_a_place_for_all_its_files_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.meta.json").mkdir()
    for name in ("a.jsonl", f"{'long' * 60}.jsonl"):
        with pytest.raises(UsageError, match="cannot be"):
            check_name(tmp_path / name)


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / NAMES[0]
    program = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.flock(f, fcntl.LOCK_EX)"
    program += "; print('mine', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match="another process is writing"):
            begin(path, jobs())
        other.communicate(b"")
    begin(path, jobs())


def test_a_second_process_that_is_refused_changes_nothing(path: Path) -> None:
    writing = begin(path, jobs()).write(pieces(iter(jobs())))
    next(writing)
    there = {one: one.read_bytes() for one in path.parent.iterdir()}
    with pytest.raises(UsageError, match="another process is writing"):
        begin(path, jobs(seed=4), seed=4)
    assert {one: one.read_bytes() for one in path.parent.iterdir()} == there
    writing.close()
    meta_path(path).unlink()
    with pytest.raises(UsageError, match="exists and has no"):
        begin(path, jobs())
    assert sorted(path.parent.iterdir()) == [growing(path)]


@pytest.mark.parametrize("harm", ["remove", "rename", "replace", "empty", "add"])
def test_an_output_that_others_take_or_change_is_never_complete(path: Path, harm: str) -> None:
    run = begin(path, jobs())
    growth = growing(path)
    with pytest.raises(SamplerError, match="while records were added to it"):
        for n, _ in enumerate(run.write(pieces(run.jobs))):
            if n == 12:
                if harm == "rename":
                    growth.rename(growth.with_name("other"))
                elif harm in ("remove", "replace"):
                    growth.unlink()
                if harm == "replace":
                    growth.write_text("mine")
                elif harm in ("empty", "add"):
                    with growth.open("w" if harm == "empty" else "a") as file:
                        file.write("" if harm == "empty" else "mine")
        run.close()


def test_records_of_ids_of_any_kind_are_resumed_and_become_a_table(tmp_path: Path) -> None:
    path = tmp_path / NAMES[2]
    parquet = pytest.importorskip("pyarrow.parquet")
    asked = [dataclasses.replace(job, id=id) for job, id in zip(jobs(4), IDS, strict=True)]
    run = begin(path, asked)
    writing = run.write(pieces(run.jobs, (2,)))
    next(writing)
    writing.close()
    run = begin(path, asked)
    assert run.done == 2
    for _ in run.write(pieces(run.jobs)):
        pass
    run.close()
    assert parquet.read_table(path)["id"].to_pylist() == ["a", "1.5", "true", "7"]
    assert begin(path, asked).finished


def test_any_program_can_read_the_lines(tmp_path: Path) -> None:
    plain, packed = (tmp_path / name for name in NAMES[:2])
    assert gzip.decompress(complete(packed)) == complete(plain)
    assert plain.read_bytes().isascii()
    records = [json.loads(line) for line in plain.open()]
    assert [record["text"] for record in records] == [f"é {k}\n" * 9 for k in range(N)]
