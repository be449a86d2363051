"""models/demo -> a checkpoint of a larger shape that writes as models/demo does: for measuring what
depends on how sure a model is, which random weights say nothing of.

    python3 benchmarks/grow_checkpoint.py /tmp/grown/117M [--size 345M] [--disturbance 0.1]

The residual stream, the heads and the hidden units stand there three times (four times in 345M),
each matrix divided by as many, which changes nothing: layer norm takes the same mean and variance
from the copies. The layers that models/demo does not have add nothing. The tokens that it does not
have get a logit 30 below, by a direction in which the copies differ and no other token lies. Its
512 positions are stretched to 1,024, so that a text of any length here is one that it was trained
for.

With a disturbance, noise of that many standard deviations is added to each matrix before it grows,
so that the model writes differently from one that was grown without.
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

BIAS, PADDING = 0.5, -0.12
"""Of the direction, in the last layer norm and in the tokens that the model does not have: 512
channels of it make -30."""


def grow(folder: str, size: str = "117M", disturbance: float = 0.0) -> None:
    """Writes the folder; does nothing if it is there."""
    path = Path(folder)
    if (path / "model.ckpt.index").exists():
        return
    small = open_checkpoint(ROOT / "models/demo")
    hparams = SIZES[size]
    copies = hparams.n_embd // small.hparams.n_embd
    random = np.random.default_rng(0)
    weights = {}
    for name, shape in hparams.variable_shapes().items():
        layer = int(name.split("/")[0][1:]) if name.startswith("h") else 0
        grown = np.zeros(shape, np.float32)
        if layer < small.hparams.n_layer:
            weight = np.asarray(small[name])
            if weight.ndim > 1 and disturbance:
                noise = random.standard_normal(weight.shape, np.float32)
                weight = weight + disturbance * weight.std() * noise
            grown = enlarge(name, weight, shape, copies)
        weights[name] = grown
    direction = np.repeat([1, -1] + [0] * (copies - 2), small.hparams.n_embd).astype(np.float32)
    weights["ln_f/b"] += BIAS * direction
    weights["wte"][small.hparams.n_vocab :] = PADDING * direction
    save_checkpoint(path, hparams, weights)
    for file in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(small.folder / file, path / file)


def enlarge(name: str, weight: np.ndarray, shape: tuple[int, ...], copies: int) -> np.ndarray:
    if name == "wpe":
        n, places = len(weight), np.linspace(0, len(weight) - 1, shape[0])
        low = np.minimum(places.astype(int), n - 2)
        part = (places - low)[:, None].astype(np.float32)
        return np.tile(weight[low] * (1 - part) + weight[low + 1] * part, copies)
    if name == "wte":
        grown = np.zeros(shape, np.float32)
        grown[: len(weight)] = np.tile(weight, copies)
        return grown
    if name.endswith("c_attn/w"):  # queries, keys and values, each as many times
        parts = [np.tile(part, (copies, copies)) for part in np.split(weight.squeeze(), 3, axis=-1)]
        return np.concatenate(parts, axis=-1).reshape(shape) / copies
    if name.endswith("c_attn/b"):
        return np.concatenate([np.tile(part, copies) for part in np.split(weight, 3)])
    if name.endswith("/w"):
        return np.tile(weight.squeeze(), (copies, copies)).reshape(shape) / copies
    scale = copies if name.startswith("ln_f") else 1  # the logits sum over the copies
    return np.tile(weight, copies) / scale


if __name__ == "__main__":
    fire.Fire(grow)
