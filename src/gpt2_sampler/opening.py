"""A path to a model of any kind -> its checkpoint and its tokenizer, wherever that is.

Knows where to look for base models, but not what is in their files.
"""

from __future__ import annotations

from pathlib import Path

from gpt2_sampler.errors import CheckpointError, UsageError, brief
from gpt2_sampler.files import user_path
from gpt2_sampler.registry import base_folders, find_model
from gpt2_sampler.tokenizer import load
from gpt2_sampler.tokenizer.load import Tokenizer, has_vocabulary
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint


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
    raise UsageError(f"a model is a path, or a name of one that is here, not {brief(model)}")


def load_tokenizer(model: str | Path | Checkpoint, models_dir: str | None = None) -> Tokenizer:
    """The tokenizer of a model: any path or name that load_engine takes, or a folder that holds
    only vocabulary files. A fine-tuning run without a vocabulary uses that of its base model, a
    nanoGPT checkpoint the characters that it was trained on, or GPT-2's.

    Raises UsageError if there is no such model, CheckpointError if it has no vocabulary, or one
    that is damaged or unknown.
    """
    return open_vocabulary(find_vocabulary(model, models_dir))


def open_vocabulary(found: Path | Tokenizer) -> Tokenizer:
    """What find_vocabulary found -> its tokenizer."""
    return load.load_tokenizer(found) if isinstance(found, Path) else found


def find_vocabulary(
    model: str | Path | Checkpoint, models_dir: str | None = None
) -> Path | Tokenizer:
    """The folder that has the model's vocabulary, its own folder if none has; or the tokenizer that
    the file of weights holds."""
    path = model.folder if isinstance(model, Checkpoint) else path_of(model, models_dir)
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not isinstance(model, Checkpoint) and has_vocabulary(folder):
        return folder
    try:
        opened = model if isinstance(model, Checkpoint) else path
        tensors = open_model(opened, models_dir=models_dir).tensors
    except CheckpointError:  # no weights, or none that can be opened
        return folder
    if (tokenizer := tensors.tokenizer()) is not None:
        return tokenizer
    if has_vocabulary(folder):
        return folder
    return tensors.find_vocabulary(base_folders(folder, models_dir)) or folder
