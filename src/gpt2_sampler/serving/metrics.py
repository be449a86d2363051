"""What a server counts -> the text that Prometheus reads. Knows no HTTP and no models."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gpt2_sampler.decoding.text import Text
from gpt2_sampler.serving.decoder import Decoder

SECONDS = 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter(
            "gpt2_requests", "Requests for completions, by the status of their answers.",
            ["status"], registry=own,
        )  # fmt: skip
        self._tokens = Counter(
            "gpt2_tokens", "Tokens of prompts, and tokens drawn.", ["kind"], registry=own
        )
        self._first = Histogram(
            "gpt2_time_to_first_token_seconds", "From a request to its first token.",
            buckets=SECONDS, registry=own,
        )  # fmt: skip
        self._whole = Histogram(
            "gpt2_request_seconds", "From a request to the last token of its texts.",
            buckets=SECONDS, registry=own,
        )  # fmt: skip
        self._texts = Gauge(
            "gpt2_texts", "Texts that are written now, and those that wait.", ["state"],
            registry=own,
        )  # fmt: skip

    def count_request(self, status: int) -> None:
        self._requests.labels(str(status)).inc()

    def observe(self, began: float, texts: list[Text], n_prompt: int, n_drawn: int) -> None:
        """A request that was answered; began is in seconds of time.monotonic()."""
        self._tokens.labels("prompt").inc(n_prompt)
        self._tokens.labels("drawn").inc(n_drawn)
        if first := [text.first_time for text in texts if text.first_time]:
            self._first.observe(max(0.0, min(first) - began))
        self._whole.observe(max(0.0, time.monotonic() - began))

    def read(self, decoders: list[Decoder]) -> bytes:
        self._texts.labels("running").set(sum(decoder.n_running for decoder in decoders))
        self._texts.labels("waiting").set(sum(decoder.n_waiting for decoder in decoders))
        return generate_latest(self._registry)
