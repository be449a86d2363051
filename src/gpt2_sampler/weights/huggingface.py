"""A Hugging Face folder -> a GPT-2's weights by OpenAI's names, with its hyperparameters; and back.

Knows config.json and which files hold weights.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import CheckpointError, brief
from gpt2_sampler.files import read_object
from gpt2_sampler.weights.hdf5 import read_keras
from gpt2_sampler.weights.hparams import HParams, hparams_from
from gpt2_sampler.weights.named import NamedTensors, stored_names
from gpt2_sampler.weights.pytorch import Tensor, read_pytorch
from gpt2_sampler.weights.safetensors import read_safetensors, write_safetensors
from gpt2_sampler.weights.storage import Floats, Stored
from gpt2_sampler.weights.strangers import BESIDE, name_stranger

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
WEIGHTS_NAMES = (WEIGHTS_NAME, "pytorch_model.bin", "tf_model.h5")
INDEX_END = ".index.json"
"""The end of the name of a file that says in which shard each tensor is."""
FILE = re.compile(r"\w[\w.-]{,254}")
"""The name of a shard, which must lie beside its index."""
SHARD = re.compile(r"-\d+-of-\d+(?=\.)")
PREFIX = "transformer."
THEIR_NAMES = {"n_vocab": "vocab_size", "n_ctx": "n_positions"}
"""Hyperparameters that are named otherwise in config.json."""
OTHER_NAMES = {
    "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
}  # fmt: skip
"""What transformers also calls them, and takes where both are there."""
SHAPE = {"vocab_size", "n_positions", "n_embd", "n_head", "n_layer"}
SAME_ACTIVATION = {
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_accurate": "gelu_new",
    "gelu_python": "gelu",
    "swish": "silu",
}
"""The same mathematics by other names."""
UNSUPPORTED = {"add_cross_attention": False, "quantization_config": None}
"""Settings that change the mathematics -> the one value that is supported."""


class HuggingFaceTensors(NamedTensors):
    """The weights of a folder, whole or in shards, or those of one file in it."""

    kind = "huggingface"

    def __init__(self, path: Path) -> None:
        folder = path if path.is_dir() else path.parent
        hparams = load_config(folder)
        found: dict[str, Stored] = {}
        files = find_weights(folder) if path.is_dir() else [path]
        self.files = [folder / CONFIG_NAME, *files]
        for file in files:
            for stored, tensor in READERS.get(file.suffix, read_safetensors)(file).items():
                name = stored.removeprefix(PREFIX)
                if name in found:
                    raise CheckpointError(f"{file} has {stored} once more; remove one")
                found[name] = tensor
        super().__init__(path, CONFIG_NAME, hparams, found)

    @classmethod
    def find(cls, path: Path) -> Path | None:
        folder = path if path.is_dir() else path.parent
        if (folder / CONFIG_NAME).is_file():
            if path in (folder, folder / CONFIG_NAME):
                return folder
            if path.suffix in READERS:
                return path
        return None


def read_state(path: Path) -> Mapping[str, Stored]:
    """A module's state, as PyTorch saves it."""
    saved = read_pytorch(path)
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path} holds no tensors by name")
    return {str(name): tensor for name, tensor in saved.items() if isinstance(tensor, Tensor)}


READERS: Mapping[str, Callable[[Path], Mapping[str, Stored]]] = {
    ".safetensors": read_safetensors,
    ".bin": read_state,
    ".pt": read_state,
    ".pth": read_state,
    ".h5": read_keras,
}
"""How a file's name ends -> what reads it."""


def find_weights(folder: Path) -> list[Path]:
    """The first there is of the kinds of files, as transformers chooses."""
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{INDEX_END}").is_file():
            return find_shards(folder / f"{name}{INDEX_END}")
    first, *others = WEIGHTS_NAMES
    if found := find_other_weights(folder):
        some = found[0].name
        if SHARD.search(some):
            raise CheckpointError(
                f"{folder} has parts of the weights, such as {some}, but no "
                f"{SHARD.sub('', some)}{INDEX_END}, which says what is in them; copy that too",
                file=folder / f"{SHARD.sub('', some)}{INDEX_END}",
            )
        raise CheckpointError(
            f"{folder} has no {first}, but {some}; if those are the weights, give that file: "
            f"{found[0]}"
        )
    if what := name_stranger(folder):
        raise CheckpointError(what)
    raise CheckpointError(
        f"{folder / first} is missing, and so are {' and '.join(others)}", file=folder / first
    )


def find_other_weights(folder: Path) -> list[Path]:
    """Files that may be weights, by names that transformers does not look for."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in READERS and path.is_file() and not BESIDE.match(path.name)
    )


def find_shards(index: Path) -> list[Path]:
    weight_map = read_object(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(n, str) and FILE.fullmatch(n) for n in names):
        raise CheckpointError(f"{index} names no files beside it", file=index)
    return [index.parent / name for name in sorted(set(names))]


def load_config(folder: Path) -> HParams:
    """Reads FOLDER/config.json. Raises CheckpointError that names the file."""
    path = folder / CONFIG_NAME
    config = read_object(path)
    for name, usual in OTHER_NAMES.items():
        if name in config:
            config[usual] = config[name]
    if "n_positions" not in config and "n_ctx" in config:
        config["n_positions"] = config["n_ctx"]
    if not is_gpt2(config):
        raise CheckpointError(
            f"{path}: model_type must be 'gpt2', not {brief(config.get('model_type'))}; "
            "no other architecture can be sampled from"
        )
    for name, supported in UNSUPPORTED.items():
        if config.get(name, supported) != supported:
            raise CheckpointError(f"{path}: {name} is set, which cannot be honoured here")
    activation = config.get("activation_function")
    if isinstance(activation, str):
        config["activation_function"] = SAME_ACTIVATION.get(activation, activation)
    return hparams_from(path, config, THEIR_NAMES)


def is_gpt2(config: Mapping[str, Any]) -> bool:
    """Settings of 2019 do not say model_type, but the class of the model, or only its shape."""
    if "model_type" in config:
        return bool(config["model_type"] == "gpt2")
    if "architectures" in config:
        classes = config["architectures"]
        return isinstance(classes, list) and bool(classes) and str(classes[0]).startswith("GPT2")
    of_gpt1 = "afn" in config
    return config.keys() >= SHAPE and not of_gpt1


def save_huggingface(
    folder: Path, hparams: HParams, weights: Mapping[str, Floats], marks: Mapping[str, Any]
) -> None:
    """Writes config.json and model.safetensors as transformers does; marks are what config.json
    says of the tokens that begin and end a text. Raises OSError."""
    config = {THEIR_NAMES.get(n, n): value for n, value in dataclasses.asdict(hparams).items()}
    config |= {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_ctx": hparams.n_ctx,
        "torch_dtype": "float32",
        **marks,
    }
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    ours = {add_prefix(theirs): name for name, theirs in stored_names(hparams).items()}
    shapes = hparams.variable_shapes()
    write_safetensors(
        folder / WEIGHTS_NAME,
        {theirs: shapes[name] for theirs, name in ours.items()},
        lambda theirs: weights[ours[theirs]],
    )


def add_prefix(name: str) -> str:
    return name if name.startswith("lm_head") else f"{PREFIX}{name}"
