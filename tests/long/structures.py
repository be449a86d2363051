"""A file of weights -> the same with a part of its structure changed, lengths and checksums right.

Changed bytes alone seldom come past a checksum or a length; these do.
"""

from __future__ import annotations

import io
import json
import random
import struct
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from gpt2_sampler.weights.leveldb import encode_table, read_table
from gpt2_sampler.weights.tensor_bundle import encode_bytes, encode_number, read_fields

NUMBERS = (0, 1, 2, 5, 255, 2**16, 2**31, 2**40, 2**48, 2**62, 2**63, 2**64 - 1)
SHAPES: tuple[tuple[int, ...], ...] = (
    (), (0,), (1,) * 65, (2**48, 0), (0, 2**62), (2**31, 2**31), (3, 5), (263, 32), (1, 32), (-1,),
)  # fmt: skip


def change_index(content: bytes, draw: random.Random) -> bytes:
    """A checkpoint's index: a name, or a field of a tensor or of the header."""
    records = list(read_table(content))
    at = draw.randrange(len(records))
    key, value = records[at]
    fields = list(read_fields(value))
    place = draw.randrange(len(fields)) if fields else 0
    number = fields[place][0] if fields else draw.randrange(1, 9)
    message = draw.choice((
        lambda: encode_number(number, draw.choice(NUMBERS)),
        lambda: encode_bytes(number, draw.randbytes(draw.randrange(9))),
        lambda: encode_bytes(2, b"".join(
            encode_bytes(2, encode_number(1, size % 2**64)) for size in draw.choice(SHAPES)
        )),
        lambda: encode_number(draw.randrange(1, 9), draw.choice(NUMBERS)),
        lambda: draw.randbytes(draw.randrange(20)),
    ))()  # fmt: skip
    records[at] = draw.choice((
        (key, value + message),
        (key, message),
        (key + draw.randbytes(draw.randrange(2000)), value),
        (draw.choice(records)[0], value),
    ))  # fmt: skip
    return encode_table(records if records[-1][0] else sorted(records))


def change_safetensors(content: bytes, draw: random.Random) -> bytes:
    """Its table: a tensor's type, shape or place, or all of it."""
    size = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + size])
    entry = table[draw.choice([name for name in table if name != "__metadata__"])]
    begin, end = entry["data_offsets"]
    field, value = draw.choice((
        ("shape", draw.choice(SHAPES)),
        ("shape", [draw.choice((None, "x", 1.5, [1], True, 2**70))]),
        ("dtype", draw.choice(("F16", "BF16", "I8", "F8_E4M3", None, ["F32"]))),
        ("data_offsets", draw.choice(([begin, begin], [end, begin], [0, 2**62], [begin], "x"))),
        ("shape", [*entry["shape"], 1]),
    ))  # fmt: skip
    entry[field] = value
    if draw.random() < 0.5:
        entry["data_offsets"] = [begin, begin]
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def change_gguf(content: bytes, draw: random.Random) -> bytes:
    """A field's value or type, or a tensor's shape, type or place."""
    from gguf import GGUFReader

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        reader = GGUFReader(file.name)
    fields = [
        (field.name, content[field.offset + 8 + len(field.name) :][: size_of_value(field)])
        for field in reader.fields.values()
        if not field.name.startswith("GGUF.")
    ]
    tensors: list[list[Any]] = [
        [t.name, [int(n) for n in t.shape], int(t.tensor_type), t.data_offset - reader.data_offset]
        for t in reader.tensors
    ]
    if draw.random() < 0.6:
        at = draw.randrange(len(fields))
        fields[at] = (fields[at][0], any_value(draw))
        if draw.random() < 0.2:
            fields.append(draw.choice(fields))
    else:
        tensor = draw.choice(tensors)
        place, value = draw.choice((
            (1, list(draw.choice(SHAPES))),
            (2, draw.choice((*range(45), 2**31))),
            (3, draw.choice(NUMBERS)),
            (0, draw.choice(tensors)[0]),
        ))  # fmt: skip
        tensor[place] = value
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(as_text(name) + value for name, value in fields)
    for name, shape, kind, offset in tensors:
        axes = b"".join(struct.pack("<Q", size % 2**64) for size in shape)
        head += as_text(name) + struct.pack("<I", len(shape)) + axes
        head += struct.pack("<IQ", kind, offset)
    return head + bytes(-len(head) % 32) + content[reader.data_offset :]


def size_of_value(field: Any) -> int:
    """Bytes of a field's type and value."""
    return sum(part.nbytes for part in field.parts[2:])


def as_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def any_value(draw: random.Random) -> bytes:
    """A field's type and a value of it."""
    return draw.choice((
        lambda: struct.pack("<II", 4, draw.choice(NUMBERS) % 2**32),
        lambda: struct.pack("<IQ", 10, draw.choice(NUMBERS)),
        lambda: struct.pack("<Iq", 11, -draw.choice(NUMBERS[:9])),
        lambda: struct.pack("<If", 6, draw.choice((0.5, -1.0, float("nan"), float("inf")))),
        lambda: struct.pack("<Id", 12, 1e300),
        lambda: struct.pack("<I?", 7, True),
        lambda: struct.pack("<I", 8) + as_text(draw.choice(("", "x", "two\nlines", "gpt2"))),
        lambda: struct.pack("<IIQ", 9, 8, 2) + as_text("a") + as_text("b\n"),
        lambda: struct.pack("<IIQ", 9, 5, 3) + struct.pack("<3i", -1, 0, 7),
        lambda: struct.pack("<IIQ", 9, 6, 1) + struct.pack("<f", float("nan")),
        lambda: struct.pack("<IIQ", 9, draw.randrange(14), draw.choice(NUMBERS)),
    ))()  # fmt: skip


def change_hdf5(content: bytes, draw: random.Random) -> bytes:
    """A tensor by another of any shape and type, by a group, by a link, or by nothing."""
    import h5py

    memory = io.BytesIO(content)
    with h5py.File(memory, "r+") as file:
        names: list[str] = []
        file.visititems(lambda n, item: names.append(n) if isinstance(item, h5py.Dataset) else None)
        name, other = draw.choice(names), draw.choice(names)
        shape = tuple(min(size, 2**40) for size in draw.choice(SHAPES) if size >= 0)[:32]
        ones = (1,) * len(shape) if shape and all(shape) else None
        del file[name]
        draw.choice((
            lambda: file.create_dataset(name, shape, "f4", chunks=ones),
            lambda: file.create_dataset(name, (3, 5), draw.choice(("i8", "S9", "f8", "?", "c8"))),
            lambda: file.create_dataset(name, dtype="f4"),
            lambda: file.create_dataset(name, (9, 9), "f4", compression="gzip"),
            lambda: file.create_group(name),
            lambda: other == name or file.update({name: file[other]}),
            lambda: file.update({name: h5py.SoftLink("/nowhere")}),
            lambda: file.update({name: h5py.ExternalLink("/etc/passwd", "/x")}),
            lambda: None,
        ))()  # fmt: skip
    return memory.getvalue()


CHANGES: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    ".index": change_index,
    ".safetensors": change_safetensors,
    ".gguf": change_gguf,
    ".h5": change_hdf5,
}
"""How a file's name ends -> what changes its structure."""
