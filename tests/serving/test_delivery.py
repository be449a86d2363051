"""Whoever leaves, cannot be served or is interrupted is told, and keeps nobody waiting."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from tests.serving.running import Running, running
from tests.serving.test_app import ASKED, text


def open_stream(server: Running, **body: Any) -> socket.socket:
    """A connection that has asked for a stream and read its beginning."""
    content = json.dumps({**ASKED, "stream": True, "ignore_eos": True, **body}).encode()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (server.port, len(content), content)
    )
    return client


def test_who_leaves_frees_the_row_and_keeps_nobody_waiting() -> None:
    with running(rows=1) as server:
        server.engine.pause = 0.01
        client = open_stream(server, max_tokens=10_000)
        assert b"200 OK" in client.recv(4096)
        assert server.decoder.n_running == 1
        client.close()
        server.wait_until_idle(2)
        assert server.complete(**ASKED)["choices"][0]["text"] == text()


def test_who_leaves_while_waiting_is_never_begun() -> None:
    with running(rows=1) as server:
        server.engine.pause = 0.01
        first = open_stream(server, max_tokens=10_000)
        first.recv(4096)
        second = open_stream(server)
        while not server.decoder.n_waiting:
            time.sleep(0.01)
        second.close()
        end = time.monotonic() + 5
        while server.decoder.n_waiting:
            assert time.monotonic() < end
            time.sleep(0.01)
        first.close()
        server.wait_until_idle()


def test_a_full_queue_is_told_with_when_to_come_again() -> None:
    with running(rows=1, queue=2) as server:
        server.engine.pause = 0.01
        first = open_stream(server, max_tokens=10_000)
        first.recv(4096)
        waiting = [open_stream(server) for _ in range(2)]
        while server.decoder.n_waiting < 2:
            time.sleep(0.01)
        done = server.post(**ASKED)
        assert done.status_code == 429 and int(done.headers["Retry-After"]) > 0
        assert done.json()["error"]["code"] == "rate_limit_exceeded"
        assert server.client.get("/health").status_code == 200
        for client in (first, *waiting):
            client.close()
        server.wait_until_idle()


def test_a_step_that_fails_midway_ends_the_stream_with_an_error() -> None:
    with running() as server:

        def fail(written: int) -> None:
            if written > 10:
                raise RuntimeError("no more")

        server.engine.fail = fail  # type: ignore[method-assign]
        client = open_stream(server, max_tokens=50)
        received = b""
        while part := client.recv(4096):
            received += part
            if b'"error"' in received:
                break
        assert b"server_error" in received and b"[DONE]" not in received
