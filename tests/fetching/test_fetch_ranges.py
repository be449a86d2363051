"""Several ranges of a file at the same time."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import requests

from gpt2_sampler.fetching.client import Client, Network
from gpt2_sampler.fetching.fetch_file import fetch
from gpt2_sampler.fetching.fetch_ranges import Changed, NoRanges, require_range
from gpt2_sampler.fetching.partfile import Span
from gpt2_sampler.fetching.remote import Remote
from gpt2_sampler.fetching.trouble import SourceError
from tests.fetching.test_fetch_file import CONTENT, SPEC, get
from tests.misbehaving_server import (
    Answer,
    MisbehavingServer,
    dripping,
    short_range,
)


@pytest.mark.parametrize("size", [0, 1])
def test_ranges_that_bring_next_to_nothing_are_not_asked_for_for_ever(
    server: MisbehavingServer, target: Path, size: int
) -> None:
    server.misbehave("file", short_range(size))
    with pytest.raises(SourceError, match="failed 4 times: it sends less than was asked for"):
        get(server, target, SPEC)
    assert len(server.requests) < 20


def test_ranges_that_bring_half_are_gone_on_from(server: MisbehavingServer, target: Path) -> None:
    server.misbehave("file", short_range(600))
    get(server, target, SPEC)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("connections", [1, 3, None])
def test_a_server_is_asked_for_so_many_ranges_at_the_same_time_and_by_default_for_four(
    server: MisbehavingServer, target: Path, connections: int | None
) -> None:
    server.misbehave("file", dripping(500, 0.02))
    network = Network(piece=1009) if connections is None else Network(connections, piece=1009)
    client = Client(network)
    fetch(client, client.probe(f"{server.url}/file"), target, SPEC)
    assert server.most_at_once == (connections or 4)


def test_ranges_that_come_compressed_are_not_mixed_up(
    server: MisbehavingServer, target: Path
) -> None:
    def packed(answer: Answer) -> None:
        if answer.status == 206:
            answer.body = gzip.compress(bytes(answer.body))
            answer.headers["Content-Encoding"] = "gzip"

    server.misbehave("file", packed)
    get(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("bytes 5-9/10", None),
        ("bytes 5-9/*", None),
        ("items 5-9/10", NoRanges),
        ("bytes 4-9/10", NoRanges),
        ("", NoRanges),
        ("bytes 5-9/11", Changed),
    ],
)
def test_an_answer_is_taken_for_the_range_that_it_says(
    said: str, error: type[Exception] | None
) -> None:
    response = requests.Response()
    response.status_code = 206
    response.headers.update({"ETag": "x", "Content-Range": said})
    remote = Remote("http://here/file", 10, "x", None, framed=True, ranges=True)
    if error is None:
        require_range(response, remote, Span(5, 10))
        return
    with pytest.raises(error):
        require_range(response, remote, Span(5, 10))
