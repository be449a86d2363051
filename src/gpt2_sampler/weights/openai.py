"""OpenAI's layout of a model, also as fine-tuning leaves it -> weights by OpenAI's names; and back.

Knows how OpenAI, nshepperd's train.py, gpt-2-simple and shawwn's fork, whose steps are HDF5 files,
lay out their folders; not where models are kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from gpt2_sampler.errors import CheckpointError, UsageError, brief
from gpt2_sampler.files import read_text
from gpt2_sampler.weights.format import Tensors
from gpt2_sampler.weights.hdf5 import read_hdf5
from gpt2_sampler.weights.hparams import (
    FILE_NAME,
    HParams,
    load_hparams,
    require_room,
    require_shapes,
)
from gpt2_sampler.weights.storage import FLOATS, Floats, Stored
from gpt2_sampler.weights.strangers import name_stranger
from gpt2_sampler.weights.tensor_bundle import INDEX, SHARD, Bundle, write_bundle
from gpt2_sampler.writing import workplace

PREFIX = "model.ckpt"
STATE_FILE = "checkpoint"
LATEST = "latest"
SCOPE = "model/"
HDF5 = ".hdf5"
STEP = re.compile(rf"-(\d+)({re.escape(HDF5)})?$")
DIGITS = 20  # of a step's number, at most


class OpenAITensors(Tensors):
    """One step of a training, or the model that there is. What training left beside the weights
    is ignored.

    Hyperparameters that are not in its own folder are those of the model that it was trained
    further from, base: the first of bases whose shape fits.
    """

    kind, checksums = "openai", True

    def __init__(self, prefix: Path, bases: Iterable[Path] = ()) -> None:
        self.found, self.files = read_step(prefix)
        self.scope = find_scope(self.files[0], self.found)
        self.base = None if (prefix.parent / FILE_NAME).exists() else self.find_base(bases)
        if self.base is None and not (prefix.parent / FILE_NAME).exists():
            file = prefix.parent / FILE_NAME
            raise CheckpointError(
                f"{file} is missing, and no other model has the shape of these weights; copy into "
                f"{file.parent} that file, and the vocabulary, of the model that they were "
                "trained from",
                file=file,
            )
        self.hparams = load_hparams(self.base or prefix.parent)
        shapes = self.stored_shapes(self.hparams)
        dtypes = ["float32"] if isinstance(self.found, Bundle) else FLOATS
        require_shapes(self.files[0], self.found, shapes, dtypes, FILE_NAME)
        require_room(self.files[0], self.files, (self.found[name] for name in shapes))

    @classmethod
    def find(cls, path: Path) -> Path | None:
        if not path.is_dir():
            if path.name in (STATE_FILE, FILE_NAME) and path.is_file():
                return path.parent
            return path if not path.exists() or is_step(find_stem(path)) else None
        marks = (FILE_NAME, STATE_FILE, f"*{INDEX}", f"*-*{HDF5}")
        return path if any(file.is_file() for mark in marks for file in path.glob(mark)) else None

    @classmethod
    def open(cls, path: Path, step: str | None, bases: Iterable[Path]) -> OpenAITensors:
        try:
            prefix = find_prefix(path, step)
        except CheckpointError as error:
            what = name_stranger(path)
            raise CheckpointError(what) if what else error from None
        return cls(prefix, bases)

    @classmethod
    def checkpoints(cls, path: Path) -> list[Path]:
        if not path.is_dir():
            return [path]
        return sorted({find_prefix(path), *steps_in(path).values()})

    def stored_shapes(self, hparams: HParams) -> dict[str, tuple[int, ...]]:
        """By the names in the files. A matrix is that of a convolution of width 1, [1, in, out];
        some forks leave out the 1."""
        shapes = {self.scope + name: s for name, s in hparams.variable_shapes().items()}
        for name, shape in shapes.items():
            flat = name in self.found and len(self.found[name].shape) == len(shape)
            if name.endswith("/w") and not flat:
                shapes[name] = (1, *shape)
        return shapes

    def find_base(self, bases: Iterable[Path]) -> Path | None:
        """The first of the folders whose hyperparameters fit the weights."""
        layers = re.compile(rf"{re.escape(self.scope)}h(\d+)/attn/")
        n_layer = len({match[1] for match in map(layers.match, self.found) if match})
        for folder in bases:
            try:
                hparams = load_hparams(folder)
            except CheckpointError:
                continue
            shapes = self.stored_shapes(hparams).items()
            if hparams.n_layer == n_layer and all(
                name in self.found and self.found[name].shape == shape for name, shape in shapes
            ):
                return folder
        return None

    def find_vocabulary(self, bases: Iterable[Path]) -> Path | None:
        return self.base or self.find_base(bases)

    def read(self, name: str) -> Floats:
        array = self.found[self.scope + name][...]
        return array.reshape(array.shape[-2:])

    def digest(self) -> bytes:
        if not isinstance(self.found, Bundle):
            checksums = [(name, tensor.checksum()) for name, tensor in sorted(self.found.items())]
            return hashlib.sha256(repr(checksums).encode()).digest()
        content = hashlib.sha256(self.files[0].read_bytes())  # has every weight's CRC
        content.update(str(sum(map(len, self.found.data))).encode())
        return content.digest()


def read_step(prefix: Path) -> tuple[Mapping[str, Stored], list[Path]]:
    """A step's tensors by their names, and its files."""
    if prefix.suffix == HDF5:
        return {name.removesuffix(":0"): t for name, t in read_hdf5(prefix).items()}, [prefix]
    bundle = Bundle(prefix)
    return bundle, [bundle.index_path, *bundle.data_paths]


