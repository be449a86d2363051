"""A path to a GPT-2 of any kind -> its weights by OpenAI's names, checked against its shape.

Knows no mathematics, no vocabularies, and not where models are kept.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.files import require_regular, user_path
from gpt2_sampler.weights.gguf import GGUFTensors
from gpt2_sampler.weights.hparams import FILE_NAME, HParams, load_hparams, require_shapes
from gpt2_sampler.weights.huggingface import CONFIG_NAME, READERS, HuggingFaceTensors
from gpt2_sampler.weights.nanogpt import FILE_NAME as NANOGPT_NAME
from gpt2_sampler.weights.nanogpt import NanoGPTTensors
from gpt2_sampler.weights.openai import PREFIX, SCOPE, STATE_FILE, find_base, find_prefix, steps_in
from gpt2_sampler.weights.safetensors import Floats
from gpt2_sampler.weights.strangers import stranger
from gpt2_sampler.weights.tensor_bundle import INDEX, Bundle, write_bundle
from gpt2_sampler.writing import workplace


class Tensors(Protocol):
    """Where weights are stored, by OpenAI's names.

    kind says whose layout that is, files are those that it was read from, checksums whether the
    format has any.
    """

    kind: str
    checksums: bool
    files: list[Path]
    hparams: HParams

    def read(self, name: str) -> Floats:
        """Checked, where the kind has checksums."""

    def digest(self) -> bytes:
        """Changes whenever a weight does."""


class Checkpoint(Mapping[str, np.ndarray]):
    """Weights by name ("wte", "h0/attn/c_attn/w"), float32, read-only, mapped from the file.

    Names and shapes were checked when it was made, a tensor's checksum, and whether its numbers are
    finite, when it is read; all raise CheckpointError. folder is where it lies.
    """

    def __init__(self, folder: Path, tensors: Tensors, bases: Iterable[Path] = ()) -> None:
        self.folder = folder
        self.tensors = tensors
        self.hparams = tensors.hparams
        self._bases = bases

    @cached_property
    def base(self) -> Path | None:
        """The folder of the model that it was trained further from, where one was found."""
        if isinstance(self.tensors, OpenAITensors):
            return find_base(self.tensors.bundle, self._bases)
        return None

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever a weight or a hyperparameter does."""
        return hashlib.sha256(self.tensors.digest() + repr(self.hparams).encode()).hexdigest()

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


class OpenAITensors:
    """TensorFlow's files. What training left beside the weights is ignored."""

    kind, checksums = "openai", True

    def __init__(self, bundle: Bundle, hparams: HParams) -> None:
        self.bundle, self.hparams = bundle, hparams
        self.files = [bundle.index_path, bundle.data_path]
        path, shapes = bundle.index_path, hparams.variable_shapes()
        require_shapes(
            path,
            {name: (entry.dtype, entry.shape) for name, entry in bundle.entries.items()},
            {SCOPE + name: shape for name, shape in shapes.items()},
            ["float32"],
            FILE_NAME,
        )
        for name, shape in shapes.items():
            size = bundle.entries[SCOPE + name].size
            if size != 4 * math.prod(shape):
                raise CheckpointError(f"{path} is damaged: {SCOPE}{name} has {size} bytes")

    def read(self, name: str) -> Floats:
        return self.bundle[SCOPE + name]

    def digest(self) -> bytes:
        content = hashlib.sha256(self.bundle.index_path.read_bytes())  # has every weight's CRC
        content.update(str(len(self.bundle.data)).encode())
        return content.digest()


