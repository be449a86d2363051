"""Models -> a server of completions and of a page to play on: the command gpt2-serve."""

from __future__ import annotations

import dataclasses
import os
import time
import webbrowser
from collections.abc import Sequence
from functools import partial

from gpt2_sampler.cli.flags.fields import flag
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.settings import ModelSettings
from gpt2_sampler.cli.session.bundled import choose_model, uses_bundled
from gpt2_sampler.cli.session.loading import LOADER, Loader, Model, load
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.errors import UsageError
from gpt2_sampler.packages import require
from gpt2_sampler.registry import DEMO, DEMO_ZH

KEY = "GPT2_SAMPLER_API_KEY"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclasses.dataclass(frozen=True)
class ServeSettings(ModelSettings):
    """Serves completions as OpenAI's API has them, and a page to play on.

    Without --model_name, and without 117M here, both bundled models are served.
    """

    host: str = flag(
        "127.0.0.1", "the address to serve at; any but this machine's needs a key", "H"
    )
    port: int = flag(8117, "its port; 0 for any that is free", "N")
    rows: int = flag(0, "texts written at the same time; 0 for as many as the memory allows", "N")
    queue: int = flag(128, "texts that may wait for a row", "N")
    length: int = flag(128, "tokens of a text whose request does not say max_tokens", "N")
    api_key: str | None = flag(None, f"what requests must show; or set {KEY}", "KEY")
    allow_host: tuple[str, ...] = flag(
        (), "another name under which it may be called, as HOST or HOST:PORT; can be repeated", "H"
    )
    allow_origin: tuple[str, ...] = flag(
        (), "pages that may call it, as SCHEME://HOST:PORT, or null; can be repeated", "ORIGIN"
    )
    max_body: int = flag(2 << 20, "bytes of a request at most", "BYTES")
    metrics: bool = flag(False, "count requests and tokens at /metrics, for Prometheus")
    open: bool = flag(False, "open the page in a browser")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.host not in LOOPBACK and not self.key:
            raise UsageError(
                f"--host {self.host} can be reached by others; give a key with --api_key or {KEY}"
            )

    @property
    def key(self) -> str:
        return self.api_key or os.environ.get(KEY, "")

    def cache(self, window: int) -> tuple[int, int]:
        return self.rows, window


def serve_completions(argv: Sequence[str], program: str, loader: Loader = LOADER) -> None:
    settings = parse(ServeSettings, argv, program)
    require("uvicorn", "a server needs")
    from gpt2_sampler.serving.app import App
    from gpt2_sampler.serving.choices import Served
    from gpt2_sampler.serving.guard import Guard, hosts_of
    from gpt2_sampler.serving.server import bind, run_server

    metrics = None
    if settings.metrics:
        require("prometheus_client", "--metrics needs")
        from gpt2_sampler.serving.metrics import Metrics

        metrics = Metrics()
    bound = bind(settings.host, settings.port)
    port = bound.getsockname()[1]

    def make_served(model: Model) -> Served:
        from gpt2_sampler.serving.decoder import Decoder

        texts = Texts(model.batch(model.rows))
        decoder = Decoder(texts, settings.queue)
        return Served(model.name, model.engine, model.tokenizer, decoder, int(time.time()))

    names = [DEMO, DEMO_ZH] if uses_bundled(settings) else [settings.model_name]
    models = [
        make_served(load(dataclasses.replace(settings, model_name=name), loader=loader))
        for name in names
    ]
    hosts = hosts_of(settings.host, port, settings.allow_host)
    app = App(
        models,
        Guard(hosts, frozenset(settings.allow_origin), settings.key),
        choose=(lambda text: choose_model(settings, text)) if len(models) > 1 else None,
        length=settings.length,
        max_body=settings.max_body,
        metrics=metrics,
    )
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{shown}:{port}"
    notice(f"{address} serves {', '.join(one.name for one in models)}; Ctrl-C ends it")
    if settings.open:
        webbrowser.open(f"{address}/{'#key=' + settings.key if settings.key else ''}")
    run_server(app, bound)


def main(argv: Sequence[str] | None = None, loader: Loader = LOADER) -> int:
    return run(partial(serve_completions, loader=loader), argv)
