"""A path to a model of any kind -> its checkpoint, and its tokenizer wherever that lies.

Knows where base models are looked for; what is in the files is known elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import user_path
from gpt2_sampler.registry import base_folders
from gpt2_sampler.tokenizer import load
from gpt2_sampler.tokenizer.load import Tokenizer, has_vocabulary
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint


def open_model(
    model: str | Path | Checkpoint, step: str | None = None, models_dir: str | None = None
) -> Checkpoint:
    """open_checkpoint, with the models that a fine-tuning run may have started from: those in
    models_dir, or where models are kept by default, and near the run."""
    if isinstance(model, Checkpoint):
        return model
    path = user_path(model)
    return open_checkpoint(path, step, base_folders(path, models_dir))


def load_tokenizer(model: str | Path | Checkpoint) -> Tokenizer:
    """The tokenizer of the model at a path: any folder that load_engine takes, or one that holds
    vocabulary files alone. A fine-tuning run without a vocabulary has that of its base model.

    Raises CheckpointError where there is none, or one that is damaged or unknown.
    """
    return load.load_tokenizer(vocabulary_folder(model))


def vocabulary_folder(model: str | Path | Checkpoint, models_dir: str | None = None) -> Path:
    """The model's folder, or that of its base model where the vocabulary is only there."""
    if isinstance(model, Checkpoint):
        folder = model.folder
    else:
        path = user_path(model)
        folder = path if path.is_dir() else path.parent
    if has_vocabulary(folder):
        return folder
    try:
        return open_model(model, models_dir=models_dir).base or folder
    except CheckpointError:  # no weights either
        return folder
