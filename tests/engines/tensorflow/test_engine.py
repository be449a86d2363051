"""What is TensorFlow's own: graphs are traced once, and a full device is said as such."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine
from gpt2_sampler.errors import OutOfMemory
from tests.checkpoints import copy_of_parity


def test_another_length_or_cache_is_not_traced_again(tmp_path: Path) -> None:
    engine = TensorFlowEngine(copy_of_parity(tmp_path), "cpu")
    for n in (1, 2, 17, 30):
        cache = engine.new_cache(n + 1)
        engine.forward(cache, [5] * n, [n] * n, range(n), [n - 1])
        engine.forward(cache, [3, 4], [0, n], [0, n], [0, 1])
    assert engine._read.experimental_get_tracing_count() == 1


def test_too_little_memory_on_the_device_is_said_so_that_a_batch_can_be_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorFlowEngine(copy_of_parity(tmp_path), "cpu")

    def exhausted(*arguments: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(tf, "zeros", exhausted)
    with pytest.raises(OutOfMemory, match="do not fit the memory of /CPU:0"):
        engine.new_cache(64)
