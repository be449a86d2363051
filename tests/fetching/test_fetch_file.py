"""Single files from a server that misbehaves: each fault ends in the right file or one line."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path

import pytest
from urllib3.util.retry import Retry

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching import client as client_module
from gpt2_sampler.fetching import filespec
from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.fetch_file import fetch
from gpt2_sampler.fetching.filespec import FileSpec, Version
from gpt2_sampler.fetching.trouble import SourceError
from tests.misbehaving_server import (
    Answer,
    Fault,
    MisbehavingServer,
    chunked,
    chunked_drop,
    dripping,
    drop,
    in_pieces,
    page,
    redirect,
    stalled,
    status,
    wrong_bytes,
    wrong_length,
    zipped,
)

CONTENT = random.Random(7).randbytes(10_007)
SPEC = FileSpec("file", (Version(len(CONTENT), hashlib.sha256(CONTENT).hexdigest()),))
UNKNOWN = FileSpec("file")
SPECS = pytest.mark.parametrize("spec", [SPEC, UNKNOWN], ids=["known", "unknown"])
QUICK = Network(connections=3, piece=1009, timeout=0.5, retry=Retry(total=3, backoff_factor=0.001))


def get(server: MisbehavingServer, target: Path, spec: FileSpec = UNKNOWN) -> None:
    client = Client(QUICK)
    fetch(client, client.probe(f"{server.url}/file"), target, spec)


def only(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == [target.name]


@SPECS
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_arrives_and_nothing_is_left_beside_it(
    server: MisbehavingServer, target: Path, spec: FileSpec, ranges: bool
) -> None:
    server.ranges = ranges
    get(server, target, spec)
    assert target.read_bytes() == CONTENT
    assert only(target)
    gets = [line for line in server.requests if line.startswith("GET")]
    assert len(gets) == (10 if ranges else 1)


PASSING: dict[str, tuple[Fault, int]] = {
    "500": (status(500), 2),
    "503 and 429": (status(429), 2),
    "drop": (drop, 5),
    "stall": (stalled(1.0), 1),
    "drip": (dripping(500, 0.002), 1000),
    "gzip": (zipped, 1000),
    "chunked": (chunked, 1000),
    "chunked, then a drop": (chunked_drop, 2),
    "a length too long": (wrong_length(5), 2),
}


@SPECS
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_waited_for(
    server: MisbehavingServer, target: Path, spec: FileSpec, ranges: bool, fault: str
) -> None:
    server.ranges = ranges
    what, times = PASSING[fault]
    server.misbehave("file", what, times=times if ranges else min(times, 3))
    get(server, target, spec)
    assert target.read_bytes() == CONTENT
    assert only(target)


LASTING: dict[str, tuple[Fault, str]] = {
    "404": (status(404), "answers 404 Not Found"),
    "403": (status(403), "answers 403 Forbidden"),
    "500": (status(500), "failed 4 times: it answers 500 Internal Server Error"),
    "page": (page, r"is a web page \(text/html\)"),
    "XML": (status(200, b"<Error/>", "text/xml"), "is a web page"),
    "endless redirect": (redirect("file"), "redirects"),
}


@pytest.mark.parametrize("methods", ["GET", "GET HEAD"])
@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts_is_one_clear_line(
    server: MisbehavingServer, target: Path, fault: str, methods: str
) -> None:
    what, message = LASTING[fault]
    server.misbehave("file", what, methods=methods)
    with pytest.raises(SourceError, match=message) as caught:
        get(server, target)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_a_server_that_falls_silent_for_good_is_given_up(
    server: MisbehavingServer, target: Path
) -> None:
    server.ranges = False  # a range would get further each time
    server.misbehave("file", stalled(1.0))
    with pytest.raises(SourceError, match="failed 4 times: the server is silent"):
        get(server, target)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("how", ["SHA-256", "MD5"])
def test_wrong_bytes_of_the_right_length_get_no_name(
    server: MisbehavingServer, target: Path, ranges: bool, how: str
) -> None:
    server.ranges = ranges
    server.misbehave("file", wrong_bytes)
    expected = SPEC.versions[0].sha256 or ""
    says = f"SHA-256 .{{12}}…, not {expected[:12]}…" if how == "SHA-256" else "MD5 .*, not "
    with pytest.raises(SourceError, match=says):
        get(server, target, SPEC if how == "SHA-256" else UNKNOWN)
    assert list(target.parent.iterdir()) == []


@SPECS
@pytest.mark.parametrize("how", [status(500), drop, stalled(1.0)])
def test_what_nobody_can_go_on_from_is_not_left(
    server: MisbehavingServer, target: Path, spec: FileSpec, how: Fault
) -> None:
    server.ranges = False
    server.misbehave("file", how)
    with pytest.raises(SourceError):
        get(server, target, spec)
    assert list(target.parent.iterdir()) == []


def endless(chunk: bytes) -> Fault:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return in_pieces(head, last=chunk, times=1 << 20, pause=0)


def test_more_bytes_than_a_file_has_are_not_waited_for(
    server: MisbehavingServer, target: Path
) -> None:
    chunk = b"%x\r\n%b\r\n" % (1 << 20, bytes(1 << 20))
    server.misbehave("file", endless(chunk), methods="GET HEAD")
    with pytest.raises(SourceError, match="more than 10,007 bytes"):
        get(server, target, SPEC)
    assert list(target.parent.iterdir()) == []


def test_a_file_of_another_size_is_not_even_begun(server: MisbehavingServer, target: Path) -> None:
    (server.folder / "file").write_bytes(CONTENT[:5])
    with pytest.raises(SourceError, match="5 bytes, not 10,007"):
        get(server, target, SPEC)
    assert not any(line.startswith("GET") for line in server.requests)


@pytest.mark.parametrize("start", [b"<!DOCTYPE html>", b"\n<?xml version", b"<Error>"])
def test_a_page_that_says_it_is_a_file_is_not_taken(
    server: MisbehavingServer, target: Path, start: bytes
) -> None:
    (server.folder / "file").write_bytes(start + CONTENT)
    with pytest.raises(SourceError, match="a web page"):
        get(server, target)


def test_a_file_without_any_length_is_not_taken(server: MisbehavingServer, target: Path) -> None:
    def endless(answer: object) -> None:
        answer.headers["Content-Length"] = "unknown"  # type: ignore[attr-defined]

    server.ranges = False
    server.misbehave("file", endless, methods="GET HEAD")
    with pytest.raises(SourceError, match="has no length"):
        get(server, target)


def test_a_mirror_of_other_files_costs_no_bytes_that_are_here(
    server: MisbehavingServer, target: Path
) -> None:
    interrupted(server, target, SPEC)
    (server.folder / "file").write_bytes(CONTENT[:5])
    with pytest.raises(SourceError, match="5 bytes"):
        get(server, target, SPEC)
    assert target.with_name("file.part.json").exists()


def test_a_redirect_is_followed(server: MisbehavingServer, target: Path) -> None:
    server.misbehave("moved", redirect(f"{server.url}/file"), methods="GET HEAD")
    client = Client(QUICK)
    fetch(client, client.probe(f"{server.url}/moved"), target, SPEC)
    assert target.read_bytes() == CONTENT


def test_a_server_without_head_is_asked_with_get(server: MisbehavingServer, target: Path) -> None:
    server.misbehave("file", status(405), methods="HEAD")
    get(server, target, SPEC)
    assert target.read_bytes() == CONTENT


def test_a_check_decides_before_the_name_is_given(server: MisbehavingServer, target: Path) -> None:
    def check(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        raise CheckpointError("not what was meant")

    client = Client(QUICK)
    with pytest.raises(SourceError, match="not what was meant"):
        fetch(client, client.probe(f"{server.url}/file"), target, UNKNOWN, check=check)
    assert list(target.parent.iterdir()) == []


def interrupted(server: MisbehavingServer, target: Path, spec: FileSpec = UNKNOWN) -> int:
    """A run that is stopped once half is there -> bytes in the journal."""

    def report(done: int) -> None:
        if done > len(CONTENT) // 2:
            raise KeyboardInterrupt

    server.misbehave("file", dripping(100, 0.002), times=1000)
    client = Client(QUICK)
    with pytest.raises(KeyboardInterrupt):
        fetch(client, client.probe(f"{server.url}/file"), target, spec, report=report)
    server.faults.clear()
    server.requests.clear()
    return sum(1 for _ in target.parent.iterdir())


def test_waits_are_told_of(server: MisbehavingServer, target: Path) -> None:
    server.misbehave("file", status(503), times=3)
    told: list[str] = []
    client = Client(Network(retry=Retry(total=3, backoff_factor=0.001)), told.append)
    fetch(client, client.probe(f"{server.url}/file"), target, SPEC)
    assert all("it answers 503 Service Unavailable; trying again in" in line for line in told)
    assert told


@pytest.mark.parametrize("large", [False, True])
def test_what_nobody_told_the_size_of_does_not_grow_without_end(
    server: MisbehavingServer, target: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(filespec, "LIMIT", 1 << 22)
    chunk = b"%x\r\n%b\r\n" % (1 << 18, bytes(1 << 18))
    server.misbehave("file", endless(chunk), methods="GET HEAD")
    with pytest.raises(SourceError, match="more than 4,194,304 bytes"):
        get(server, target, FileSpec("file", large=large))
    assert list(target.parent.iterdir()) == []


def test_only_weights_may_be_as_large_as_their_server_says(
    server: MisbehavingServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filespec, "LIMIT", 10_000)
    with pytest.raises(SourceError, match="10,007 bytes, not at most 10,000"):
        get(server, target)
    get(server, target, FileSpec("file", large=True))
    assert target.read_bytes() == CONTENT


OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: file\r\n"
CHUNKS = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[Fault, str]] = {
    "headers": (in_pieces(OK + b"X: ", last=b"x", times=100, pause=0.02), "has not answered in"),
    "interim answers": (
        in_pieces(last=b"HTTP/1.1 100 Continue\r\n\r\n", times=100, pause=0.02),
        "has not answered in",
    ),
    "redirects": (
        in_pieces(MOVED, last=b"X: x\r\n", times=90, pause=0.02), "has not answered in",
    ),
    "body": (
        in_pieces(OK + b"Content-Length: 10007\r\n\r\n", last=b"x", times=100, pause=0.02),
        "sends less than 1,024 bytes",
    ),
    "chunk": (in_pieces(CHUNKS + b"1;", last=b"x", times=100, pause=0.02), "sends less than"),
    "trailer": (
        in_pieces(CHUNKS + b"0\r\n", last=b"X: x\r\n", times=100, pause=0.02), "sends less than"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENDLESS)
def test_a_server_that_never_comes_to_an_end_is_given_up(
    server: MisbehavingServer, target: Path, what: str
) -> None:
    fault, says = ENDLESS[what]
    server.ranges = False
    server.misbehave("file", fault)
    told: list[str] = []
    network = dataclasses.replace(QUICK, timeout=0.3, patience=0.3, retry=Retry(total=1))
    client = Client(network, told.append)
    with pytest.raises(SourceError, match=says):
        fetch(client, client.probe(f"{server.url}/file"), target, UNKNOWN)
    host = server.url.removeprefix("http://")
    assert (f"waiting for {host}" in told) == (says == "has not answered in")
    assert list(target.parent.iterdir()) == []


def test_an_answer_that_comes_slowly_is_waited_for_and_told(
    server: MisbehavingServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "TELL", 0.1)
    head = OK + b"Content-Length: 10007\r\nX: "
    slow = [head, *[b"x"] * 9, b"\r\n\r\n" + CONTENT]

    def fault(answer: Answer) -> None:
        answer.pieces, answer.pause = slow, 0.03

    server.ranges = False
    server.misbehave("file", fault, methods="GET")
    told: list[str] = []
    client = Client(dataclasses.replace(QUICK, timeout=2.0), told.append)
    fetch(client, client.probe(f"{server.url}/file"), target, SPEC)
    assert target.read_bytes() == CONTENT
    assert told == [f"waiting for {server.url.removeprefix('http://')}"]
