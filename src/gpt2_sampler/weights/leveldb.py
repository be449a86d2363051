"""A LevelDB table, as TensorFlow writes one -> keys and values; and back.

Knows nothing of what is in the values. Format: leveldb/doc/table_format.md, without compression.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from gpt2_sampler.weights.storage import crc32c

FOOTER_SIZE = 48  # bytes
TRAILER_SIZE = 5  # bytes after a block: how it is compressed, and its checksum
MAGIC = 0xDB4775248B80FB57
RESTART_INTERVAL = 16  # keys, of which the first is stored whole
MAX_KEY = 1024  # bytes
MAX_VARINT = 10  # bytes


def read_table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table, whose blocks follow one another. Raises ValueError,
    IndexError."""
    if len(table) < FOOTER_SIZE or int.from_bytes(table[-8:], "little") != MAGIC:
        raise ValueError("its last bytes are not those of a table")
    footer = table[-FOOTER_SIZE:]
    _, at = read_handle(footer, 0)  # the metaindex block, which TensorFlow leaves empty
    index, _ = read_handle(footer, at)
    end = 0
    for _, value in read_block(table, index):
        (begin, size), _ = read_handle(value, 0)
        if begin < end:
            raise ValueError("two of its blocks lie in one place")
        end = begin + size
        yield from read_block(table, (begin, size))


def read_handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and its size, and the place after that."""
    offset, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (offset, size), at


def read_block(table: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """A block's keys and values; each key shares its first bytes with the one before."""
    begin, size = handle
    content = table[begin : begin + size]
    trailer = table[begin + size : begin + size + TRAILER_SIZE]
    if len(trailer) < TRAILER_SIZE:
        raise ValueError("it is cut short")
    if trailer[0] != 0:
        raise ValueError("it is compressed")
    if trailer != encode_trailer(content):
        raise ValueError("its checksum is wrong")
    restarts = int.from_bytes(content[-4:], "little")
    end = len(content) - 4 * (restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(content, at)
        unshared, at = read_varint(content, at)
        size, at = read_varint(content, at)
        if shared + unshared > MAX_KEY:
            raise ValueError("a name in it is too long")
        key = key[:shared] + content[at : at + unshared]
        at += unshared
        yield key, content[at : at + size]
        at += size


def encode_trailer(content: bytes) -> bytes:
    """What follows a block: that it is not compressed, and its checksum."""
    return b"\0" + masked_crc32c(np.frombuffer(content + b"\0", np.uint8)).to_bytes(4, "little")


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The little-endian base-128 number at this place, the place after it."""
    value = 0
    for place in range(MAX_VARINT):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number in it does not end")


def encode_table(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Keys, in order, and values -> a table of one block."""
    table, handles = b"", []
    records = list(records)
    last = bytes([records[-1][0][0] + 1])  # sorts after every key
    for block in (encode_block(records), encode_block([])):
        handles.append(encode_varints(len(table), len(block)))
        table += block + encode_trailer(block)
    index = encode_block([(last, handles[0])])
    footer = handles[1] + encode_varints(len(table), len(index))
    table += index + encode_trailer(index)
    return table + footer.ljust(FOOTER_SIZE - 8, b"\0") + MAGIC.to_bytes(8, "little")


def encode_block(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    block, before, restarts = b"", b"", [0]
    for number, (key, value) in enumerate(records):
        if number and number % RESTART_INTERVAL == 0:
            restarts.append(len(block))
            before = b""
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, key, strict=False))
        shared = len(list(same))
        block += encode_varints(shared, len(key) - shared, len(value)) + key[shared:] + value
        before = key
    ends = [*restarts, len(restarts)]
    return block + b"".join(number.to_bytes(4, "little") for number in ends)


def encode_varints(*values: int) -> bytes:
    return b"".join(
        bytes([value])
        if value < 0x80
        else bytes([value & 0x7F | 0x80]) + encode_varints(value >> 7)
        for value in values
    )


def masked_crc32c(data: np.ndarray) -> int:
    """TensorFlow and LevelDB rotate and shift a CRC that is stored beside what it guards."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
