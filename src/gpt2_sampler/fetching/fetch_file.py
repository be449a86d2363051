"""A remote file -> the file on disk: resumed, fetched in parallel ranges, checked, then named.

Knows no models.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from pathlib import Path

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching import partfile
from gpt2_sampler.fetching.body import read_body
from gpt2_sampler.fetching.client import Client
from gpt2_sampler.fetching.failure import causes
from gpt2_sampler.fetching.fetch_ranges import NoRanges, Report, fetch_ranges
from gpt2_sampler.fetching.filespec import Digest, FileSpec
from gpt2_sampler.fetching.partfile import PartFile
from gpt2_sampler.fetching.remote import Remote, remote_of
from gpt2_sampler.fetching.trouble import Changed, SourceError

RESTARTS = 4  # if a file changes while it is fetched, or turns out to be wrong
PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml", b"<error")

Check = Callable[[Path], object]


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
            raise SourceError(f"{remote.public_url} is not the file looked for: {wrong}")
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
            for cause in causes(error):  # their frames map the file; Windows would not remove it
                traceback.clear_frames(cause.__traceback__)
            partfile.discard(target)
            if not resumed:  # otherwise bytes of an earlier run may be to blame
                raise SourceError(
                    f"{remote.public_url} is not the file looked for: {error}"
                ) from None
    raise SourceError(f"{remote.public_url} changes while it is fetched")


def examine(
    remote: Remote, target: Path, spec: FileSpec, digest: Digest, check: Check | None
) -> None:
    """Compares what arrived with what is known of it. Raises Wrong, or what check raises."""
    part, _ = partfile.names(target)
    wrong = spec.size_problem(part.stat().st_size)
    if digest.name == "sha256":
        wrong = wrong or spec.sha256_problem(digest.hex())
    elif digest.name == "md5" and digest.base64() != remote.md5:
        wrong = wrong or f"MD5 {digest.base64()}, not {remote.md5}"
    with part.open("rb") as file:
        if not spec.has_sha256 and file.read(64).lstrip().lower().startswith(PAGE_STARTS):
            wrong = wrong or "a web page"
    if wrong:
        raise Wrong(wrong)
    if check:
        check(part)


def fetch_plainly(
    client: Client, remote: Remote, target: Path, spec: FileSpec, report: Report
) -> tuple[Remote, Digest]:
    """Fetches the whole file in one response, from the beginning after each failure. Leaves no
    partial file, as nothing could go on from it."""
    part, _ = partfile.names(target)

    def attempt() -> tuple[Remote, Digest]:
        with client.get(remote.url) as response:
            now = remote_of(remote.url, response)
            if not (now.framed or spec.versions):
                raise SourceError(
                    f"{remote.public_url} has no length, so a loss would go unnoticed"
                )
            digest, most = Digest(spec, now.md5), spec.most(now.length)
            partfile.discard(target)
            with part.open("xb") as file:
                for data in read_body(response, client.network.timeout, decode=True):
                    file.write(data)
                    digest.update(data)
                    report(digest.at)
                    if digest.at > most:
                        raise Wrong(f"more than {most:,} bytes")
            return now, digest

    try:
        return client.persist(attempt, remote.url)
    except BaseException:
        partfile.discard(target)
        raise
