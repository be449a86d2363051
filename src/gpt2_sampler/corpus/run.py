"""A file's name and the jobs for it -> the file, resumed where an earlier run ended.

NAME.meta.json beside it holds what all its records have in common. Knows no engine.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpt2_sampler.corpus.jobs import Job
from gpt2_sampler.corpus.records import GzipLines, PlainLines
from gpt2_sampler.corpus.table import read_table, require_pyarrow, write_table
from gpt2_sampler.corpus.write import DESCRIBING, Record, Written, described
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import read_object, require_place
from gpt2_sampler.writing import written

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
    return list(dict.fromkeys((path, meta_path(path), unfinished(path))))


def meta_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.meta.json")


def unfinished(path: Path) -> Path:
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
        self._growing = unfinished(path)
        self._jobs = iter(jobs)
        whole = self.is_table and path.exists()
        there = [one for one in (path, self._growing) if one.exists() and one.stat().st_size]
        before = read_meta(path)
        if there and before is None:
            raise UsageError(f"{path} exists and has no {meta_path(path).name}", change=["output"])
        if there:
            require_same_model(path, before or {}, meta)
            require_same(path, (before or {}).get("settings", {}), meta["settings"])
        else:
            write_meta(path, meta)
        self.done = self.failed = 0
        """How many records are in the file, and how many of them have no text but an error."""
        if whole:
            self._lines = None
            self._pass(read_table(path))  # if it is damaged, the other may be all there is
            self._growing.unlink(missing_ok=True)  # left by a run that was killed at its very end
        else:
            self._lines = (GzipLines if path.suffix == ".gz" else PlainLines)(self._growing)
            self._pass(self._lines.read())
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

    def write(self, steps: Iterable[Written]) -> Generator[Written, None, None]:
        """Writes the records of each step, and then yields it."""
        assert self._lines is not None
        try:
            for step in steps:
                self._lines.write(step.records)
                self._count(step.records)
                yield step
        finally:
            self._lines.close()

    def close(self) -> None:
        """To be called when everything is written."""
        if self._lines is None:
            return
        self._lines.close()
        if self.is_table:
            lines = PlainLines(self._growing)
            write_table(self.path, lines.read())
            lines.close()
            self._growing.unlink()

    def _pass(self, records: Iterable[Record]) -> None:
        """Compares the records in the file with the jobs for them."""
        for record in records:
            job = next(self._jobs, None)
            if job is None:
                raise UsageError(
                    f"{self.path} has more than the {self.done} records that were asked for",
                    change=["output"],
                )
            where = f" in record {self.done + 1}"
            asked = {"id": job.id, **dict.fromkeys(DESCRIBING), **described(job)}
            require_same(self.path, record, asked, where)
            self._count([record])

    def _count(self, records: Sequence[Record]) -> None:
        self.done += len(records)
        self.failed += sum("error" in record for record in records)


def write_meta(path: Path, meta: Meta) -> None:
    with written(meta_path(path)) as new:
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
