"""What LiteRT's compiled models are asked for beyond their public calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpt2_sampler import load_engine
from gpt2_sampler.engines.litert import functions
from gpt2_sampler.engines.litert.engine import LiteRTEngine
from tests.engines.litert.test_engine import random_text


def test_compiled_models_private_calls_are_where_they_were(long_model: Path) -> None:
    """functions.py relies on them: should a new version move them, this says what is missing."""
    engine = load_engine(long_model, "cpu")
    assert isinstance(engine, LiteRTEngine)
    assert hasattr(engine.layers._model._model, "RunByIndex")
    plan = engine.layers.prepare(3)
    shapes = [part.shape for part in (plan.x, plan.attended, plan.out, plan.state)]
    assert shapes == [(3, 22), (3, 22), (3, 66), (3, 22)]
    assert hasattr(functions.litert(), "LiteRtGetTensorBufferHostMemory")


def test_sizes_come_and_go(long_model: Path) -> None:
    """More sizes than buffers are kept for, each after any other."""
    engine, text = load_engine(long_model, "cpu"), random_text(5, 40)
    assert isinstance(engine, LiteRTEngine)
    whole, cache = engine.logits(text), engine.new_cache(1)
    for sizes in (range(1, 9), [8, 2, 8, 3, 2, 1, 7, 5], range(1, 9)):
        at = 0
        for size in sizes:
            places = range(at, at + size)
            logits = engine.forward(cache, text[at : at + size], [0] * size, places, range(size))
            np.testing.assert_allclose(logits, whole[at : at + size], atol=1e-4)
            at += size
    assert len(engine.layers._plans) <= functions.KEPT
