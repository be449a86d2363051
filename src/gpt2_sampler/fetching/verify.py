"""A model's folder -> what is wrong with each of its files.

Every byte of a released model is known; of any other, only what its files say about each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.fetching.fetch_model import faults
from gpt2_sampler.fetching.released import files_of
from gpt2_sampler.opening import load_tokenizer, open_model
from gpt2_sampler.registry import canonical
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, MERGES_NAME
from gpt2_sampler.tokenizer.load import VOCABULARY_FILES
from gpt2_sampler.weights.checkpoint import checkpoints_in
from gpt2_sampler.weights.hparams import FILE_NAME
from gpt2_sampler.weights.openai import STATE_FILE

BESIDE = (STATE_FILE, FILE_NAME, ENCODER_NAME, MERGES_NAME, *VOCABULARY_FILES)
"""Files beside the weights."""
RIGHT = "right"
UNCHECKED = "whole; its format has no checksum"


def verify(path: Path, models_dir: str | None = None) -> dict[Path, tuple[bool, str]]:
    """Reads every byte of the model at a path -> whether each file is right, and a remark on it."""
    if canonical(path.name):
        found = faults(path, files_of(path.name))
        return {path / name: (not wrong, wrong or RIGHT) for name, wrong in found.items()}
    return examine(path, models_dir)


def examine(path: Path, models_dir: str | None) -> dict[Path, tuple[bool, str]]:
    """The same for a folder of weights of any kind, or one checkpoint, and its vocabulary."""
    folder = path if path.is_dir() else path.parent
    told = {file: (True, RIGHT) for file in map(folder.joinpath, BESIDE) if file.is_file()}
    try:
        checkpoints: Iterable[Path] = checkpoints_in(path)
    except CheckpointError as error:
        return told | fault(error, folder)
    for one in checkpoints:
        try:
            checkpoint = open_model(one, models_dir=models_dir)
            checkpoint.verify()
            says = RIGHT if checkpoint.tensors.checksums else UNCHECKED
            told |= {file: (True, says) for file in checkpoint.tensors.files}
        except CheckpointError as error:
            told |= fault(error, one)
    try:
        load_tokenizer(path, models_dir)
    except CheckpointError as error:
        told |= fault(error, folder)
    return told


def fault(error: CheckpointError, otherwise: Path) -> dict[Path, tuple[bool, str]]:
    """The file that the error is about, and the error without its name."""
    file = error.facts.get("file", otherwise)
    return {file: (False, str(error).removeprefix(f"{file} ").removeprefix("is "))}
