"""TensorFlow checkpoint files (PREFIX.index, PREFIX.data-00000-of-00001) -> named arrays.

Knows the file format, nothing of GPT-2; reading needs no TensorFlow, whose import alone takes
seconds, and maps the data instead of copying it.

Format: the index is an uncompressed LevelDB table (leveldb/doc/table_format.md) whose values are
BundleEntryProto messages (tensorflow/core/protobuf/tensor_bundle.proto).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import map_bytes, read_bytes

INDEX, DATA = ".index", ".data-00000-of-00001"
"""How the names of a checkpoint's two files go on after its prefix."""
FOOTER_SIZE = 48  # bytes
BLOCK_TRAILER_SIZE = 5  # bytes: how the block is compressed, and its checksum
CHUNK = 1 << 18  # bytes
TABLE_MAGIC = 0xDB4775248B80FB57
DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 14: "bfloat16", 19: "float16"}
"""Names of the values of DataType in tensorflow/core/framework/types.proto."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a tensor lies: offset and size in bytes; crc32c is masked, as TensorFlow stores it."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int
    crc32c: int


class Bundle:
    """The tensors of one checkpoint. Raises CheckpointError for files that hold none."""

    def __init__(self, prefix: Path) -> None:
        self.index_path = prefix.with_name(prefix.name + INDEX)
        self.data_path = prefix.with_name(prefix.name + DATA)
        self.entries = read_index(self.index_path)
        self.data = map_bytes(self.data_path)
        end = max((entry.offset + entry.size for entry in self.entries.values()), default=0)
        if len(self.data) < end:
            raise CheckpointError(
                f"{self.data_path} is cut short: {len(self.data):,} bytes of {end:,}; "
                "download it again",
                file=self.data_path,
            )

    def __getitem__(self, name: str) -> np.ndarray:
        """The tensor, checked against the checksum that TensorFlow stored with it."""
        entry = self.entries[name]
        stored = self.data[entry.offset : entry.offset + entry.size]
        if masked_crc32c(stored) != entry.crc32c:
            raise CheckpointError(
                f"{self.data_path} is damaged: the checksum of {name} is wrong; download it again",
                file=self.data_path,
            )
        return stored.view(entry.dtype).reshape(entry.shape)


def crc32c(data: np.ndarray) -> int:  # uint8 [N]
    crc = 0
    for start in range(0, len(data), CHUNK):  # the library takes bytes only: copied while in cache
        crc = google_crc32c.extend(crc, data[start : start + CHUNK].tobytes())
    return crc


def masked_crc32c(data: np.ndarray) -> int:
    """TensorFlow and LevelDB rotate and shift a CRC that is stored beside what it guards."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_index(path: Path) -> dict[str, Entry]:
    table = read_bytes(path)
    try:
        return dict(entries(table))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint index ({error})", file=path
        ) from None


def entries(table: bytes) -> Iterator[tuple[str, Entry]]:
    if len(table) < FOOTER_SIZE or int.from_bytes(table[-8:], "little") != TABLE_MAGIC:
        raise ValueError("its last bytes are not those of a table")
    footer = table[-FOOTER_SIZE:]
    _, at = varint(footer, 0)  # the metaindex block's handle, which TensorFlow leaves empty
    _, at = varint(footer, at)
    index, _ = block(table, footer, at)
    for _, handle in records(index):
        content, _ = block(table, handle, 0)
        for key, value in records(content):
            if key:  # the empty key holds the header
                yield key.decode(), entry(value)


def block(table: bytes, handle: bytes, at: int) -> tuple[bytes, int]:
    """The block that the handle at this place in handle points to, the place after it."""
    offset, at = varint(handle, at)
    size, at = varint(handle, at)
    content = table[offset : offset + size]
    trailer = table[offset + size : offset + size + BLOCK_TRAILER_SIZE]
    if len(trailer) < BLOCK_TRAILER_SIZE:
        raise ValueError("it is cut short")
    if trailer[0] != 0:
        raise ValueError("it is compressed")
    guarded = np.frombuffer(content + trailer[:1], np.uint8)
    if masked_crc32c(guarded) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("its checksum is wrong")
    return content, at


def records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A block's keys and values; each key shares its first bytes with the one before."""
    restarts = int.from_bytes(content[-4:], "little")
    end = len(content) - 4 * (restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = varint(content, at)
        unshared, at = varint(content, at)
        size, at = varint(content, at)
        key = key[:shared] + content[at : at + unshared]
        at += unshared
        yield key, content[at : at + size]
        at += size


def entry(message: bytes) -> Entry:
    fields = dict(proto(message))
    if fields.get(3, 0) != 0 or 7 in fields:
        raise ValueError("its tensors lie in several files or slices")
    dimensions = (dict(proto(d)).get(1, 0) for n, d in proto(fields.get(2, b"")) if n == 2)
    return Entry(
        dtype=DTYPES.get(fields[1], f"type {fields[1]}"),
        shape=tuple(dimensions),
        offset=fields.get(4, 0),
        size=fields.get(5, 0),
        crc32c=fields.get(6, 0),
    )


def proto(message: bytes) -> Iterator[tuple[int, Any]]:
    """A protocol buffer message -> its fields' numbers and values."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, at = varint(message, at)
            yield number, value
        elif wire_type == 2:
            size, at = varint(message, at)
            yield number, message[at : at + size]
            at += size
        elif wire_type == 5:
            yield number, int.from_bytes(message[at : at + 4], "little")
            at += 4
        else:
            raise ValueError(f"a field of wire type {wire_type}")


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The little-endian base-128 number at this place, the place after it."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1


def write_bundle(prefix: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes both files with TensorFlow. Raises what TensorFlow raises."""
    import tensorflow as tf

    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(tensors[name]) for name in names],
    )
