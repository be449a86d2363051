"""A partly fetched file -> the rest of its bytes, several ranges at a time, each resumed.

Knows neither what is in the file nor its final name.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from io import FileIO

import requests

from gpt2_sampler.fetching.body import read_body
from gpt2_sampler.fetching.client import Client
from gpt2_sampler.fetching.failure import TRANSIENT, Passing
from gpt2_sampler.fetching.filespec import CHUNK, Digest, FileSpec
from gpt2_sampler.fetching.partfile import PartFile, Span
from gpt2_sampler.fetching.remote import Remote, validator_of
from gpt2_sampler.fetching.trouble import Changed

MUCH = 1 << 16  # bytes
LINGER = 1.0  # seconds to wait for the fetching threads to end, at most
TICK = 0.02  # seconds between two looks at those threads
JOURNAL_EVERY = 1.0  # seconds of work that a killed process loses, at most

Report = Callable[[int], object]


class NoRanges(Exception):
    """The server only sends whole files."""


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
    digest, saved = Digest(spec, remote.md5), time.monotonic()
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
    """Fetches one range, resuming it when a connection is lost. Every try that brings little counts
    as a failure; after one that brings much, all may be made again."""
    fresh = client.network.retry
    retry = fresh
    while span.at < span.end and not stop.is_set():
        before, missing = span.at, span.end - span.at
        try:
            receive(client, remote, span, file, stop)
        except TRANSIENT as error:
            if span.at - before >= min(MUCH, missing / 2):
                retry = fresh.increment("GET", remote.url, error=error)
            retry = client.wait(retry, remote.url, error, stop)


def receive(
    client: Client, remote: Remote, span: Span, file: FileIO, stop: threading.Event
) -> None:
    headers = {"Range": f"bytes={span.at}-{span.end - 1}"}
    if remote.validator and not remote.validator.startswith("W/"):
        headers["If-Range"] = remote.validator
    with client.get(remote.url, headers) as response:
        require_range(response, remote, span)
        file.seek(span.at)
        for piece in read_body(response, client.network.timeout, decode=False):
            data = memoryview(piece)[: span.end - span.at]
            while data:
                written = file.write(data)
                span.at += written
                data = data[written:]
            if span.at == span.end or stop.is_set():
                return
    raise Passing("it sends less than was asked for")


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
