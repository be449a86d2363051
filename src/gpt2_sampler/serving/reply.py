"""What a server answers -> the messages of ASGI. Knows no completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeVar

from gpt2_sampler.serving.page import POLICY
from gpt2_sampler.serving.wire import Refusal

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

READER_TIME, PING_TIME = 60, 15
"""Seconds after which a client that takes nothing is given up, and after which one that hears
nothing is sent a comment."""
SAFE = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]


class ClientGone(Exception):
    """Whoever asked has closed the connection, or takes nothing any more."""


class Reply:
    """The answer to one request, begun once."""

    def __init__(self, send: Send, headers: Sequence[tuple[str, str]] = ()) -> None:
        self._send = send
        self._headers = [*SAFE, *headers]
        self._begun = False

    async def send_json(self, found: Any, status: int = 200, **headers: str) -> None:
        content = json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        own = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        await self._whole(status, content, [*own, *headers.items()])

    async def send_page(self, kind: str, content: bytes) -> None:
        headers = {"Content-Type": kind, "Content-Security-Policy": POLICY}
        await self._whole(200, content, [*headers.items(), ("Cache-Control", "no-cache")])

    async def refuse(self, refusal: Refusal) -> None:
        """An answer that has begun cannot be refused any more; it ends."""
        if self._begun:
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

    async def send_event(self, found: Any) -> None:
        data = json.dumps(found, ensure_ascii=False, allow_nan=False)
        await self._body(f"data: {data}\n\n".encode(), more=True)

    async def end_events(self, error: Any = None) -> None:
        if error is not None:
            await self.send_event(error)
        await self._body(b"" if error is not None else b"data: [DONE]\n\n", more=False)

    async def ping_until(self, coming: Awaitable[T]) -> T:
        """What is awaited. Comments keep the connection alive meanwhile."""
        task = asyncio.ensure_future(coming)
        try:
            while not (await asyncio.wait({task}, timeout=PING_TIME))[0]:
                await self._body(b": ping\n\n", more=True)
            return task.result()
        finally:
            task.cancel()

    async def _whole(self, status: int, content: bytes, headers: Sequence[tuple[str, str]]) -> None:
        await self._begin(status, [*headers, ("Content-Length", str(len(content)))])
        await self._body(content, more=False)

    async def _begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self._begun = True
        lines = [(n.lower().encode(), v.encode("latin-1")) for n, v in [*self._headers, *headers]]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def _body(self, content: bytes, *, more: bool) -> None:
        message = {"type": "http.response.body", "body": content, "more_body": more}
        try:
            await asyncio.wait_for(self._send(message), READER_TIME)
        except asyncio.TimeoutError:
            raise ClientGone from None
