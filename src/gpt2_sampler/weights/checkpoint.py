"""A path to a GPT-2 of any kind -> its weights by OpenAI's names, checked against its shape.

Knows no mathematics, no vocabularies, and not where models are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import require_regular, user_path
from gpt2_sampler.weights.digests import find_digest
from gpt2_sampler.weights.format import Tensors
from gpt2_sampler.weights.gguf import GGUFTensors
from gpt2_sampler.weights.hparams import FILE_NAME
from gpt2_sampler.weights.huggingface import HuggingFaceTensors
from gpt2_sampler.weights.nanogpt import NanoGPTTensors
from gpt2_sampler.weights.openai import OpenAITensors
from gpt2_sampler.weights.storage import Floats
from gpt2_sampler.weights.strangers import name_stranger

FORMATS: tuple[type[Tensors], ...] = (
    HuggingFaceTensors, NanoGPTTensors, GGUFTensors, OpenAITensors,
)  # fmt: skip
"""All formats; the first that finds something at a path opens it."""


class Checkpoint(Mapping[str, np.ndarray]):
    """Weights by name ("wte", "h0/attn/c_attn/w"), float32, read-only, mapped from the file where
    its format allows that. A matrix is [in, out].

    Names and shapes are checked on opening, checksums and finiteness on reading; all raise
    CheckpointError. folder is where the model lies.
    """

    def __init__(self, folder: Path, tensors: Tensors) -> None:
        self.folder = folder
        self.tensors = tensors
        self.hparams = tensors.hparams

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever a weight or a hyperparameter does."""
        return hashlib.sha256(find_digest(self.tensors) + repr(self.hparams).encode()).hexdigest()

    def __getitem__(self, name: str) -> Floats:
        array = self.tensors.read(name)
        if not np.isfinite([array.min(), array.max()]).all():
            raise CheckpointError(
                f"{self.folder}: {name} has numbers that are not finite: it is damaged, or comes "
                "from a training run that diverged"
            )
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.hparams.variable_shapes())

    def __len__(self) -> int:
        return len(self.hparams.variable_shapes())

    def verify(self) -> None:
        """Reads every byte of the weights. Raises CheckpointError that names a damaged one, where
        the format has checksums."""
        if not self.tensors.checksums:
            self.tensors.digest()
        for name in self:
            self[name]


def open_checkpoint(
    path: str | Path | Checkpoint, step: str | None = None, bases: Iterable[Path] = ()
) -> Checkpoint:
    """The model at path: a folder of any of the formats, one file of weights, or a fine-tuning
    run's folder or prefix. What is open already is given back.

    step chooses a run's checkpoint, "latest" or a number. A run's hyperparameters, where it has
    none itself, are those of the model it started from: the first of bases whose shape fits.
    Raises CheckpointError, UsageError for a step that is not there.
    """
    if isinstance(path, Checkpoint):
        return path
    path = user_path(path)
    kind, found = find_format(path)
    return Checkpoint(path if path.is_dir() else path.parent, kind.open(found, step, bases))


def find_format(path: Path) -> tuple[type[Tensors], Path]:
    """The format of what is at a path, and the file or folder of that format. A folder with
    hparams.json is OpenAI's, whatever else is in it. Raises CheckpointError."""
    for kind in (OpenAITensors,) if (path / FILE_NAME).exists() else FORMATS:
        if found := kind.find(path):
            return kind, found
    if not path.is_dir():
        require_regular(path, path.stat(), CheckpointError)
        other = f"{path} is no model of a kind that is known here; give the model's folder"
    else:
        other = (
            f"{path} holds no model: neither OpenAI's (checkpoint, {FILE_NAME}, ...) nor Hugging "
            "Face's (config.json, ...)"
        )
    raise CheckpointError(name_stranger(path) or other)


def holds_model(folder: Path) -> bool:
    """Whether a folder is one that open_checkpoint may open; its files may be damaged."""
    try:
        return (folder / FILE_NAME).exists() or any(kind.find(folder) for kind in FORMATS)
    except CheckpointError:  # several
        return True


def checkpoints_in(path: Path) -> list[Path]:
    """What open_checkpoint would open in a folder: the steps of a fine-tuning run, else the one
    model. Raises CheckpointError where there is nothing."""
    kind, found = find_format(path)
    return kind.checkpoints(found)