def find_scope(path: Path, names: Iterable[str]) -> str:
    """What stands before OpenAI's names: "model/", or what else a trainer put around them."""
    scopes = [name.removesuffix("wte") for name in names if f"/{name}".endswith("/wte")]
    if scopes:
        return min(scopes, key=len)
    if any(name.startswith("newslm/") for name in names):
        raise CheckpointError(
            f"{path} is a Grover, as gpt2-ml's models are: its layers do other mathematics than a "
            "GPT-2's, and it cannot be sampled from here"
        )
    raise CheckpointError(
        f"{path} holds no GPT-2: it has no {SCOPE}wte, but {brief(next(iter(names), None))}"
    )


def find_stem(path: Path) -> Path:
    """One of a step's files, or its prefix -> what read_step takes."""
    return path.with_name(SHARD.sub("", path.name.removesuffix(INDEX)))


def is_step(prefix: Path) -> bool:
    file = prefix if prefix.suffix == HDF5 else prefix.with_name(prefix.name + INDEX)
    return file.exists()


def find_prefix(path: Path, step: str | None = None) -> Path:
    """A folder, a prefix or one of a checkpoint's files -> the prefix of that step's files.

    Raises UsageError for a step that is not there, CheckpointError where there is none at all.
    """
    if not path.is_dir():
        if step is not None:
            raise UsageError(
                f"{path} is one checkpoint, not a folder to choose {step} from",
                change=["checkpoint"],
            )
        return find_stem(path)
    steps = steps_in(path)
    if step not in (None, LATEST):
        number = str(step) if str(step).isdecimal() and len(str(step)) <= DIGITS else ""
        if number and int(number) in steps:
            return steps[int(number)]
        there = ", ".join(map(str, sorted(steps))) or "no numbered ones"
        raise UsageError(f"{path} has no checkpoint {step!r:.40}; there are {there}, and {LATEST}")
    named = latest_prefix(path)
    if steps and not (named and is_step(named)):
        return steps[max(steps)]
    if named:
        return named
    state = path / STATE_FILE
    raise CheckpointError(f"{state} is missing, which names the checkpoint to open", file=state)


def steps_in(folder: Path) -> dict[int, Path]:
    """The number at the end of a checkpoint's name -> its prefix."""
    prefixes = [*folder.glob(f"*-*{HDF5}"), *map(find_stem, folder.glob(f"*-*{INDEX}"))]
    numbered = [(STEP.search(prefix.name), prefix) for prefix in prefixes]
    return {int(match[1]): prefix for match, prefix in numbered if match}


def latest_prefix(folder: Path) -> Path | None:
    """The prefix that FOLDER/checkpoint names, whatever folder it was on another machine."""
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    named = re.search(
        r'^model_checkpoint_path:\s*"([^"\x00-\x1f]+)"', read_text(path), re.MULTILINE
    )
    if not named:
        raise CheckpointError(f"{path} names no model_checkpoint_path", file=path)
    return folder / re.split(r"[/\\]", named[1])[-1]


def save_checkpoint(folder: Path, hparams: HParams, weights: Mapping[str, np.ndarray]) -> None:
    """Writes hparams.json, checkpoint and the weights as OpenAI lays them out. Raises OSError.

    Each file is written beside its place and renamed, the index last, so that a folder never
    holds half a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with workplace(folder) as new:
        names = {SCOPE + name: name for name in weights}
        write_bundle(new / PREFIX, names, lambda theirs: widen(names[theirs], weights))
        hparams.save(new)
        state = f'model_checkpoint_path: "{PREFIX}"\nall_model_checkpoint_paths: "{PREFIX}"\n'
        (new / STATE_FILE).write_text(state, encoding="utf-8")
        for path in sorted(new.iterdir(), key=lambda path: path.suffix == INDEX):
            path.replace(folder / path.name)


def widen(name: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """A weight as OpenAI stores it: a matrix [in, out] as a convolution's [1, in, out]."""
    return weights[name][None] if name.endswith("/w") else weights[name]
