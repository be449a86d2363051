"""A file that is fetched in parts goes on where the last run was stopped, or begins anew."""

from __future__ import annotations

import os
import re
import weakref
from pathlib import Path

import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching import partfile
from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.fetch_file import fetch
from gpt2_sampler.fetching.filespec import FileSpec
from gpt2_sampler.fetching.trouble import SourceError
from gpt2_sampler.files import map_bytes
from tests.fetching.test_fetch_file import (
    CONTENT,
    QUICK,
    SPEC,
    SPECS,
    UNKNOWN,
    get,
    interrupted,
    only,
)
from tests.misbehaving_server import (
    MisbehavingServer,
    dripping,
    drop,
)


def asked_for(server: MisbehavingServer) -> int:
    """Bytes of all ranges that were asked for."""
    found = [re.search(r"bytes=(\d+)-(\d+)", line) for line in server.requests]
    return sum(int(m[2]) - int(m[1]) + 1 for m in found if m)


@SPECS
def test_a_run_goes_on_where_the_last_one_was_stopped(
    server: MisbehavingServer, target: Path, spec: FileSpec
) -> None:
    assert interrupted(server, target, spec) == 2
    assert not target.exists()
    get(server, target, spec)
    assert target.read_bytes() == CONTENT
    assert only(target)
    assert 0 < asked_for(server) <= len(CONTENT) // 2


def test_a_file_that_changed_since_is_fetched_anew(server: MisbehavingServer, target: Path) -> None:
    interrupted(server, target)
    changed = CONTENT[::-1]
    (server.folder / "file").write_bytes(changed)
    server.edition = 2
    get(server, target)
    assert target.read_bytes() == changed
    assert only(target)


def test_a_file_that_changes_meanwhile_is_fetched_anew(
    server: MisbehavingServer, target: Path
) -> None:
    changed = CONTENT[::-1]

    def report(done: int) -> None:
        if done > len(CONTENT) // 2 and server.edition == 1:
            (server.folder / "file").write_bytes(changed)
            server.edition = 2

    server.misbehave("file", dripping(100, 0.002), times=9)
    client = Client(QUICK)
    fetch(client, client.probe(f"{server.url}/file"), target, UNKNOWN, report=report)
    assert target.read_bytes() == changed
    assert only(target)


def test_rubbish_under_the_same_etag_is_found_and_fetched_anew(
    server: MisbehavingServer, target: Path
) -> None:
    interrupted(server, target)
    part = target.with_name("file.part")
    part.write_bytes(bytes(part.stat().st_size))
    get(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "journal",
    [b"", b"{", b"[]", b'{"length": 10007, "validator": "x", "missing": [[5, 1]]}', b"\xff"],
)
def test_a_broken_journal_is_no_journal(
    server: MisbehavingServer, target: Path, journal: bytes
) -> None:
    target.with_name("file.part").write_bytes(os.urandom(len(CONTENT)))
    target.with_name("file.part.json").write_bytes(journal)
    get(server, target)
    assert target.read_bytes() == CONTENT
    assert only(target)


def test_every_drop_goes_on_where_it_was(server: MisbehavingServer, target: Path) -> None:
    server.misbehave("file", drop)
    client = Client(Network(connections=1, piece=1 << 20, timeout=0.5, retry=QUICK.retry))
    fetch(client, client.probe(f"{server.url}/file"), target, SPEC)
    assert target.read_bytes() == CONTENT
    assert asked_for(server) < 2.1 * len(CONTENT)


@pytest.mark.parametrize("end", [".part", ".part.json", ".part.json.new"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_link_in_the_place_of_a_part_is_not_followed(
    server: MisbehavingServer, target: Path, tmp_path: Path, end: str, ranges: bool
) -> None:
    (tmp_path / "mine").write_bytes(bytes(len(CONTENT)))
    (target.parent / f"file{end}").symlink_to(tmp_path / "mine")
    if end == ".part":  # with a journal that vouches for it
        (other := tmp_path / "there" / "file").parent.mkdir()
        interrupted(server, other)
        other.with_name("file.part.json").rename(target.with_name("file.part.json"))
    server.ranges = ranges
    get(server, target, SPEC)
    assert target.read_bytes() == CONTENT
    assert (tmp_path / "mine").read_bytes() == bytes(len(CONTENT))


def test_what_failed_its_check_is_no_longer_mapped_when_it_is_removed(
    server: MisbehavingServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows would not remove it."""
    mapped: list[weakref.ref[object]] = []
    removed: list[bool] = []

    def check(path: Path) -> None:
        data = map_bytes(path)
        mapped.append(weakref.ref(data))
        try:
            raise ValueError(len(data))
        except ValueError:
            raise CheckpointError("not what was meant") from None

    discard = partfile.discard

    def watched(path: Path) -> None:
        removed.extend(one() is None for one in mapped)
        discard(path)

    monkeypatch.setattr(partfile, "discard", watched)
    client = Client(QUICK)
    with pytest.raises(SourceError, match="not what was meant"):
        fetch(client, client.probe(f"{server.url}/file"), target, UNKNOWN, check=check)
    assert removed and all(removed)


def test_a_journal_may_say_that_the_first_byte_is_missing(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.with_name("file.part").write_bytes(bytes(10))
    journal = '{"length": 10, "validator": "x", "missing": [[0, 4]]}'
    target.with_name("file.part.json").write_text(journal)
    assert partfile.keep(target, 10, "x") == 6
