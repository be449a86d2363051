"""No request and no connection, however it comes, costs the server more than its answer."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.serving.fuzzing import (
    RIGHT_REQUESTS,
    WRONG_REQUESTS,
    check_right,
    check_wrong,
    threads,
)
from tests.serving.running import Running, running

SOME = settings(
    max_examples=100, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
BODY = json.dumps({"prompt": "Once", "max_tokens": 40, "seed": 7, "stream": True}).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left_over(server: Running) -> Iterator[None]:
    before = threads()
    yield
    server.wait_until_idle()
    assert threads() <= before


@settings(SOME, max_examples=40)  # each is three texts or more
@given(body=RIGHT_REQUESTS)
def test_what_is_served_is_the_python_apis_text_streamed_or_whole(
    server: Running, body: dict[str, Any]
) -> None:
    check_right(server, body)


@SOME
@given(body=WRONG_REQUESTS)
def test_whatever_is_asked_for_is_served_or_the_clients_mistake(
    server: Running, body: dict[str, Any]
) -> None:
    check_wrong(server, body)


def request(server: Running) -> bytes:
    return (
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (server.port, len(BODY), BODY)
    )


def read_to_the_end(client: socket.socket, at_once: int) -> bytes:
    found = bytearray()
    while part := client.recv(at_once):
        found += part
    return bytes(found)


def test_a_request_that_comes_and_goes_byte_by_byte_is_the_same_one(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(server):
            client.sendall(bytes([byte]))
        slowly = read_to_the_end(client, 1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(request(server))
        at_once = read_to_the_end(client, 1 << 16)
    assert b"[DONE]" in slowly and texts(slowly) == texts(at_once)


def texts(answer: bytes) -> list[str]:
    lines = answer.decode().splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert events
    return [event["choices"][0]["text"] for event in events]


@pytest.mark.parametrize("part", [b"x-%d: x\r\n" % 7, b"x" * 1000], ids=["lines", "one line"])
@pytest.mark.parametrize("where", ["head", "trailer"])
def test_a_head_or_trailer_without_end_is_not_kept(
    server: Running, part: bytes, where: str
) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /tokenize HTTP/1.1\r\nHost: x\r\n")
        client.sendall(chunked if where == "trailer" else b"")
        with pytest.raises(OSError):  # it was closed
            for _ in range(200):
                client.sendall(part * (10_000 // len(part)))
                time.sleep(0.001)


def test_a_reset_in_any_phase_frees_everything(server: Running) -> None:
    whole = request(server)
    head = whole.index(b"\r\n\r\n") + 4
    phases = [1, 20, head - 2, head, head + 5, len(whole)]
    server.engine.pause = 0.002
    for n_read in (0, 1, 200):
        for n_sent in phases if not n_read else phases[-1:]:
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            client.sendall(whole[:n_sent])
            if n_read:
                assert client.recv(n_read)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # which resets it
    server.wait_until_idle()
    server.engine.pause = 0.0
    assert server.client.get("/health").json() == {"status": "ok"}
    assert server.complete(prompt="Once", max_tokens=3)["choices"]
