"""models/demo -> a checkpoint of 117M's shape that writes as models/demo does: for measuring what
depends on how sure a model is, which random weights say nothing of.

    python3 benchmarks/grow_checkpoint.py /tmp/grown/117M

The residual stream, the heads and the hidden units stand there three times, each matrix divided by
three, which changes nothing: layer norm takes the same mean and variance from three copies. The six
layers that models/demo does not have add nothing. The tokens that it does not have get a logit 30
below, by a direction in which the copies differ and no other token lies. Its 512 positions are
stretched to 1,024, so that a text of any length here is one that it was trained for.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import fire
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.make_checkpoint import SIZES  # noqa: E402

from gpt2_sampler.weights.checkpoint import open_checkpoint  # noqa: E402
from gpt2_sampler.weights.openai import save_checkpoint  # noqa: E402

COPIES = 3
BIAS, PADDING = 0.5, -0.12
"""Of the direction, in the last layer norm and in the tokens that the model does not have: 512
channels of it make -30."""


def grow(folder: str) -> None:
    """Writes the folder; does nothing if it is there."""
    path = Path(folder)
    if (path / "model.ckpt.index").exists():
        return
    small = open_checkpoint(ROOT / "models/demo")
    hparams = SIZES["117M"]
    weights = {}
    for name, shape in hparams.variable_shapes().items():
        layer = int(name.split("/")[0][1:]) if name.startswith("h") else 0
        grown = np.zeros(shape, np.float32)
        if layer < small.hparams.n_layer:
            grown = enlarged(name, small[name], shape)
        weights[name] = grown
    direction = np.repeat([1, -1, 0], small.hparams.n_embd).astype(np.float32)
    weights["ln_f/b"] += BIAS * direction
    weights["wte"][small.hparams.n_vocab :] = PADDING * direction
    save_checkpoint(path, hparams, weights)
    for file in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(small.folder / file, path / file)


def enlarged(name: str, weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if name == "wpe":
        n, places = len(weight), np.linspace(0, len(weight) - 1, shape[0])
        low = np.minimum(places.astype(int), n - 2)
        part = (places - low)[:, None].astype(np.float32)
        return np.tile(weight[low] * (1 - part) + weight[low + 1] * part, COPIES)
    if name == "wte":
        grown = np.zeros(shape, np.float32)
        grown[: len(weight)] = np.tile(weight, COPIES)
        return grown
    if name.endswith("c_attn/w"):  # queries, keys and values, each COPIES times
        parts = [np.tile(part, (COPIES, COPIES)) for part in np.split(weight.squeeze(), 3, axis=-1)]
        return np.concatenate(parts, axis=-1).reshape(shape) / COPIES
    if name.endswith("c_attn/b"):
        return np.concatenate([np.tile(part, COPIES) for part in np.split(weight, 3)])
    if name.endswith("/w"):
        return np.tile(weight.squeeze(), (COPIES, COPIES)).reshape(shape) / COPIES
    scale = COPIES if name.startswith("ln_f") else 1  # the logits sum over the copies
    return np.tile(weight, COPIES) / scale


if __name__ == "__main__":
    fire.Fire(grow)
