"""Connections that ask for nothing, or take nothing, are given up."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from gpt2_sampler.serving.server import bind
from tests.serving.running import running
from tests.serving.test_app import ASKED, text
from tests.serving.test_delivery import open_stream


def test_an_event_does_not_wait_until_the_one_before_it_was_acknowledged() -> None:
    seen = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def serve() -> None:
        bound = bind("127.0.0.1", 0)
        async with await asyncio.get_running_loop().create_server(Server, sock=bound):
            reader, writer = await asyncio.open_connection(*bound.getsockname())
            await reader.read()
            writer.close()

    asyncio.run(serve())
    assert seen[0] != 0


def test_open_streams_are_told_when_the_server_ends() -> None:
    with running() as server:
        server.engine.pause = 0.01
        client = open_stream(server, max_tokens=100_000)
        client.recv(4096)
        began = time.monotonic()
        server.server.should_exit = True
        received = b""
        while part := client.recv(4096):
            received += part
        assert b'"error"' in received and time.monotonic() - began < 3


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.serving.server.HEAD_TIME", 0.2)
    with running() as server:
        for sent in (b"", b"POST /v1/completions HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
                client.sendall(sent)
                assert client.recv(100) in (b"",)
        assert server.complete(**ASKED)["choices"]


def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.serving.reply.READER_TIME", 0.3)
    with running(rows=1) as server:
        client = open_stream(server, max_tokens=10**6, logprobs=100)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert server.complete(**ASKED)["choices"][0]["text"] == text()
        client.close()
        server.wait_until_idle()
