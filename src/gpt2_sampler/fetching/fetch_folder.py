"""Files, and folders on servers or on a disk that have them -> one folder that is whole.

Knows neither what the files are for nor how one is fetched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from gpt2_sampler.errors import CheckpointError, DownloadError
from gpt2_sampler.fetching import partfile
from gpt2_sampler.fetching.client import Client, Network, SourceError, Unreachable
from gpt2_sampler.fetching.fetch_file import Check, fetch
from gpt2_sampler.fetching.filespec import FileSpec, problem


class Watch:
    """What is told while files come. This one keeps it to itself."""

    def say(self, line: str) -> None:
        """May come from any thread."""

    def start(self, total: int, done: int) -> None:
        """Bytes in all, and of them here already."""

    def moved(self, done: int) -> None:
        """Bytes here by now."""

    def finish(self) -> None:
        """After start, however it ended."""


SILENT = Watch()


def fetch_folder(
    folder: Path,
    files: Sequence[FileSpec],
    sources: Sequence[str],
    *,
    checks: Mapping[str, Check],
    network: Network,
    watch: Watch,
) -> bool:
    """Brings what the folder lacks from SOURCE/NAME, of the first source that has it right.

    checks are by file name, for what no checksum tells; they raise CheckpointError. False where
    nothing was lacking. Raises SourceError, DownloadError where the disk is full, or OSError.
    """
    client = Client(network, watch.say)
    fetched: set[str] = set()
    with locked(folder, watch):
        # Again after the first round: a new index can show weights to be wrong.
        while wanted := lacking(folder, [f for f in files if f.name not in fetched], checks):
            fetch_all(client, folder, wanted, sources, checks=checks, watch=watch)
            fetched |= {spec.name for spec in wanted}
    return bool(fetched)


def import_folder(
    folder: Path,
    files: Sequence[FileSpec],
    origin: Path,
    checks: Mapping[str, Check],
    watch: Watch,
) -> None:
    """Copies what the folder lacks from another folder. Raises DownloadError, or OSError."""
    bad = []
    with locked(folder, watch):
        for spec in lacking(folder, files, checks):
            wrong = import_file(origin / spec.name, folder / spec.name, spec, checks)
            if spec.matters(wrong):
                bad.append(f"{origin / spec.name}: {wrong}")
    if bad:
        raise DownloadError(f"not everything could be imported: {'; '.join(bad)}")


def import_file(
    origin: Path, target: Path, spec: FileSpec, checks: Mapping[str, Check]
) -> str | None:
    """What is wrong with the file; None if it was copied."""
    if wrong := problem(origin, spec, contents=False):
        return wrong
    target.parent.mkdir(exist_ok=True)
    partfile.discard(target)
    part, _ = partfile.names(target)
    shutil.copyfile(origin, part)
    if wrong := fault(part, spec, checks):
        partfile.discard(target)
    else:
        partfile.finish(target)
    return wrong


def fault(path: Path, spec: FileSpec, checks: Mapping[str, Check]) -> str | None:
    """What is wrong with a file on disk, by its checksum or else by its check."""
    wrong = problem(path, spec)
    if wrong is None and not spec.hashed and spec.name in checks:
        try:
            checks[spec.name](path)
        except CheckpointError as error:
            return str(error)
    return wrong


def lacking(folder: Path, files: Sequence[FileSpec], checks: Mapping[str, Check]) -> list[FileSpec]:
    """Files missing or wrong; nothing where only optional ones are missing."""
    faults = [(spec, fault(folder / spec.name, spec, checks)) for spec in files]
    if not any(spec.matters(wrong) for spec, wrong in faults):
        return []
    return [spec for spec, wrong in faults if wrong is not None]


@contextlib.contextmanager
def locked(folder: Path, watch: Watch) -> Iterator[None]:
    """One run at a time for each folder; another one waits. Raises OSError if not writable."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        watch.say(f"another run is filling {folder}; waiting for it (Ctrl-C to give up)")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fetch_all(
    client: Client,
    folder: Path,
    wanted: Sequence[FileSpec],
    sources: Sequence[str],
    *,
    checks: Mapping[str, Check],
    watch: Watch,
) -> None:
    offers: list[Offer] = []
    for spec in wanted:
        try:
            offers.append(Offer(client, spec, sources))
        except SourceError:
            if not spec.optional:
                raise
            continue
        sources = [offers[-1].source, *sources]  # what had one file is asked first for the next
    folder.mkdir(exist_ok=True)
    done = [partfile.present(folder / offer.spec.name) for offer in offers]
    total = sum(offer.size for offer in offers)
    require_space(folder, total - sum(done))
    watch.start(total, sum(done))
    try:
        for number, offer in enumerate(offers):

            def report(count: int, number: int = number) -> None:
                done[number] = count
                watch.moved(sum(done))

            offer.take(client, folder / offer.spec.name, checks.get(offer.spec.name), report)
    finally:
        watch.finish()


class Offer:
    """A file and the first source that has it; take goes on to the next while they fail.

    Both raise SourceError, which tells of every source, when none is left.
    """

    def __init__(self, client: Client, spec: FileSpec, sources: Sequence[str]) -> None:
        self.spec = spec
        self.reasons: list[str] = []
        self.left = list(dict.fromkeys(sources))
        self.ask(client)

    def ask(self, client: Client) -> None:
        while self.left:
            self.source = self.left.pop(0)
            try:
                self.remote = client.probe(f"{self.source}/{self.spec.name}")
                return
            except SourceError as error:
                self.note(error)
        raise SourceError("; ".join(self.reasons))

    def note(self, error: SourceError) -> None:
        self.reasons.append(str(error))
        if isinstance(error, Unreachable):
            host = urlsplit(self.source).netloc
            self.left = [source for source in self.left if urlsplit(source).netloc != host]

    @property
    def size(self) -> int:
        """Bytes, as the server says or as is known."""
        known = self.spec.versions[0].size if self.spec.versions else 0
        return known if self.remote.length is None else self.remote.length

    def take(
        self, client: Client, target: Path, check: Check | None, report: Callable[[int], None]
    ) -> None:
        while True:
            try:
                return fetch(client, self.remote, target, self.spec, check=check, report=report)
            except SourceError as error:
                self.note(error)
                self.ask(client)


def require_space(folder: Path, size: int) -> None:
    """Raises DownloadError where that many bytes more cannot be written."""
    if not os.access(folder, os.W_OK):
        raise DownloadError(f"{folder} may not be written to; choose another with --models_dir DIR")
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DownloadError(
            f"{size:,} bytes are to come and {folder} has room for {free:,}; "
            "make room or choose another disk with --models_dir DIR"
        )
