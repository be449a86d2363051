"""A safetensors file -> named arrays, mapped from it, and named arrays -> such a file.

Knows the format, nothing of GPT-2. It is a length, a table in JSON and the tensors one after
another (github.com/huggingface/safetensors#format); no library is needed to read it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import map_bytes
from gpt2_sampler.weights.tensor_bundle import crc32c

LENGTH_SIZE = 8  # bytes
MAX_TABLE = 100_000_000  # bytes, as in Hugging Face's library
METADATA = "__metadata__"
STORED = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "u1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1",
}  # fmt: skip
FLOATS = ("F32", "F16", "BF16")

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A tensor's place: begin and end in bytes from where the table ends."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafeTensors:
    """The tensors of one file. Raises CheckpointError for a file that is not whole and sound."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = map_bytes(path)
        try:
            table_size = int.from_bytes(self.file[:LENGTH_SIZE].tobytes(), "little")
            start = LENGTH_SIZE + table_size
            if table_size > MAX_TABLE or start > len(self.file):
                raise ValueError(
                    f"its table would have {table_size:,} bytes, the file has {len(self.file):,}"
                )
            self.data = self.file[start:]
            self.entries = entries(self.file[LENGTH_SIZE:start].tobytes(), len(self.data))
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is damaged or no safetensors file ({error})", file=path
            ) from None

    def stored(self, name: str) -> Rows:
        entry = self.entries[name]
        array = self.data[entry.begin : entry.end].view(STORED[entry.dtype]).reshape(entry.shape)
        return Rows(array, entry.dtype)


class Rows:
    """An array of floats in a file; what is taken from it is float32."""

    def __init__(self, array: np.ndarray, dtype: str) -> None:
        self.array, self.dtype = array, dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def checksum(self) -> tuple[int, ...]:
        """Of its bytes, which are read for it."""
        return (crc32c(self.array.reshape(-1).view(np.uint8)),)

    def __getitem__(self, index: Any) -> Floats:
        taken = self.array[index]
        if self.dtype == "BF16":  # the upper half of a float32
            return (taken.astype(np.uint32) << 16).view(np.float32)
        return taken.astype(np.float32, copy=False)


def entries(table: bytes, data_size: int) -> dict[str, Entry]:
    """Raises ValueError unless the tensors fill the data, each byte once."""
    described = json.loads(table, object_pairs_hook=without_repeats)
    if not isinstance(described, dict):
        raise ValueError("its table is no JSON object")
    found = {name: entry(name, field) for name, field in described.items() if name != METADATA}
    at = 0
    for name, place in sorted(found.items(), key=lambda item: (item[1].begin, item[1].end)):
        if place.begin != at:
            raise ValueError(f"{name!r:.80} begins at byte {place.begin}, not at {at}")
        at = place.end
    if at != data_size:
        raise ValueError(f"its tensors have {at:,} bytes, the file has {data_size:,} for them")
    return found


def entry(name: str, field: Mapping[str, object]) -> Entry:
    if not isinstance(field, dict) or set(field) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r:.80} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = field["dtype"], field["shape"], field["data_offsets"]
    if not isinstance(dtype, str) or dtype not in STORED:
        raise ValueError(f"{name!r:.80} has the unknown dtype {dtype!r:.40}")
    if not (counts(shape) and counts(offsets) and len(offsets) == 2):
        raise ValueError(f"{name!r:.80} has the shape {shape!r:.40} at {offsets!r:.40}")
    size = math.prod(shape) * np.dtype(STORED[dtype]).itemsize
    if offsets[1] - offsets[0] != size:
        raise ValueError(f"{name!r:.80} has {offsets[1] - offsets[0]} bytes for {dtype} {shape}")
    return Entry(dtype, tuple(shape), *offsets)


def counts(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("its table has a name twice")
    return fields


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], array: Callable[[str], Floats]
) -> None:
    """Writes float32 tensors, asking for one array at a time. Raises OSError."""
    # "pt" (PyTorch) is what transformers insists on; it says nothing about the content.
    table: dict[str, object] = {METADATA: {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % LENGTH_SIZE)  # so that the tensors are aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_SIZE, "little") + text)
        for name in shapes:
            file.write(np.ascontiguousarray(array(name), "<f4").tobytes())