def open_checkpoint(
    path: str | Path | Checkpoint, step: str | None = None, bases: Iterable[Path] = ()
) -> Checkpoint:
    """The model at path: OpenAI's folder, a fine-tuning run's, one checkpoint's prefix or one of
    its files, or Hugging Face's folder. What is open already is given back.

    step chooses a run's checkpoint, "latest" or a number. A run's hyperparameters, where it has
    none itself, are those of the model it started from: the first of bases whose shape fits.
    Raises CheckpointError, UsageError for a step that is not there.
    """
    if isinstance(path, Checkpoint):
        return path
    path = user_path(path)
    if opener := opener_of(path):
        if step is not None:
            raise UsageError(
                f"{path} is one model, not a fine-tuning run to choose {step} from",
                change=["checkpoint"],
            )
        return Checkpoint(path if path.is_dir() else path.parent, opener())
    prefix = found_prefix(path, step)
    bundle, folder = Bundle(prefix), prefix.parent
    if (folder / FILE_NAME).exists():
        return Checkpoint(folder, OpenAITensors(bundle, load_hparams(folder)), bases)
    base = find_base(bundle, bases)
    if base is None:
        raise CheckpointError(
            f"{folder / FILE_NAME} is missing, and no other model has the shape of these weights; "
            f"copy into {folder} that file, and the vocabulary, of the model that they were "
            "trained from",
            file=folder / FILE_NAME,
        )
    return Checkpoint(folder, OpenAITensors(bundle, load_hparams(base)), [base])


def found_prefix(path: Path, step: str | None) -> Path:
    """As find_prefix; what is no checkpoint at all is called by its name."""
    if path.exists() and not path.is_dir() and not path.with_name(f"{path.name}{INDEX}").exists():
        require_regular(path, path.stat(), CheckpointError)
        known = path.name == STATE_FILE or re.search(r"\.(index|data-\d+-of-\d+)$", path.name)
        if not known:
            other = f"{path} is no model of a kind that is known here; give the model's folder"
            raise CheckpointError(stranger(path) or other)
    try:
        return find_prefix(path, step)
    except CheckpointError as error:
        what = stranger(path)
        raise CheckpointError(what) if what else error from None


def holds_model(folder: Path) -> bool:
    """Whether a folder is one that open_checkpoint may open; its files may be damaged."""
    names = (FILE_NAME, CONFIG_NAME, NANOGPT_NAME, "*.gguf")
    named = any(any(folder.glob(name)) for name in names)
    return named or any(folder.glob(f"*{INDEX}"))


def checkpoints_in(path: Path) -> list[Path]:
    """What open_checkpoint would open in a folder: the steps of a fine-tuning run, else the one
    model; or the path itself where it is none. Raises CheckpointError where there is nothing."""
    if not path.is_dir() or (path / CONFIG_NAME).exists() or opener_of(path):
        return [path]
    return sorted({find_prefix(path), *steps_in(path).values()})


def opener_of(path: Path) -> Callable[[], Tensors] | None:
    """What opens the file or folder, None where it is TensorFlow's or nothing at all."""
    folder = path if path.is_dir() else path.parent
    if (folder / CONFIG_NAME).is_file() and not (folder / FILE_NAME).exists():
        if path in (folder, folder / CONFIG_NAME):
            return lambda: HuggingFaceTensors(folder)
        if path.suffix in READERS:
            return lambda: HuggingFaceTensors(folder, path)
    if path.is_dir() and not (folder / FILE_NAME).exists():
        files = sorted([*folder.glob(NANOGPT_NAME), *folder.glob("*.gguf")])
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise CheckpointError(f"{path} has several models, {names}; give one of the files")
        path = files[0] if files else path
    if path.is_file() and path.suffix == ".gguf":
        return lambda: GGUFTensors(path)
    if path.is_file() and path.suffix == ".pt":
        return lambda: NanoGPTTensors(path)
    return None


def save_checkpoint(folder: Path, hparams: HParams, weights: Mapping[str, np.ndarray]) -> None:
    """Writes hparams.json, checkpoint and the weights as OpenAI lays them out. Raises OSError.

    Each file is written beside its place and renamed, the index last, so that a folder never
    holds half a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with workplace(folder) as new:
        write_bundle(new / PREFIX, {SCOPE + name: array for name, array in weights.items()})
        hparams.save(new)
        state = f'model_checkpoint_path: "{PREFIX}"\nall_model_checkpoint_paths: "{PREFIX}"\n'
        (new / STATE_FILE).write_text(state, encoding="utf-8")
        for path in sorted(new.iterdir(), key=lambda path: path.suffix == INDEX):
            path.replace(folder / path.name)
