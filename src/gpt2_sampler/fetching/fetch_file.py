"""A remote file -> the file on disk: resumed, fetched in parallel ranges, checked, then named.

Knows no models.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import requests

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching import partfile
from gpt2_sampler.fetching.client import (
    TRANSIENT,
    Changed,
    Client,
    Remote,
    SourceError,
    remote_of,
    validator_of,
)
from gpt2_sampler.fetching.filespec import CHUNK, FileSpec
from gpt2_sampler.fetching.partfile import PartFile, Span

READ = 1 << 18  # bytes at most in one read from a socket
LINGER = 1.0  # seconds to wait for the fetching threads to end, at most
TICK = 0.02  # seconds between two looks at those threads
JOURNAL_EVERY = 1.0  # seconds of work that a killed process loses, at most
RESTARTS = 4  # if a file changes while it is fetched, or turns out to be wrong
PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<error")

Check = Callable[[Path], object]
Report = Callable[[int], object]


class NoRanges(Exception):
    """The server only sends whole files."""


class Wrong(Exception):
    """The bytes that arrived are not those of the file."""


def fetch(
    client: Client,
    remote: Remote,
    target: Path,
    spec: FileSpec,
    *,
    check: Check | None = None,
    report: Report = lambda done: None,
) -> None:
    """Fetches the file to target, a name that it gets only once it is right.

    check is called with the complete file under its temporary name and may raise CheckpointError.
    report is called with the number of bytes that are here; a restart lowers it. Raises
    SourceError, or OSError from the disk.
    """
    for _ in range(RESTARTS):
        resumed = False
        if wrong := remote.length is not None and spec.size_problem(remote.length):
            raise SourceError(f"{remote.shown} is not the file looked for: {wrong}")
        try:
            if remote.ranges and remote.length and remote.validator:
                part = PartFile(target, remote.length, remote.validator, client.network.piece)
                resumed = part.resumed
                digest = fetch_ranges(client, remote, part, spec, report)
            else:
                remote, digest = fetch_plainly(client, remote, target, spec, report)
            examine(remote, target, spec, digest, check)
            return partfile.finish(target)
        except NoRanges:
            remote = dataclasses.replace(remote, ranges=False)
        except Changed:
            remote = client.probe(remote.url)
        except (Wrong, CheckpointError) as error:
            partfile.discard(target)
            if not resumed:  # otherwise bytes of an earlier run may be to blame
                raise SourceError(f"{remote.shown} is not the file looked for: {error}") from None
    raise SourceError(f"{remote.shown} changes while it is fetched")


def examine(
    remote: Remote, target: Path, spec: FileSpec, digest: Digest, check: Check | None
) -> None:
    """Raises Wrong, or what check raises."""
    part, _ = partfile.names(target)
    wrong = spec.size_problem(part.stat().st_size)
    if digest.name == "sha256":
        wrong = wrong or spec.sha256_problem(digest.hex())
    elif digest.name == "md5" and digest.base64() != remote.md5:
        wrong = wrong or f"MD5 {digest.base64()}, not {remote.md5}"
    with part.open("rb") as file:
        if not spec.hashed and file.read(64).lstrip().lower().startswith(PAGE_STARTS):
            wrong = wrong or "a web page"
    if wrong:
        raise Wrong(wrong)
    if check:
        check(part)


class Digest:
    """The checksum to compare, if there is one (SHA-256 or MD5), fed with the file in order."""

    def __init__(self, spec: FileSpec, remote: Remote) -> None:
        self.name = "sha256" if spec.hashed else "md5" if remote.md5 else None
        self.hash = hashlib.new(self.name, usedforsecurity=False) if self.name else None
        self.at = 0  # bytes

    def update(self, data: bytes) -> None:
        self.at += len(data)
        if self.hash:
            self.hash.update(data)

    def hex(self) -> str:
        return self.hash.hexdigest() if self.hash else ""

    def base64(self) -> str:
        return base64.b64encode(self.hash.digest()).decode() if self.hash else ""


def fetch_plainly(
    client: Client, remote: Remote, target: Path, spec: FileSpec, report: Report
) -> tuple[Remote, Digest]:
    """Fetches the whole file in one response, from the beginning after each failure. Leaves no
    partial file, as nothing could go on from it."""
    part, _ = partfile.names(target)
    most = max((version.size for version in spec.versions), default=None)

    def attempt() -> tuple[Remote, Digest]:
        with client.get(remote.url) as response:
            now = remote_of(remote.url, response)
            if not (now.framed or spec.versions):
                raise SourceError(f"{remote.shown} has no length, so a loss would go unnoticed")
            digest = Digest(spec, now)
            with part.open("wb") as file:
                while data := response.raw.read1(READ, decode_content=True):
                    file.write(data)
                    digest.update(data)
                    report(digest.at)
                    if most is not None and digest.at > most:
                        raise Wrong(f"more than {most:,} bytes")
            return now, digest

    partfile.discard(target)
    try:
        return client.persist(attempt, remote.url)
    except BaseException:
        partfile.discard(target)
        raise


def fetch_ranges(
    client: Client, remote: Remote, part: PartFile, spec: FileSpec, report: Report
) -> Digest:
    """Fetches what the part is missing, several ranges at a time. Raises Changed, NoRanges or
    SourceError.

    This thread hashes what comes before the first gap, while it is still in the system's cache, and
    keeps the journal.
    """
    stop = threading.Event()
    failures: list[BaseException] = []
    todo = deque(part.spans)

    def work() -> None:
        try:
            with part.path.open("r+b", buffering=0) as file:
                while todo and not stop.is_set():
                    fill(client, remote, todo.popleft(), file, stop)
        except IndexError:  # another thread took the last one
            pass
        except BaseException as error:
            failures.append(error)

    count = min(client.network.connections, len(todo))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    digest, saved = Digest(spec, remote), time.monotonic()
    for thread in threads:
        thread.start()
    try:
        with part.path.open("rb", buffering=0) as file:
            while (alive := [t for t in threads if t.is_alive()]) or digest.at < part.frontier:
                if failures:
                    raise failures[0]
                if digest.at < (frontier := part.frontier):
                    digest.update(file.read(min(CHUNK, frontier - digest.at)))
                elif alive:
                    alive[0].join(TICK)
                report(part.length - part.missing)
                if time.monotonic() > saved + JOURNAL_EVERY:
                    part.save()
                    saved = time.monotonic()
    finally:
        stop.set()
        for thread in threads:
            thread.join(LINGER / len(threads))
        part.save()
    if failures:
        raise failures[0]
    return digest


def fill(client: Client, remote: Remote, span: Span, file: FileIO, stop: threading.Event) -> None:
    """Fetches one range, resuming it when a connection is lost."""
    retry = client.network.retry
    while span.at < span.end and not stop.is_set():
        before = span.at
        try:
            receive(client, remote, span, file, stop)
        except TRANSIENT as error:
            left = client.network.retry if span.at > before else retry
            retry = client.wait(left, remote.url, error, stop)


def receive(
    client: Client, remote: Remote, span: Span, file: FileIO, stop: threading.Event
) -> None:
    headers = {"Range": f"bytes={span.at}-{span.end - 1}"}
    if remote.validator and not remote.validator.startswith("W/"):
        headers["If-Range"] = remote.validator
    with client.get(remote.url, headers) as response:
        require_range(response, remote, span)
        file.seek(span.at)
        while span.at < span.end and not stop.is_set():
            data = memoryview(response.raw.read1(READ, decode_content=False))
            if not data:
                break  # the range was cut short; the next request goes on
            data = data[: span.end - span.at]
            while data:
                written = file.write(data)
                span.at += written
                data = data[written:]


def require_range(response: requests.Response, remote: Remote, span: Span) -> None:
    """Raises Changed or NoRanges unless the response is this span of the same file."""
    headers = response.headers
    if validator_of(response) not in (remote.validator, None):
        raise Changed
    if response.status_code != 206 or headers.get("Content-Encoding", "identity") != "identity":
        raise NoRanges
    unit, _, rest = headers.get("Content-Range", "").partition(" ")
    first_last, _, total = rest.partition("/")
    if unit != "bytes" or first_last.split("-")[0] != str(span.at):
        raise NoRanges
    if total not in (str(remote.length), "*"):
        raise Changed
