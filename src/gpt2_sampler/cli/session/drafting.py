"""A model -> its int8 copy, being loaded, that drafts what float32 writes, if that makes it faster.

Knows nothing of samples.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from gpt2_sampler.cli.flags.settings import Settings
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.engines.memory import free_memory, needed, size
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.weights.checkpoint import Checkpoint

LEAST_WEIGHTS = 25_000_000
"""Fewer are read about as fast in float32, because a processor's cache holds many of them."""
MOST_ROWS = 8
"""More texts keep the processor busy without a draft: benchmarks/bench_draft.py."""
LEAST_TOKENS = 100
"""Fewer are written before the time that loading the draft takes is saved."""


def load_draft(
    checkpoint: Checkpoint, settings: Settings, device: str, rows: int
) -> Future[Engine] | None:
    """For rows texts at the same time. Raises UsageError for a draft that nothing can use, and
    EngineError for one that there is no memory for, if it was asked for."""
    hparams, asked = checkpoint.hparams, settings.draft == "int8"
    if settings.draft == "off":
        return None
    if device != "cpu" or settings.precision != "float32":
        if asked:
            raise UsageError("--draft int8 is for --precision float32 on a CPU; leave it out")
        return None
    _, length = settings.cache(hparams.n_ctx)
    need, free = needed(hparams, "int8", rows, length), free_memory()
    if asked and need > free:
        message = f"{size(need)} of memory are needed for the draft, {size(free)} are free"
        raise EngineError(message, fits={"draft": "off"})
    pays = (
        hparams.n_parameters >= LEAST_WEIGHTS
        and rows <= MOST_ROWS
        and settings.most_tokens(hparams.n_ctx) >= LEAST_TOKENS
        and need <= free // 2
    )
    if not (asked or pays):
        return None
    # Until it is there texts are written without it.
    pool = ThreadPoolExecutor(1, "draft")
    return pool.submit(load_engine, checkpoint, "cpu", "int8", settings.threads)
