"""The file that is made of a model's weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.engines.litert import export
from gpt2_sampler.engines.litert.graph import build
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import PRIMES

PINNED = {
    "float32": "9ca05902970859e1",
    "int8": "a2fbec695325761d",
}


@pytest.mark.parametrize("precision", PINNED)
def test_the_same_weights_give_the_same_bytes(tmp_path: Path, precision: str) -> None:
    """Where this fails, the exporter makes another file of the same weights: EXPORT_VERSION must
    go up with these sums, or users go on with the old file. The weights are quarters, whose sums
    no processor rounds."""
    random = np.random.default_rng(5)
    weights = {
        name: (random.integers(-9, 10, shape) / 4).astype(np.float32)
        for name, shape in PRIMES.variable_shapes().items()
    }
    with (tmp_path / "file").open("w+b") as file:
        build(weights, PRIMES, precision).write(file)
    content = (tmp_path / "file").read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == PINNED[precision], export.EXPORT_VERSION


def test_each_matrix_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(folder)
    read: list[str] = []
    before = checkpoint.tensors.read

    def watched(name: str) -> np.ndarray:
        read.append(name)
        return before(name)

    monkeypatch.setattr(checkpoint.tensors, "read", watched)
    for precision in ("float32", "int8"):
        read.clear()
        export.export_model(checkpoint, precision)
        matrices = [name for name in read if name.endswith("/w") or name == "wte"]
        assert len(matrices) == len(set(matrices)), precision
