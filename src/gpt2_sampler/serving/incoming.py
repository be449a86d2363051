"""A request's body -> a JSON object. Knows nothing of what is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gpt2_sampler.serving.reply import ClientGone
from gpt2_sampler.serving.wire import Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_TIME = 30  # seconds for a body to come


async def read_json(headers: Mapping[str, str], receive: Receive, max_body: int) -> dict[str, Any]:
    """max_body is in bytes. Raises Refusal, ClientGone."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal("the body must be application/json", status=415)
    return parse(await read_body(headers, receive, max_body))


async def read_body(headers: Mapping[str, str], receive: Receive, max_body: int) -> bytes:
    too_large = Refusal(f"the body is larger than {max_body} bytes", status=413)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > max_body:
        raise too_large
    body = bytearray()

    async def read() -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body.extend(message.get("body", b""))
            if len(body) > max_body:
                raise too_large
            more = message.get("more_body", False)

    try:
        await asyncio.wait_for(read(), BODY_TIME)
    except asyncio.TimeoutError:
        raise Refusal(f"no whole body came in {BODY_TIME} seconds", status=408) from None
    return bytes(body)


def parse(body: bytes) -> dict[str, Any]:
    """Raises Refusal for what is no JSON object, NaN and Infinity included."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        found = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"the body is not JSON ({str(error)[:100]})") from None
    if not isinstance(found, dict):
        raise Refusal("the body must be a JSON object")
    return found
