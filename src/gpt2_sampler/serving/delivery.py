"""A request's texts, as the decoder writes them -> its client, whole or as events.

Knows no requests but this one, and nothing of what its fields are called.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gpt2_sampler.decoding.text import Piece
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.serving.choices import Writing
from gpt2_sampler.serving.decoder import Decoder, News, QueueFull, TextGroup
from gpt2_sampler.serving.incoming import Receive
from gpt2_sampler.serving.reply import ClientGone, Reply
from gpt2_sampler.serving.wire import Refusal

MOST_UNREAD = 4096  # pieces that a reader may be behind
AGAIN = 5  # seconds, after which a client may try a full queue again


class Channel:
    """What the decoder says of a job -> whoever awaits it."""

    def __init__(self) -> None:
        self._items: deque[News] = deque()
        self._news = asyncio.Event()
        self.unread = 0
        """Pieces."""

    def put(self, item: News) -> None:
        self._items.append(item)
        self.unread += len(item) if isinstance(item, list) else 0
        self._news.set()

    async def get(self) -> list[Piece]:
        """All that there is. Raises what ended the job."""
        if not self._items:
            self._news.clear()
            await self._news.wait()
        pieces = list[Piece]()
        while self._items:
            item = self._items.popleft()
            if isinstance(item, Exception):
                raise item
            pieces += item
        self.unread = 0
        return pieces


async def deliver(writing: Writing, decoder: Decoder, receive: Receive, reply: Reply) -> None:
    """Has the texts written and answers with them. They end with whoever asked for them. Raises
    Refusal, ClientGone, and what ended the texts before the answer began."""
    channel = Channel()

    def hear(news: News) -> None:
        if channel.unread > MOST_UNREAD:
            decoder.cancel(job)
            news = ClientGone()
        channel.put(news)

    job = TextGroup(writing.texts, hear, asyncio.get_running_loop())
    try:
        decoder.submit(job)
    except QueueFull:
        raise Refusal(
            "too many texts are waiting; try again later",
            status=429,
            kind="rate_limit_error",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(AGAIN)},
        ) from None
    gone = asyncio.create_task(watch(receive, channel))
    try:
        if writing.asked.stream:
            await stream(writing, channel, reply)
        else:
            while not writing.is_over:
                for _ in writing.add(await channel.get()):
                    pass
            await reply.send_json(writing.whole())
    finally:
        gone.cancel()
        if not writing.is_over:
            decoder.cancel(job)


async def stream(writing: Writing, channel: Channel, reply: Reply) -> None:
    """Events as they come. The first of them, or an error, is there before the answer begins."""
    pieces = await channel.get()
    await reply.begin_events()
    while True:
        await reply.send_events(writing.answer.event([c]) for c in writing.add(pieces))
        if writing.is_over:
            break
        try:
            pieces = await channel.get()
        except (SamplerError, MemoryError, ConnectionAbortedError) as problem:
            return await reply.end_events(failure(problem).body)
    if writing.asked.include_usage:
        await reply.send_events([writing.answer.event([], usage=True)])
    await reply.end_events()


async def watch(receive: Receive, channel: Channel) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    channel.put(ClientGone())


def failure(problem: Exception) -> Refusal:
    """An error while a text was written, as the client is told it."""
    if isinstance(problem, UsageError):
        return Refusal(str(problem))
    if isinstance(problem, ConnectionAbortedError):
        return Refusal(str(problem), status=503, kind="server_error")
    said = str(problem) or "there is no memory for it"
    return Refusal(said, status=500, kind="server_error")
