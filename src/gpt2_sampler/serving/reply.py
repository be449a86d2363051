"""What a server answers -> the messages of ASGI. Knows no completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, cast

from gpt2_sampler.serving.page import POLICY
from gpt2_sampler.serving.wire import Refusal

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PING_TIME, READER_TIME = 15, 60
"""Seconds after which a client that hears nothing is pinged, and one that takes nothing given up.
"""
ENCODER = json.JSONEncoder(allow_nan=False)
SAFE = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]


class ClientGone(Exception):
    """Whoever asked has closed the connection, or is too far behind."""


class Reply:
    """The answer to one request, begun once."""

    def __init__(self, send: Send, headers: Sequence[tuple[str, str]] = ()) -> None:
        self._send = send
        self._headers = [*SAFE, *headers]
        self.status = 0
        """The answer's, once it has begun; 0 before."""
        self.given_up = False
        """Whether the task was cancelled because its client takes nothing."""
        self._loop = asyncio.get_running_loop()
        self._task = cast(asyncio.Task[Any], asyncio.current_task())
        self._since = 0.0  # when the last message was begun, in the loop's time
        self._waits = self._streams = False
        self._timer: asyncio.TimerHandle | None = None
        self._ping: asyncio.Task[None] | None = None

    def close(self) -> None:
        """To be called when the answer is over, whatever ended it."""
        for one in (self._timer, self._ping):
            if one is not None:
                one.cancel()

    async def send_json(self, found: Any, status: int = 200, **headers: str) -> None:
        content = as_json(found).encode()
        own = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        await self._whole(status, content, [*own, *headers.items()])

    async def send_text(self, content: bytes) -> None:
        await self._whole(200, content, [("Content-Type", "text/plain; charset=utf-8")])

    async def send_page(self, kind: str, content: bytes) -> None:
        headers = {"Content-Type": kind, "Content-Security-Policy": POLICY}
        await self._whole(200, content, [*headers.items(), ("Cache-Control", "no-cache")])

    async def refuse(self, refusal: Refusal) -> None:
        """An answer that has begun cannot be refused any more; it ends."""
        if self.status:
            await self.end_events(refusal.body)
        else:
            await self.send_json(refusal.body, refusal.status, **refusal.headers)

    async def allow(self) -> None:
        """The answer to a browser that asks what a page may do."""
        await self._whole(
            204,
            b"",
            [
                ("Access-Control-Allow-Methods", "GET, POST"),
                ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
                ("Access-Control-Max-Age", "600"),
            ],
        )

    # A stream of events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    async def begin_events(self) -> None:
        kind = ("Content-Type", "text/event-stream; charset=utf-8")
        unbuffered = [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]
        await self._begin(200, [kind, *unbuffered])
        self._streams = True

    async def send_events(self, found: Iterable[Any]) -> None:
        lines = [f"data: {as_json(one)}\n\n" for one in found]
        if lines:
            await self._body("".join(lines).encode(), more=True)

    async def end_events(self, error: Any = None) -> None:
        """A stream that fails has an error in the place of the word that it is over."""
        last = "[DONE]" if error is None else as_json(error)
        self._streams = False
        await self._body(f"data: {last}\n\n".encode(), more=False)

    async def _whole(self, status: int, content: bytes, headers: Sequence[tuple[str, str]]) -> None:
        await self._begin(status, [*headers, ("Content-Length", str(len(content)))])
        await self._body(content, more=False)

    async def _begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self.status = status
        lines = [(n.lower().encode(), v.encode("latin-1")) for n, v in [*self._headers, *headers]]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        self._since = self._loop.time()
        self._look()

    async def _body(self, content: bytes, *, more: bool) -> None:
        self._since, self._waits = self._loop.time(), True
        await self._send({"type": "http.response.body", "body": content, "more_body": more})
        self._waits = False

    def _look(self) -> None:
        """Now and then: a timer for each message would cost as much as the message."""
        silence = self._loop.time() - self._since
        if self._waits and silence >= READER_TIME:
            self.given_up = True
            self._task.cancel()
            return
        if self._streams and not self._waits and silence >= PING_TIME:
            self._ping = self._loop.create_task(self._body(b": ping\n\n", more=True))
        self._timer = self._loop.call_later(min(PING_TIME, READER_TIME) / 3, self._look)


def as_json(found: Any) -> str:
    """In ASCII, because clients that split a stream with splitlines() take U+0085 and U+2028 for
    the ends of lines."""
    return ENCODER.encode(found)
