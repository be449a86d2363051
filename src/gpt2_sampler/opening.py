"""A path to a model of any kind -> its checkpoint and its tokenizer, wherever that is.

Knows where to look for base models, but not what is in their files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.files import user_path
from gpt2_sampler.registry import base_folders, find_model
from gpt2_sampler.tokenizer import load
from gpt2_sampler.tokenizer.byte_level import ENCODER_NAME, MERGES_NAME, load_encoder
from gpt2_sampler.tokenizer.characters import FILE_NAME as META_NAME
from gpt2_sampler.tokenizer.characters import load_characters
from gpt2_sampler.tokenizer.ggml import ggml_tokenizer
from gpt2_sampler.tokenizer.load import Tokenizer, has_vocabulary
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint
from gpt2_sampler.weights.gguf import GGUFTensors
from gpt2_sampler.weights.nanogpt import NanoGPTTensors

GPT2_TOKENS = 50257


def open_model(
    model: str | Path | Checkpoint, step: str | None = None, models_dir: str | None = None
) -> Checkpoint:
    """As open_checkpoint; a str may also be a model's name. The model of that name and those that a
    fine-tuning run may have started from are looked for in models_dir, by default where models are
    kept, the latter near the run as well."""
    if isinstance(model, Checkpoint):
        return model
    path = path_of(model, models_dir)
    return open_checkpoint(path, step, base_folders(path, models_dir))


def path_of(model: str | Path, models_dir: str | None = None) -> Path:
    """A path as it is; a str is that or a name, as the commands take it. Raises UsageError."""
    if isinstance(model, str):
        return find_model(model, models_dir)
    if isinstance(model, Path):
        return user_path(model)
    raise UsageError(f"a model is a path, or a name of one that is here, not {model!r}")


def load_tokenizer(model: str | Path | Checkpoint, models_dir: str | None = None) -> Tokenizer:
    """The tokenizer of a model: any path or name that load_engine takes, or a folder that holds
    only vocabulary files. A fine-tuning run without a vocabulary uses that of its base model, a
    nanoGPT checkpoint the characters that it was trained on, or GPT-2's.

    Raises UsageError if there is no such model, CheckpointError if it has no vocabulary, or one
    that is damaged or unknown.
    """
    place = vocabulary_place(model, models_dir)
    if isinstance(place, GGUFTensors):
        try:
            return ggml_tokenizer(place.metadata)
        except CheckpointError as error:
            raise CheckpointError(f"{place.files[0]}: {error}") from None
    if place.name == META_NAME:
        return load_characters(place)
    return load.load_tokenizer(place)


def vocabulary_place(
    model: str | Path | Checkpoint, models_dir: str | None = None
) -> Path | GGUFTensors:
    """The folder or file that has the model's vocabulary; its own folder if none has."""
    path = model.folder if isinstance(model, Checkpoint) else path_of(model, models_dir)
    folder = path if path.is_dir() else path.parent
    known = isinstance(model, Checkpoint) or not path.is_dir()
    if not known and has_vocabulary(folder):
        return folder
    try:
        checkpoint = open_model(
            model if isinstance(model, Checkpoint) else path, models_dir=models_dir
        )
    except CheckpointError:  # no weights, or none that can be opened
        return folder
    if isinstance(checkpoint.tensors, GGUFTensors):
        return checkpoint.tensors
    if has_vocabulary(folder):
        return folder
    if isinstance(checkpoint.tensors, NanoGPTTensors):
        return nanogpt_vocabulary(checkpoint.tensors, base_folders(folder, models_dir))
    return checkpoint.base or folder


def vocabulary_folder(model: str | Path | Checkpoint, models_dir: str | None = None) -> Path:
    """The folder that has the vocabulary, or the file of weights that includes it."""
    place = vocabulary_place(model, models_dir)
    if isinstance(place, GGUFTensors):
        return place.files[0].parent
    return place if place.is_dir() else place.parent


def nanogpt_vocabulary(tensors: NanoGPTTensors, bases: Iterable[Path]) -> Path:
    """The characters of the dataset that it was trained on, which nanoGPT keeps in data/DATASET
    beside its runs; else GPT-2's vocabulary, from any of the folders in bases."""
    folder = tensors.files[0].resolve().parent
    for place in (folder, *folder.parents[:3]):
        for path in sorted(place.glob(f"data/{tensors.dataset or '*'}/{META_NAME}")):
            size, rows = load_characters(path).n_vocab, tensors.hparams.n_vocab
            if size == rows or (tensors.dataset and size < rows):
                return path
    if tensors.hparams.n_vocab >= GPT2_TOKENS:
        for base in bases:
            files = (base / ENCODER_NAME, base / MERGES_NAME)
            if all(map(Path.is_file, files)) and load_encoder(base).n_vocab == GPT2_TOKENS:
                return base
        raise CheckpointError(
            f"{tensors.files[0]} was trained with GPT-2's vocabulary, which no model here has; "
            f"copy {ENCODER_NAME} and {MERGES_NAME} of one into {folder}"
        )
    raise CheckpointError(
        f"{tensors.files[0]} has {tensors.hparams.n_vocab} tokens, and no {META_NAME} that says "
        f"which; copy that of data/{tensors.dataset or 'DATASET'} into {folder}"
    )
