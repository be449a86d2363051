"""Requests for streams to a server on this machine -> when each of their events came.

Reads no more of an answer than it must: what a client takes of the processor, the server lacks.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from typing import Any

TAIL = 4096  # bytes of an answer's end that hold its usage


class Stream(asyncio.Protocol):
    """A request for a stream of events, on a connection of its own."""

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        self.times: list[float] = []
        """Of the events, in seconds of perf_counter."""
        self.over = asyncio.get_running_loop().create_future()
        """Done when the connection is closed."""
        self.began = time.perf_counter()
        self._request = post(port, {**body, "stream": True})
        self._tail = b""
        self._first = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.began = time.perf_counter()
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.times += [time.perf_counter()] * data.count(b"data: {")
        self._tail = (self._tail + data)[-TAIL:]
        if self.times:
            self._first.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._first.set()
        self.over.set_result(None)

    async def first(self) -> float:
        """Seconds to the first event."""
        await self._first.wait()
        assert self.times, self._tail
        return self.times[0] - self.began

    @property
    def n_tokens(self) -> int:
        """As the server has counted them, once it is over."""
        found = re.search(rb'"completion_tokens": ?(\d+)', self._tail)
        assert found and b"[DONE]" in self._tail, self._tail
        return int(found[1])


def post(port: int, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return (
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (port, len(content), content)
    )


async def ask(port: int, body: dict[str, Any]) -> Stream:
    """A request that was sent."""
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(lambda: Stream(port, body), "127.0.0.1", port)
    return stream


async def load(port: int, clients: int, bodies: Iterable[dict[str, Any]]) -> list[Stream]:
    """So many clients, each of which asks again when its last answer is over."""
    waiting, found = iter(bodies), list[Stream]()

    async def client() -> None:
        for body in waiting:
            stream = await ask(port, body)
            found.append(stream)
            await stream.over

    await asyncio.gather(*(client() for _ in range(clients)))
    return found


async def health(port: int) -> float:
    """Seconds that /health takes."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return time.perf_counter() - began
