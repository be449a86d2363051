"""A file's name and the jobs for it -> the file, resumed where an earlier run ended.

NAME.meta.json beside it holds what all its records have in common. Knows no engine.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler.corpus.jobs import Job
from gpt2_sampler.corpus.parquet import cell, read_table, require_pyarrow, write_table
from gpt2_sampler.corpus.prompts import Id
from gpt2_sampler.corpus.records import GzipLines, PlainLines
from gpt2_sampler.corpus.write import (
    DESCRIBING,
    Record,
    Written,
    describe,
    has_failed,
    is_line_of,
)
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import read_object, require_place
from gpt2_sampler.writing import write_whole

Meta = Mapping[str, Any]
"""Under "settings" what the records depend on, by name; and whatever else is good to know."""
KINDS = (".jsonl", ".jsonl.gz", ".parquet")


def check_name(path: Path) -> None:
    """Raises UsageError for a name of an unknown kind, SamplerError if its library is missing."""
    if not path.name.endswith(KINDS):
        raise UsageError(f"the name of {path} must end in one of {', '.join(KINDS)}")
    for one in files_of_run(path):
        require_place(one)
    if path.suffix == ".parquet":
        require_pyarrow()


def files_of_run(path: Path) -> list[Path]:
    """All files that a run writes."""
    return list(dict.fromkeys((path, meta_path(path), growing_path(path))))


def meta_path(path: Path) -> Path:
    return path.parent / f"{path.name}.meta.json"


def growing_path(path: Path) -> Path:
    """The file that grows until the one at the path can be written."""
    return path.with_name(f"{path.name}.unfinished.jsonl") if path.suffix == ".parquet" else path


def read_meta(path: Path) -> Meta | None:
    """What an earlier run has written, if any. Raises SamplerError if it is damaged."""
    meta = meta_path(path)
    if not meta.exists():
        return None
    found = read_object(meta, error=SamplerError)
    for name in ("model", "settings"):
        if not isinstance(found.get(name, {}), dict):
            raise SamplerError(f"{meta} is damaged: its {name} is not a JSON object")
    return found


class Run:
    """A file of records that is being written."""

    def __init__(self, path: Path, meta: Meta, jobs: Iterable[Job]) -> None:
        """Finds out where an earlier run ended. Refuses another run's file, naming the difference.
        Raises UsageError, SamplerError."""
        meta = json.loads(json.dumps(meta))
        self.path = path
        self.is_table = path.suffix == ".parquet"
        self._growing = growing_path(path)
        self._jobs = iter(jobs)
        self.done = self.failed = 0
        """How many records are in the file, and how many of them have no text but an error."""
        self._all_whole = True
        """Whether all their ids are whole numbers."""
        made = not self._growing.exists()
        # Nothing is looked at or written before this process has the file for itself.
        self._lines = (GzipLines if path.suffix == ".gz" else PlainLines)(self._growing)
        try:
            whole = self._begin(meta)
        except BaseException:
            self._lines.release()
            if made:
                self._growing.unlink(missing_ok=True)
            raise
        rest = next(self._jobs, None)
        self.finished = rest is None
        """Whether nothing is left to write."""
        if whole and not self.finished:
            raise UsageError(
                f"{path} is complete with {self.done} records; a Parquet file cannot grow",
                change=["output"],
            )
        self.jobs: Iterator[Job] = itertools.chain([] if rest is None else [rest], self._jobs)
        """Those that are left."""

    def _begin(self, meta: Meta) -> bool:
        """Passes the records that are there -> whether they are a table that is complete."""
        path, whole = self.path, self.is_table and self.path.exists()
        before = read_meta(path)
        if whole or self._growing.stat().st_size:
            if before is None:
                raise UsageError(
                    f"{path} exists and has no {meta_path(path).name}", change=["output"]
                )
            require_same_model(path, before, meta)
            require_same(path, before.get("settings", {}), meta["settings"])
        else:
            write_meta(path, meta)
        if not whole:
            self._pass_lines()
            return False
        self._pass_table()  # if it is damaged, the other may be all there is
        self._growing.unlink()  # empty, or left by a run that was killed at its very end
        self._lines.release()
        return True

    def write(self, steps: Iterable[Written]) -> Generator[Written, None, None]:
        """Writes the records of each step, and then yields it."""
        try:
            for step in steps:
                self._lines.write(step.records)
                for record in step.records:
                    self._count(record["id"], has_failed(record))
                yield step
        finally:
            self._lines.close()

    def close(self) -> None:
        """To be called when everything is written."""
        self._lines.close()
        if self.is_table and not self.path.exists():
            lines = PlainLines(self._growing)
            write_table(self.path, self._all_of(lines), self._all_whole)
            self._growing.unlink()
            lines.release()

    def _all_of(self, lines: PlainLines) -> Iterator[Record]:
        """Its records, unless some were lost since they were counted."""
        n_records = 0
        for record in lines.read():
            yield record
            n_records += 1
        if n_records != self.done:
            raise SamplerError(f"{self._growing} has {n_records} of {self.done} records")

    def _pass_lines(self) -> None:
        """Compares the records in the file with the jobs for them."""
        for number, line in enumerate(self._lines.read_lines()):
            job = self._next_job()
            if not is_line_of(line, job):
                self._require(self._lines.record_of(line, number), job, job.id)
            self._count(job.id, failed=bool(job.problem))

    def _pass_table(self) -> None:
        for record in read_table(self.path):
            job = self._next_job()
            self._require(record, job, cell(job.id, whole=type(record.get("id")) is int))
            self._count(record["id"], failed=has_failed(record))

    def _next_job(self) -> Job:
        job = next(self._jobs, None)
        if job is None:
            raise UsageError(
                f"{self.path} has more than the {self.done} records that were asked for",
                change=["output"],
            )
        return job

    def _require(self, record: Record, job: Job, id: Id) -> None:
        asked = {"id": id, **dict.fromkeys(DESCRIBING), **describe(job)}
        require_same(self.path, record, asked, f" in record {self.done + 1}")

    def _count(self, id: Id, failed: bool) -> None:
        self.done += 1
        self.failed += failed
        self._all_whole = self._all_whole and type(id) is int


def write_meta(path: Path, meta: Meta) -> None:
    with write_whole(meta_path(path)) as new:
        new.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def require_same_model(path: Path, there: Meta, asked: Meta) -> None:
    """Raises UsageError, naming both models, for a file that another one has made."""
    name, before, now = "fingerprint", there.get("settings", {}), asked["settings"]
    if before.get(name) != now.get(name):
        models = [
            f"{meta.get('model', {}).get('path')} ({name} {settings.get(name)!s:.16})"
            for meta, settings in ((there, before), (asked, now))
        ]
        raise UsageError(
            f"{path} was made with the model {models[0]}, not {models[1]}", change=["output"]
        )


def require_same(path: Path, there: Meta, asked: Meta, where: str = "") -> None:
    """Raises UsageError, naming the first value asked for that the file does not have."""
    for name, value in asked.items():
        if there.get(name) != value:
            made = f"{path} was made with {name} {there.get(name)!r:.60}"
            raise UsageError(f"{made}{where}, not {value!r:.60}", change=["output"])
