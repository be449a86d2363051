"""What the readers of all formats share: types of numbers, tensors in files, checksums, bounds.

Knows no format and nothing of GPT-2.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import google_crc32c
import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import brief

Floats = npt.NDArray[np.float32]

STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
"""Types of numbers, as safetensors names them -> NumPy's; BF16 is the upper half of a float32."""
FLOATS = ("F32", "F16", "BF16", "F64")
"""Types whose numbers can be weights."""
MAX_AXES = 8
MAX_COUNT = 1 << 48  # numbers of one tensor, counting an axis of length 0 as 1
CHUNK = 1 << 18  # bytes


class Stored(Protocol):
    """A tensor in a file. Nothing of it is read before an index asks for it, as float32."""

    @property
    def dtype(self) -> str:
        """One of STORED, or a name of the format's own."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes in the file."""

    def __getitem__(self, index: Any) -> Floats: ...

    def checksum(self) -> tuple[int, ...]:
        """Changes whenever one of its numbers does."""


class Rows:
    """An array in a file, mapped."""

    def __init__(self, array: np.ndarray, dtype: str) -> None:
        self.array, self.dtype = array, dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def n_bytes(self) -> int:
        return self.array.nbytes

    def __getitem__(self, index: Any) -> Floats:
        taken = self.array[index]
        if self.dtype == "BF16":
            return (taken.astype(np.uint32) << 16).view(np.float32)
        return taken.astype(np.float32, copy=False)

    def checksum(self) -> tuple[int, ...]:
        return (crc32c(self.array.reshape(-1).view(np.uint8)),)


def crc32c(data: np.ndarray) -> int:  # uint8 [N]
    """The CRC-32C of bytes, which may lie in a file."""
    crc = 0
    for start in range(0, len(data), CHUNK):  # the library takes bytes only: copied while in cache
        crc = google_crc32c.extend(crc, data[start : start + CHUNK].tobytes())
    return crc


def require_shape(shape: Any) -> tuple[int, ...]:
    """A list or tuple of at most MAX_AXES whole numbers -> the tuple. Raises ValueError for
    anything else, and where no array could have that shape."""
    if type(shape) not in (list, tuple) or len(shape) > MAX_AXES or not all(map(is_natural, shape)):
        raise ValueError(f"a tensor has {brief(shape)} as its shape")
    if math.prod(n or 1 for n in shape) > MAX_COUNT:
        raise ValueError(f"a tensor has the shape {tuple(shape)}, which is larger than any file")
    return tuple(shape)


def is_natural(number: object) -> bool:
    """Whether it is a whole number from 0 on that a file's size or a tensor's shape may have."""
    return type(number) is int and 0 <= number <= MAX_COUNT


def size_of(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor whose type is one of STORED."""
    return math.prod(shape) * np.dtype(STORED[dtype]).itemsize
