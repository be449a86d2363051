"""Threads that share an engine write what each would write alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpt2_sampler.engines.load import load_engine
from tests.checkpoints import random_checkpoint
from tests.long.threads import stress


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_eight_threads_a_fork_and_a_close_in_the_middle(tmp_path: Path, precision: str) -> None:
    engine = load_engine(random_checkpoint(tmp_path / "model"), "cpu", precision)
    assert stress(engine, threads=8, seconds=2, seed=1) > 0
