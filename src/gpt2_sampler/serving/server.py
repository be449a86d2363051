"""An application and an address -> a server, until it is told to end. Knows no models."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import reason
from gpt2_sampler.serving.app import App
from gpt2_sampler.serving.choices import Served
from gpt2_sampler.serving.decoder import Decoder
from gpt2_sampler.serving.guard import Guard, hosts_of
from gpt2_sampler.tokenizer.tokenizer import Tokenizer

KEEP_ALIVE = 75  # seconds; a client's pool that keeps its connections longer meets closed ones
HEAD_TIME = 30  # seconds, for the head of a first request
LONGEST_HEAD = 64 << 10  # bytes
LAST_WORDS = 2  # seconds, for open streams to be ended


def bind(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to from now on; they wait until it is served. Raises
    UsageError for an address that is none, SamplerError for one that is taken."""
    try:
        [family, *_, address] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Named, or asyncio leaves Nagle's algorithm on, and events wait for those before them.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"there is no address {host:.80} ({error})") from None
    try:
        bound.bind(address)
        bound.listen(512)
    except (OSError, OverflowError) as error:
        bound.close()
        said = reason(error) if isinstance(error, OSError) else str(error)
        raise SamplerError(
            f"cannot serve at {host:.80}, port {port} ({said})", change=["port"]
        ) from None
    return bound


def serve(
    engine: Engine,
    tokenizer: Tokenizer,
    *,
    name: str = "gpt2",
    host: str = "127.0.0.1",
    port: int = 8117,
    rows: int = 8,
    queue: int = 128,
    length: int = 128,
    key: str = "",
) -> None:
    """Serves a model's completions, and a page to play on, until it is interrupted: what the
    command gpt2-serve does.

    name is what requests call the model. rows is how many texts are written at the same time, queue
    how many more may wait, and length is in tokens, for texts whose request does not say. At
    another host than this machine's a key should be asked for. Raises UsageError for an address
    that is none, SamplerError for one that is taken.

    >>> serve(load_engine("demo"), load_tokenizer("demo"), name="demo", port=8000)
    """
    bound = bind(host, port)
    served = Served(name, engine, tokenizer, Decoder(Texts(Batch(engine, rows)), queue))
    guard = Guard(hosts_of(host, bound.getsockname()[1]), key=key)
    run_server(App([served], guard, length=length), bound)


def run_server(app: App, bound: socket.socket) -> None:
    """Returns when it was interrupted and every stream has been told."""
    configure(app).run(sockets=[bound])


def configure(app: App) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=LAST_WORDS,
        backlog=512,
    )
    return Server(config, app.close)


class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Closes a connection whose first request does not come, or comes byte by byte, and one whose
    request has a head without end. By httptools where it is installed: an event of a stream costs
    half of what it does by h11."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_TIME, self._close_if_nothing_came)
        self._n_head = 0  # bytes since anything was complete

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._n_head += len(data)
        super().data_received(data)
        if self._n_head > LONGEST_HEAD:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """httptools' parts of a request, this one and the next."""
        self._n_head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._n_head = 0
        super().on_body(body)

    def handle_events(self) -> None:
        """h11's, which has a bound of its own."""
        super().handle_events()
        self._n_head = 0

    def _close_if_nothing_came(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Ends the texts that are under way before it waits for their streams."""

    def __init__(self, config: uvicorn.Config, end: Callable[[], None]) -> None:
        super().__init__(config)
        self._end = end

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._end)
        await super().shutdown(None if sockets is None else list(sockets))
