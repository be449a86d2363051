"""Small model folders for tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.openai import save_checkpoint
from gpt2_sampler.weights.tensor_bundle import write_bundle

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).parent / "data"
"""Small models and what others make of them, as the programs in tools wrote them."""
DEMO = ROOT / "models" / "demo"
PARITY = DATA / "parity" / "tiny"
PARITY_EXPECTED = DATA / "parity" / "tiny_expected.npz"
PRIMES = HParams(n_vocab=263, n_ctx=23, n_embd=35, n_head=5, n_layer=2)
"""No two axes of the same size, and room for a vocabulary of bytes."""


def copy_of_parity(folder: Path) -> Path:
    """The checkpoint for which OpenAI's own code gave the logits; it has no vocabulary."""
    return Path(shutil.copytree(PARITY, folder / "tiny", copy_function=shutil.copyfile))


def random_weights(hparams: HParams, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(1 if name.endswith("/g") else 0, 0.3, shape).astype(np.float32)
        for name, shape in hparams.variable_shapes().items()
    }


def write_step(
    prefix: Path, weights: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray] = {}
) -> None:
    """A step of a fine-tuning run, with what its optimizer leaves beside the weights."""
    stored = {f"model/{n}": w[None] if n.endswith("/w") else w for n, w in weights.items()}
    stored |= others
    write_bundle(prefix, stored, stored.__getitem__)


def random_checkpoint(folder: Path, hparams: HParams = PRIMES, seed: int = 0) -> Path:
    save_checkpoint(folder, hparams, random_weights(hparams, seed))
    return folder


def byte_vocabulary(folder: Path) -> Path:
    """A token for each byte, one merge, and end-of-text."""
    symbols = [*BYTE_SYMBOLS, "th", END_OF_TEXT_NAME]
    encoder = {symbol: number for number, symbol in enumerate(symbols)}
    (folder / "encoder.json").write_text(json.dumps(encoder), encoding="utf-8")
    (folder / "vocab.bpe").write_text("#version: 0.2\nt h\n", encoding="utf-8")
    return folder
