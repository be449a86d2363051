"""A list of files, and folders on servers or on a disk that have them -> one complete folder.

Knows neither what the files are for nor how one of them is fetched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching import address, partfile
from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.fetch_file import Check, fetch
from gpt2_sampler.fetching.filespec import FileSpec, problem
from gpt2_sampler.fetching.trouble import DiskError, SourceError, Unreachable
from gpt2_sampler.writing import TEMPORARY, hold_lock, writing


class Watch:
    """Receives the progress of what is fetched; this base class ignores it."""

    def say(self, line: str) -> None:
        """May be called from any thread."""

    def start(self, total: int, done: int) -> None:
        """Is called with how many bytes there are in all, and how many are here already."""

    def advance(self, done: int) -> None:
        """Is called with how many bytes are here now."""

    def finish(self) -> None:
        """Is called after start, however the fetching ended."""


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
    """Fetches each file that the folder lacks from SOURCE/NAME, with the first source that has the
    right one.

    checks, by file name, are for files without a known checksum; they raise CheckpointError.
    Returns False if nothing was lacking. Raises SourceError, DiskError, or OSError.
    """
    client = Client(network, watch.say)
    fetched: set[str] = set()
    with only_run(folder, watch):
        # Looked at again after each round: a new index can reveal that the weights are wrong.
        while wanted := find_lacking(folder, [f for f in files if f.name not in fetched], checks):
            fetch_all(client, folder, wanted, sources, checks=checks, watch=watch)
            fetched |= {spec.name for spec in wanted}
    return bool(fetched)


def fault(path: Path, spec: FileSpec, checks: Mapping[str, Check]) -> str | None:
    """What is wrong with a file on disk, according to its checksum or else its check."""
    wrong = problem(path, spec)
    if wrong is None and not spec.has_sha256 and spec.name in checks:
        try:
            checks[spec.name](path)
        except CheckpointError as error:
            return str(error)
    return wrong


def find_lacking(
    folder: Path, files: Sequence[FileSpec], checks: Mapping[str, Check]
) -> list[FileSpec]:
    """The files that are missing or wrong; none if only optional ones are missing."""
    faults = [(spec, fault(folder / spec.name, spec, checks)) for spec in files]
    if not any(spec.matters(wrong) for spec, wrong in faults):
        return []
    return [spec for spec, wrong in faults if wrong is not None]


@contextlib.contextmanager
def only_run(folder: Path, watch: Watch) -> Iterator[None]:
    """Lets one run at a time fill a folder; others wait. If it is empty at the end, it is removed.
    Raises OSError if it is not writable."""
    folder.parent.mkdir(parents=True, exist_ok=True)

    def wait() -> None:
        watch.say(f"another run is filling {folder}; waiting for it (Ctrl-C to give up)")

    with hold_lock(folder.parent / f"{TEMPORARY}{folder.name}.lock", wait):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # it has files, or is not there
                folder.rmdir()


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
        sources = [offers[-1].source, *sources]  # whichever had this file is asked first next time
    folder.mkdir(exist_ok=True)
    done = [offer.present(folder / offer.spec.name) for offer in offers]
    total = sum(offer.size for offer in offers)
    require_space(folder, total - sum(done))
    watch.start(total, sum(done))
    try:
        for number, offer in enumerate(offers):

            def report(count: int, number: int = number) -> None:
                done[number] = count
                watch.advance(sum(done))

            target = folder / offer.spec.name
            with writing(target, DiskError):
                offer.take(client, target, checks.get(offer.spec.name), report)
    finally:
        watch.finish()


class Offer:
    """A file and the first source that has it. While sources fail, take goes on to the next.

    When none is left, both raise a SourceError that tells about every source.
    """

    def __init__(self, client: Client, spec: FileSpec, sources: Sequence[str]) -> None:
        self.spec = spec
        self.errors: list[SourceError] = []
        self.left = list(dict.fromkeys(sources))
        self.ask(client)

    def ask(self, client: Client) -> None:
        while self.left:
            self.source = self.left.pop(0)
            try:
                self.remote = client.probe(address.below(self.source, self.spec.name))
                return
            except SourceError as error:
                self.note(error)
        trouble = max(error.trouble for error in self.errors)
        raise SourceError("; ".join(map(str, self.errors)), trouble)

    def note(self, error: SourceError) -> None:
        self.errors.append(error)
        if isinstance(error, Unreachable):
            host = address.origin(self.source)
            self.left = [source for source in self.left if address.origin(source) != host]

    def present(self, target: Path) -> int:
        """How many bytes are here already."""
        length, validator = self.remote.length, self.remote.validator
        if length is not None and self.spec.size_problem(length):
            return 0  # a wrong file; a later source may have the one that was begun
        ranges = self.remote.ranges
        return partfile.keep(target, length if ranges else None, validator if ranges else None)

    @property
    def size(self) -> int:
        """In bytes, as the server says or as is known."""
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
    """Raises DiskError if that many more bytes cannot be written."""
    if not os.access(folder, os.W_OK):
        raise DiskError(f"{folder} is not writable")
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DiskError(f"{size:,} bytes are missing and {folder} has room for {free:,}")
