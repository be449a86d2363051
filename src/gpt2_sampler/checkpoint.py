"""A model folder -> its weights by OpenAI's names, checked against hparams.json.

Knows no mathematics: what the weights are for is model.py's business.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from gpt2_sampler import hparams as hparams_file
from gpt2_sampler.bundle import Bundle, write_bundle
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.hparams import HParams, load_hparams

STATE_FILE = "checkpoint"
PREFIX = "model.ckpt"
SCOPE = "model/"


class Checkpoint(Mapping[str, np.ndarray]):
    """Weights by name ("wte", "h0/attn/c_attn/w"), float32, read-only, mapped from the file.

    Names and shapes are checked when it is made, a tensor's checksum when it is read; both
    raise CheckpointError. fingerprint changes whenever a weight or a hyperparameter does.
    """

    def __init__(self, folder: Path) -> None:
        self.hparams = load_hparams(folder)
        self.bundle = Bundle(folder / latest_prefix(folder))
        check_shapes(self.hparams, self.bundle)
        digest = hashlib.sha256(self.bundle.index_path.read_bytes())  # holds every weight's CRC
        digest.update(repr((self.hparams, len(self.bundle.data))).encode())
        self.fingerprint = digest.hexdigest()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.bundle[SCOPE + name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.hparams.variable_shapes())

    def __len__(self) -> int:
        return len(self.hparams.variable_shapes())

    def mapped(self, name: str) -> np.ndarray:
        """The weight without a look at its checksum, which would read all of it: for who reads
        a row now and then."""
        return self.bundle.mapped(SCOPE + name)

    def verify(self) -> None:
        """Reads every weight's checksum. Raises CheckpointError that names a damaged one."""
        for name in self:
            self[name]


def latest_prefix(folder: Path) -> str:
    """The prefix that FOLDER/checkpoint names, whatever folder it was on another machine."""
    path = folder / STATE_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; download the model again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); download it again") from None
    named = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
    if not named:
        raise CheckpointError(f"{path} names no model_checkpoint_path; download it again")
    return re.split(r"[/\\]", named[1])[-1]


def check_shapes(hparams: HParams, bundle: Bundle) -> None:
    path = bundle.index_path
    for name, shape in hparams.variable_shapes().items():
        entry = bundle.entries.get(SCOPE + name)
        if entry is None:
            raise CheckpointError(
                f"{path} has no {SCOPE}{name}, which {hparams_file.FILE_NAME} calls for; "
                "download the model again"
            )
        if (entry.shape, entry.dtype) != (shape, "float32"):
            raise CheckpointError(
                f"{path}: {SCOPE}{name} is {entry.dtype} {list(entry.shape)}, "
                f"{hparams_file.FILE_NAME} calls for float32 {list(shape)}; "
                "download the model again"
            )
        if entry.size != 4 * int(np.prod(shape)):
            raise CheckpointError(f"{path} is damaged: {SCOPE}{name} has {entry.size} bytes")


def save_checkpoint(folder: Path, hparams: HParams, weights: Mapping[str, np.ndarray]) -> None:
    """Writes hparams.json, checkpoint and the weights as OpenAI lays them out.

    Each file is written beside its place and renamed, the index last, so that a folder never
    holds half a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        new = Path(temporary)
        write_bundle(new / PREFIX, {SCOPE + name: array for name, array in weights.items()})
        hparams.save(new)
        state = f'model_checkpoint_path: "{PREFIX}"\nall_model_checkpoint_paths: "{PREFIX}"\n'
        (new / STATE_FILE).write_text(state, encoding="utf-8")
        for path in sorted(new.iterdir(), key=lambda path: path.suffix == ".index"):
            os.replace(path, folder / path.name)
