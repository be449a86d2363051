"""An application and an address -> a server, until it is told to end. Knows no models."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

import uvicorn

from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import reason
from gpt2_sampler.serving.app import App

KEEP_ALIVE = 75  # seconds; a client's pool that keeps its connections longer meets closed ones
LAST_WORDS = 2  # seconds, for open streams to be ended


def bind(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to from now on; they wait until it is served. Raises
    UsageError for an address that is none, SamplerError for one that is taken."""
    try:
        [family, *_, address] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
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


def serve(app: App, bound: socket.socket) -> None:
    """Returns when it was interrupted and every stream has been told."""
    configure(app).run(sockets=[bound])


def configure(app: App) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=LAST_WORDS,
        backlog=512,
    )
    return Server(config, app.close)


class Server(uvicorn.Server):
    """Ends the texts that are under way before it waits for their streams."""

    def __init__(self, config: uvicorn.Config, end: Callable[[], None]) -> None:
        super().__init__(config)
        self._end = end

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._end)
        await super().shutdown(None if sockets is None else list(sockets))
