"""TensorFlow's checkpoints (PREFIX.index, PREFIX.data-00000-of-00001) -> named tensors; and back.

Knows the file format, nothing of GPT-2. Needs no TensorFlow, whose import alone takes seconds.

Format: the index is a LevelDB table whose values are BundleEntryProto messages; that of the empty
key, which comes first, is a BundleHeaderProto (tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import map_bytes, read_bytes
from gpt2_sampler.weights.leveldb import (
    encode_table,
    encode_varints,
    masked_crc32c,
    read_table,
    read_varint,
)
from gpt2_sampler.weights.storage import Floats, is_natural, require_shape

INDEX, DATA = ".index", ".data-00000-of-00001"
"""How the names of a checkpoint's two files go on after its prefix."""
SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")
"""How the name of one of several data files goes on."""
MAX_SHARDS = 10_000
DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 14: "bfloat16", 19: "float16"}
"""Names of the values of DataType in tensorflow/core/framework/types.proto."""


@dataclasses.dataclass(frozen=True)
class BundleEntry:
    """Where a tensor lies: in which data file, from which byte on, and how many bytes; crc32c is
    masked, as TensorFlow stores it."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


class Bundle(Mapping[str, "BundleTensor"]):
    """The tensors of one checkpoint. Raises CheckpointError for files that hold none."""

    def __init__(self, prefix: Path) -> None:
        self.index_path = prefix.with_name(prefix.name + INDEX)
        self.entries, shards = read_index(self.index_path)
        names = [f"{prefix.name}.data-{shard:05}-of-{shards:05}" for shard in range(shards)]
        self.data_paths = [prefix.with_name(name) for name in names]
        self.data = [map_bytes(path) for path in self.data_paths]
        for shard, (path, data) in enumerate(zip(self.data_paths, self.data, strict=True)):
            here = [entry for entry in self.entries.values() if entry.shard == shard]
            end = max((entry.offset + entry.size for entry in here), default=0)
            if len(data) < end:
                raise CheckpointError(
                    f"{path} is cut short: {len(data):,} bytes of {end:,}; download it again",
                    file=path,
                )

    def __getitem__(self, name: str) -> BundleTensor:
        entry = self.entries[name]
        path, data = self.data_paths[entry.shard], self.data[entry.shard]
        return BundleTensor(path, name, entry, data[entry.offset : entry.offset + entry.size])

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


@dataclasses.dataclass(frozen=True)
class BundleTensor:
    """A tensor whose bytes are content, in the file at path."""

    path: Path
    name: str
    entry: BundleEntry
    content: np.ndarray

    @property
    def dtype(self) -> str:
        return self.entry.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entry.shape

    @property
    def n_bytes(self) -> int:
        return self.entry.size

    def __getitem__(self, index: Any) -> Floats:
        """Compared with the checksum that TensorFlow stored. Raises CheckpointError."""
        if masked_crc32c(self.content) != self.entry.crc32c:
            raise CheckpointError(
                f"{self.path} is damaged: the checksum of {self.name} is wrong; download it again",
                file=self.path,
            )
        array: Floats = self.content.view("<f4").reshape(self.shape)[index]
        return array

    def checksum(self) -> tuple[int, ...]:
        return (self.entry.crc32c,)


def read_index(path: Path) -> tuple[dict[str, BundleEntry], int]:
    """The entries by name, and the number of data files. Raises CheckpointError."""
    table = read_bytes(path)
    try:
        records = dict(read_table(table))
        header = read_message(records.pop(b"", b""))
        shards = header.get(1, 1)
        if not is_natural(shards) or not 1 <= shards <= MAX_SHARDS:
            raise ValueError("it does not say how many data files there are")
        found = {key.decode(): read_entry(value) for key, value in records.items()}
        require_places(found.values(), shards)
    except (IndexError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint index ({error})", file=path
        ) from None
    return found, shards


def require_places(entries: Iterable[BundleEntry], shards: int) -> None:
    """Raises ValueError where two tensors lie in one place, or one in a file that there is not."""
    ends = [0] * shards
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.shard >= shards or entry.offset < ends[entry.shard]:
            raise ValueError("one of its tensors lies where another does, or nowhere")
        ends[entry.shard] = entry.offset + entry.size


def read_entry(message: bytes) -> BundleEntry:
    fields = read_message(message)
    if 7 in fields:
        raise ValueError("a tensor is stored in slices")
    dtype, shard, offset, size, crc = (fields.get(number, 0) for number in (1, 3, 4, 5, 6))
    if not all(map(is_natural, (dtype, shard, offset, size, crc))):
        raise ValueError("a tensor has no place")
    dimensions = [
        read_message(dimension).get(1, 0)
        for number, dimension in read_fields(fields.get(2, b""))
        if number == 2
    ]
    name, shape = DTYPES.get(dtype, f"of type {dtype}"), require_shape(dimensions)
    if name == "float32" and size != 4 * math.prod(shape):
        raise ValueError(f"a tensor of shape {shape} has {size} bytes")
    return BundleEntry(name, shape, shard, offset, size, crc)


def read_message(message: Any) -> dict[int, Any]:
    """A protocol buffer message -> the last value of each of its fields, by their numbers."""
    return dict(read_fields(message))


def read_fields(message: Any) -> Iterator[tuple[int, Any]]:
    if type(message) is not bytes:
        raise ValueError("a number is where a message belongs")
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = read_varint(message, at)
            yield number, value
        elif wire_type == 2:
            size, at = read_varint(message, at)
            yield number, message[at : at + size]
            at += size
        elif wire_type == 5:
            yield number, int.from_bytes(message[at : at + 4], "little")
            at += 4
        else:
            raise ValueError(f"a field of wire type {wire_type}")


def write_bundle(prefix: Path, names: Iterable[str], read: Callable[[str], np.ndarray]) -> None:
    """Writes both files, asking for one array at a time. Raises OSError."""
    numbers = {name: number for number, name in DTYPES.items()}
    header = encode_number(1, 1) + encode_bytes(3, encode_number(1, 1))  # one file; version 1
    records, offset = [(b"", header)], 0
    with prefix.with_name(prefix.name + DATA).open("wb") as file:
        for name in sorted(names):
            array = read(name)
            content = np.frombuffer(array.tobytes(), np.uint8)
            sizes = b"".join(encode_bytes(2, encode_number(1, size)) for size in array.shape)
            entry = encode_number(1, numbers[array.dtype.name]) + encode_bytes(2, sizes)
            entry += encode_number(4, offset) + encode_number(5, len(content))
            crc = b"\x35" + masked_crc32c(content).to_bytes(4, "little")  # field 6, fixed32
            records.append((name.encode(), entry + crc))
            offset += file.write(content.data)
    prefix.with_name(prefix.name + INDEX).write_bytes(encode_table(records))


def encode_number(field: int, value: int) -> bytes:
    """Nothing for 0, which is what is read where a field is missing."""
    return encode_varints(field << 3, value) if value else b""


def encode_bytes(field: int, value: bytes) -> bytes:
    return encode_varints(field << 3 | 2, len(value)) + value
