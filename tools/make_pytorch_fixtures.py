"""The model of tests/data/huggingface/plain as PyTorch saves it, and small random models of
nanoGPT's with their logits -> tests/data/formats.

    pip install torch safetensors
    git clone https://github.com/karpathy/nanoGPT
    python3 tools/make_pytorch_fixtures.py nanoGPT

The tests read the files wherever they run; torch is only needed here.
"""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
PLAIN, TARGET = DATA / "huggingface" / "plain", DATA / "formats"
CHARACTERS = "\n !,.abcdefghijklmnopqrstuvwxyzé"
SHAPE = {"block_size": 23, "n_layer": 2, "n_head": 2, "n_embd": 14, "dropout": 0.0}
NANOGPT = {
    "characters": {"vocab_size": len(CHARACTERS), "bias": False},
    "padded": {"vocab_size": 320, "bias": True},  # of which a byte vocabulary has 258
}
LENGTH = 11  # tokens


def main(nanogpt: str) -> None:
    sys.path.insert(0, nanogpt)
    pytorch()
    expected: dict[str, Any] = {}
    for number, (kind, arguments) in enumerate(NANOGPT.items()):
        torch.manual_seed(number)
        expected |= nanogpt_run(kind, {**SHAPE, **arguments})
    np.savez_compressed(TARGET / "nanogpt.npz", **expected)
    meta(TARGET / "data" / "shakespeare_char" / "meta.pkl")


def pytorch() -> None:
    """pytorch_model.bin whole, in shards, and as versions before 1.6 wrote it."""
    weights = load_file(PLAIN / "model.safetensors")
    weights["lm_head.weight"] = weights["transformer.wte.weight"]  # one storage, as when training
    weights["transformer.h.0.attn.bias"] = torch.ones(1, 1, 23, 23, dtype=torch.bool).tril()
    names = list(weights)
    for kind in ("whole", "legacy", "sharded"):
        folder = TARGET / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(PLAIN / "config.json", folder)
    torch.save(weights, TARGET / "whole" / "pytorch_model.bin")
    torch.save(
        weights,
        TARGET / "legacy" / "pytorch_model.bin",
        _use_new_zipfile_serialization=False,
    )
    places: dict[str, str] = {}
    for number, part in enumerate((names[:9], names[9:]), start=1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: weights[name] for name in part}, TARGET / "sharded" / file)
        places |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (TARGET / "sharded" / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def nanogpt_run(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A run's folder with ckpt.pt as train.py saves it after one step of the optimizer."""
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    model = GPT(GPTConfig(**arguments))
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
    for name, weight in model.named_parameters():  # wide, so that every part shows in the logits
        torch.nn.init.normal_(weight, float("ln_" in name and "weight" in name), 0.3)
    tokens = torch.randint(arguments["vocab_size"], [3, LENGTH])
    _, loss = model(tokens, tokens)
    loss.backward()
    optimizer.step()
    checkpoint = {
        "model": {f"_orig_mod.{name}": value for name, value in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "model_args": arguments,
        "iter_num": 250,
        "best_val_loss": loss.detach(),
        "config": {"dataset": "shakespeare_char" if kind == "characters" else "openwebtext"},
    }
    folder = TARGET / f"out-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, folder / "ckpt.pt")
    model.eval()
    with torch.no_grad():
        logits, _ = model(tokens, tokens)  # with targets it gives those of every place
    return {f"{kind}_tokens": tokens.numpy(), f"{kind}_logits": logits.numpy()}


def meta(path: Path) -> None:
    """As data/shakespeare_char/prepare.py writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    itos = dict(enumerate(CHARACTERS))
    stoi = {character: number for number, character in itos.items()}
    with path.open("wb") as file:
        pickle.dump({"vocab_size": len(itos), "itos": itos, "stoi": stoi}, file)


if __name__ == "__main__":
    main(sys.argv[1])
