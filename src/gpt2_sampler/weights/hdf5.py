"""An HDF5 file -> its tensors, by Keras's names or those that Hugging Face gives the same.

Reads the file with h5py, an extra.
"""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import map_bytes
from gpt2_sampler.packages import require
from gpt2_sampler.weights.storage import Floats, crc32c, require_shape

DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16"}
PARTS = {"gamma": "weight", "beta": "bias", "embeddings": "weight"}
"""The ends of Keras's names -> those of PyTorch's."""


MAX_OBJECTS = 20_000  # groups and tensors; a model of 48 layers has 2,000


class Dataset:
    """A tensor in the file. Raises ValueError for one that cannot be a weight, CheckpointError
    where it cannot be read."""

    def __init__(self, path: Path, stored: Any) -> None:
        self.path, self.stored = path, stored
        self.dtype = DTYPES.get(stored.dtype.name, stored.dtype.name)
        self.shape = require_shape(stored.shape)
        self.n_bytes = stored.dtype.itemsize * math.prod(self.shape)
        if stored.external or stored.is_virtual:
            raise ValueError(f"{stored.name:.80} lies in another file")
        if stored.id.get_storage_size() < self.n_bytes:
            raise ValueError(f"{stored.name:.80} is compressed, or not all of it is there")

    def __getitem__(self, index: Any) -> Floats:
        try:
            if self.shape == self.stored.shape:
                array: np.ndarray = self.stored[index]
            else:
                array = self.stored[...].reshape(self.shape)[index]
        except (OSError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.path} is damaged ({self.stored.name}: {error})", file=self.path
            ) from None
        return array.astype(np.float32, copy=False)

    def checksum(self) -> tuple[int, ...]:
        return (crc32c(self[...].reshape(-1).view(np.uint8)),)


def read_hdf5(path: Path) -> dict[str, Dataset]:
    """The tensors by the names of their paths in the file. Raises CheckpointError."""
    map_bytes(path)  # whether it can be read at all
    require("h5py", f"{path} can only be read with", CheckpointError)
    import h5py

    found: dict[str, Dataset] = {}
    count = itertools.count(1)

    def visit(name: str | bytes, stored: Any) -> None:
        if next(count) > MAX_OBJECTS:
            raise ValueError(f"it has more than {MAX_OBJECTS:,} groups and tensors")
        if isinstance(name, bytes):
            raise ValueError(f"the name {name[:40]!r} is not UTF-8")
        if isinstance(stored, h5py.Dataset):
            found[name] = Dataset(path, stored)

    try:
        h5py.File(path, "r").visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged or no HDF5 file ({error})", file=path) from None
    return found


def read_keras(path: Path) -> dict[str, Dataset]:
    """tf_model.h5, as transformers saved TensorFlow's models -> its tensors by Hugging Face's
    names without "transformer.". Raises CheckpointError."""
    found: dict[str, Dataset] = {}
    for name, tensor in read_hdf5(path).items():
        theirs = translate_name(name)
        if theirs in found:
            raise CheckpointError(f"{path} has {theirs:.80} twice", file=path)
        if theirs.endswith(".bias") and tensor.shape[:-1] == (1,):  # Conv1D's biases are rows
            tensor.shape = tensor.shape[1:]
        found[theirs] = tensor
    return found


def translate_name(name: str) -> str:
    """ "transformer/tfgpt2lm_head_model/transformer/h_._3/ln_1/gamma:0" -> "h.3.ln_1.weight"."""
    within = name.rpartition("transformer/")[2].partition(":")[0]
    *path, part = within.split("/")
    return ".".join([re.sub(r"_\._", ".", step) for step in path] + [PARTS.get(part, part)])
