"""A Hugging Face folder -> a GPT-2's weights by OpenAI's names, with its hyperparameters; and back.

Knows config.json and how Hugging Face names weights. Never opens a pickle.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import read_object
from gpt2_sampler.weights.hparams import HParams, require_shapes
from gpt2_sampler.weights.safetensors import FLOATS, Floats, SafeTensors, write_safetensors

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
PREFIX = "transformer."
PARTS = {"g": "weight", "b": "bias", "w": "weight"}
"""The end of OpenAI's name -> that of Hugging Face's."""
BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Attention masks, which older versions of transformers saved with the weights."""
OTHER_FORMATS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5")
THEIR_NAMES = {"n_vocab": "vocab_size", "n_ctx": "n_positions"}
"""Hyperparameters that are named otherwise in config.json."""
SAME_ACTIVATION = {
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_accurate": "gelu_new",
    "gelu_python": "gelu",
    "swish": "silu",
}
"""The same mathematics by other names."""
UNSUPPORTED = {"add_cross_attention": False, "quantization_config": None}
"""Choices that would need other mathematics, and the only value that is none."""


class HuggingFaceTensors:
    """model.safetensors or its shards, by OpenAI's names. Raises CheckpointError unless there
    is each weight of the right shape, and nothing that a GPT-2 has no use for."""

    kind, checksums = "huggingface", False

    def __init__(self, folder: Path) -> None:
        hparams = load_config(folder)
        self.found: dict[str, tuple[SafeTensors, str]] = {}
        self.shards = [SafeTensors(path) for path in weight_files(folder)]
        for shard in self.shards:
            for stored in shard.entries:
                name = stored.removeprefix(PREFIX)
                if name in self.found:
                    raise CheckpointError(f"{shard.path} has {stored} once more; remove one")
                self.found[name] = shard, stored
        if {"lm_head.weight", "wte.weight"} <= self.found.keys():
            same = self.same("lm_head.weight", "wte.weight")
            hparams = dataclasses.replace(hparams, tie_word_embeddings=same)
        self.files = [folder / CONFIG_NAME, *(shard.path for shard in self.shards)]
        self.hparams = hparams
        self.names = stored_names(hparams)
        self.check(folder)

    def check(self, folder: Path) -> None:
        entries = {name: shard.entries[stored] for name, (shard, stored) in self.found.items()}
        require_shapes(
            folder,
            {name: (entry.dtype, entry.shape) for name, entry in entries.items()},
            {self.names[n]: matrix(s) for n, s in self.hparams.variable_shapes().items()},
            FLOATS,
            CONFIG_NAME,
        )
        useful = {*self.names.values(), "lm_head.weight"}
        extra = [name for name in entries if name not in useful and not name.endswith(BUFFERS)]
        if extra:
            raise CheckpointError(
                f"{folder} has {len(extra)} tensors that are not of a GPT-2 that writes text, "
                f"such as {extra[0]!r:.80}; it cannot be sampled from"
            )

    def same(self, one: str, other: str) -> bool:
        rows = [self.found[name][0].stored(self.found[name][1]) for name in (one, other)]
        shapes = {row.array.shape for row in rows}
        return len(shapes) == 1 and all(
            np.array_equal(rows[0][start : start + 1024], rows[1][start : start + 1024])
            for start in range(0, len(rows[0].array), 1024)
        )

    def read(self, name: str) -> Floats:
        shard, stored = self.found[self.names[name]]
        array = shard.stored(stored)[...]
        return array[None] if name.endswith("/w") else array

    def digest(self) -> bytes:
        """Of every byte: the format has no checksums, and times and sizes stay the same where
        one fine-tuned model is unpacked over another."""
        checksums = [(shard.path.name, shard.checksum()) for shard in self.shards]
        return hashlib.sha256(repr(checksums).encode()).digest()


def matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """OpenAI's shape -> Hugging Face's, which has no convolution's width of 1."""
    return shape[1:] if len(shape) == 3 else shape


def stored_names(hparams: HParams) -> dict[str, str]:
    """OpenAI's names -> Hugging Face's, without "transformer."."""
    names = {}
    for name in hparams.variable_shapes():
        if name in ("wte", "wpe", "lm_head"):
            names[name] = f"{name}.weight"
        else:
            *path, part = name.replace("/", ".").split(".")
            layer = path[0] if path[0] == "ln_f" else f"h.{path[0].removeprefix('h')}"
            names[name] = ".".join([layer, *path[1:], PARTS[part]])
    return names


def weight_files(folder: Path) -> list[Path]:
    index = folder / INDEX_NAME
    if (folder / WEIGHTS_NAME).is_file() or not index.is_file():
        others = [name for name in OTHER_FORMATS if (folder / name).is_file()]
        if others and not (folder / WEIGHTS_NAME).is_file():
            raise CheckpointError(
                f"{folder} has its weights as {others[0]} only, a format that can run programs "
                "and is never opened here; if you trust it, convert it: python3 -c "
                f"\"import transformers as t; t.GPT2LMHeadModel.from_pretrained('{folder}')"
                f".save_pretrained('{folder}')\""
            )
        return [folder / WEIGHTS_NAME]
    weight_map = read_object(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise CheckpointError(f"{index} names no files beside it", file=index)
    return [folder / name for name in sorted(set(names))]


def load_config(folder: Path) -> HParams:
    """Reads FOLDER/config.json. Raises CheckpointError that names the file."""
    path = folder / CONFIG_NAME
    config = read_object(path)
    if config.get("model_type") != "gpt2":
        raise CheckpointError(
            f"{path}: model_type must be 'gpt2', not {config.get('model_type')!r:.40}; "
            "no other architecture can be sampled from"
        )
    for name, supported in UNSUPPORTED.items():
        if config.get(name, supported) != supported:
            raise CheckpointError(f"{path}: {name} is set, which cannot be honoured here")
    if "n_positions" not in config and "n_ctx" in config:
        config["n_positions"] = config["n_ctx"]
    fields = {}
    for field in dataclasses.fields(HParams):
        name = THEIR_NAMES.get(field.name, field.name)
        if name in config:
            fields[field.name] = config[name]
        elif field.default is dataclasses.MISSING:
            raise CheckpointError(f"{path} has no {name}", file=path)
    activation = fields.get("activation_function")
    if isinstance(activation, str):
        fields["activation_function"] = SAME_ACTIVATION.get(activation, activation)
    if fields.get("n_inner") == 4 * fields["n_embd"]:
        fields["n_inner"] = None
    try:
        return HParams(**fields)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def save_huggingface(
    folder: Path, hparams: HParams, weights: Mapping[str, Floats], end_of_text: int | None
) -> None:
    """Writes config.json and model.safetensors as transformers does. Raises OSError."""
    config = {THEIR_NAMES.get(n, n): value for n, value in dataclasses.asdict(hparams).items()}
    config |= {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_ctx": hparams.n_ctx,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "torch_dtype": "float32",
    }
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    ours = {prefixed(theirs): name for name, theirs in stored_names(hparams).items()}
    shapes = hparams.variable_shapes()
    write_safetensors(
        folder / WEIGHTS_NAME,
        {theirs: matrix(shapes[name]) for theirs, name in ours.items()},
        lambda theirs: weights[ours[theirs]],
    )


def prefixed(name: str) -> str:
    return name if name.startswith("lm_head") else f"{PREFIX}{name}"
