"""A server in a thread, of an engine without a model whose tokens are bytes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.serving.app import App
from gpt2_sampler.serving.choices import Served
from gpt2_sampler.serving.decoder import Decoder
from gpt2_sampler.serving.guard import Guard, hosts_of
from gpt2_sampler.serving.server import bind, configure
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME, Encoder
from tests.fake_engine import FakeEngine

BYTES = Encoder({symbol: i for i, symbol in enumerate([*BYTE_SYMBOLS, END_OF_TEXT_NAME])}, [])
END = 256
WINDOW = 97


class SlowEngine(FakeEngine):
    """Whose calls take so long, in seconds."""

    pause = 0.0

    def forward(self, *given: Any) -> Any:
        time.sleep(self.pause)
        return super().forward(*given)


class Running:
    """A server and what can be seen of it."""

    def __init__(self, port: int, app: App, engine: SlowEngine, server: uvicorn.Server) -> None:
        self.port = port
        self.app = app
        self.engine = engine
        self.server = server
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30)

    @property
    def decoder(self) -> Decoder:
        return self.app.models[0].decoder

    def post(self, path: str = "/v1/completions", **body: Any) -> httpx.Response:
        return self.client.post(path, json=body)

    def complete(self, **body: Any) -> dict[str, Any]:
        done = self.post(**body)
        assert done.status_code == 200, done.text
        found: dict[str, Any] = done.json()
        return found

    def stream(self, **body: Any) -> list[dict[str, Any]]:
        """The events of a stream, without the last one that says that it is over."""
        with self.client.stream("POST", "/v1/completions", json={**body, "stream": True}) as done:
            assert done.status_code == 200, done.read()
            lines = [line for line in done.iter_lines() if line and not line.startswith(":")]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    def is_idle(self) -> bool:
        return not (self.decoder.n_running or self.decoder.n_waiting or self.decoder.texts)

    def wait_until_idle(self, seconds: float = 5) -> None:
        end = time.monotonic() + seconds
        while not self.is_idle():
            assert time.monotonic() < end, "texts are left over"
            time.sleep(0.01)


@contextlib.contextmanager
def running(
    *,
    rows: int = 3,
    queue: int = 9,
    key: str = "",
    origins: frozenset[str] = frozenset(),
    **options: Any,
) -> Iterator[Running]:
    engine = SlowEngine(257, WINDOW)
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    served = Served("toy", engine, BYTES, Decoder(Texts(Batch(engine, rows)), queue))
    made = App([served], Guard(hosts_of("127.0.0.1", port), origins, key), **options)
    server = configure(made)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    here = Running(port, made, engine, server)
    try:
        yield here
    finally:
        here.client.close()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server does not end"
