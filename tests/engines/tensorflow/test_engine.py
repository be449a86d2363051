"""What is TensorFlow's own: graphs are traced once, and a full device is said as such."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine
from gpt2_sampler.errors import OutOfMemory
from tests.checkpoints import copy_of_parity


def test_another_length_is_not_traced_again(tmp_path: Path) -> None:
    engine = TensorFlowEngine(copy_of_parity(tmp_path), "cpu")
    engine.reserve(2)
    for n in (1, 2, 17, 30):
        engine.reserve(2)
        engine.forward([5] * n, [1] * n, range(n), [n - 1])
        engine.forward([3, 4], [0, 1], [0, n], [0, 1])
    assert engine._read.experimental_get_tracing_count() == 1


def test_too_little_memory_on_the_device_is_said_so_that_a_batch_can_be_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorFlowEngine(copy_of_parity(tmp_path), "cpu")

    def exhausted(*arguments: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(tf, "zeros", exhausted)
    with pytest.raises(OutOfMemory, match="do not fit the memory of /CPU:0"):
        engine.reserve(64)
    assert engine.rows == 0
