"""tf_model.h5, as transformers saved TensorFlow models -> tensors by Hugging Face's names.

Knows how Keras names and lays them out. Reads the file with h5py, which comes with TensorFlow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import map_bytes
from gpt2_sampler.weights.safetensors import Floats, crc32c

DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16"}
PARTS = {"gamma": "weight", "beta": "bias", "embeddings": "weight"}
"""The ends of Keras's names -> those of PyTorch's."""


class Dataset:
    """A tensor in the file. Raises CheckpointError where it cannot be read."""

    def __init__(self, path: Path, stored: Any, flat: bool) -> None:
        self.path, self.stored = path, stored
        self.dtype = DTYPES.get(stored.dtype.name, stored.dtype.name)
        # Conv1D's biases are rows.
        self.shape = stored.shape[-1:] if flat else tuple(stored.shape)

    def __getitem__(self, index: Any) -> Floats:
        try:
            array: np.ndarray = self.stored[()]
        except (OSError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.path} is damaged ({self.stored.name}: {' '.join(str(error).split())})",
                file=self.path,
            ) from None
        return array.reshape(self.shape)[index].astype(np.float32)

    def checksum(self) -> tuple[int, ...]:
        return (crc32c(self[...].reshape(-1).view(np.uint8)),)


def read_hdf5(path: Path) -> dict[str, Dataset]:
    """The tensors, by Hugging Face's names without "transformer.". Raises CheckpointError."""
    map_bytes(path)  # whether it can be read at all
    try:
        import h5py
    except ImportError:
        raise CheckpointError(
            f"{path} can only be read with h5py, which is not installed", package="h5py"
        ) from None
    found: dict[str, Dataset] = {}

    def visit(name: str, stored: Any) -> None:
        if not isinstance(stored, h5py.Dataset):
            return
        if stored.external or stored.is_virtual:
            raise ValueError(f"{name:.80} lies in another file")
        theirs = their_name(name)
        if theirs in found:
            raise ValueError(f"it has {theirs:.80} twice")
        flat = theirs.endswith(".bias") and len(stored.shape) == 2 and stored.shape[0] == 1
        found[theirs] = Dataset(path, stored, flat)

    try:
        h5py.File(path, "r").visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged or no HDF5 file ({' '.join(str(error).split())})", file=path
        ) from None
    return found


def their_name(name: str) -> str:
    """ "transformer/tfgpt2lm_head_model/transformer/h_._3/ln_1/gamma:0" -> "h.3.ln_1.weight"."""
    within = name.rpartition("transformer/")[2].partition(":")[0]
    *path, part = within.split("/")
    return ".".join([re.sub(r"_\._", ".", step) for step in path] + [PARTS.get(part, part)])
