"""A safetensors file -> named arrays, mapped from it, and named arrays -> such a file.

Knows the format, nothing of GPT-2. It is a length, a table in JSON and the tensors one after
another (github.com/huggingface/safetensors#format); no library is needed to read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from gpt2_sampler.errors import CheckpointError, brief
from gpt2_sampler.files import map_bytes, refuse_repeats
from gpt2_sampler.weights.storage import STORED, Floats, Rows, is_natural, require_shape, size_of

LENGTH_SIZE = 8  # bytes
MAX_TABLE = 100_000_000  # bytes, as in Hugging Face's library
METADATA = "__metadata__"


def read_safetensors(path: Path) -> dict[str, Rows]:
    """The tensors, by name. Raises CheckpointError for a file that is not whole and sound."""
    file = map_bytes(path)
    try:
        table_size = int.from_bytes(file[:LENGTH_SIZE].tobytes(), "little")
        start = LENGTH_SIZE + table_size
        if table_size > MAX_TABLE or start > len(file):
            raise ValueError(
                f"its table would have {table_size:,} bytes, the file has {len(file):,}"
            )
        table = json.loads(file[LENGTH_SIZE:start].tobytes(), object_pairs_hook=refuse_repeats)
        return dict(read_tensors(table, file[start:]))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error})", file=path
        ) from None


def read_tensors(table: object, data: np.ndarray) -> Iterator[tuple[str, Rows]]:
    """Raises ValueError unless the tensors fill the data, each byte once."""
    if not isinstance(table, dict):
        raise ValueError("its table is no JSON object")
    described = {name: read_entry(name, table[name]) for name in table if name != METADATA}
    at = 0
    for name, (dtype, shape, begin, end) in sorted(described.items(), key=lambda item: item[1][2:]):
        if begin != at:
            raise ValueError(f"{name!r:.80} begins at byte {begin}, not at {at}")
        yield name, Rows(data[begin:end].view(STORED[dtype]).reshape(shape), dtype)
        at = end
    if at != len(data):
        raise ValueError(f"its tensors have {at:,} bytes, the file has {len(data):,} for them")


def read_entry(name: str, entry: object) -> tuple[str, tuple[int, ...], int, int]:
    """Type, shape, and the bytes where a tensor begins and ends. Raises ValueError."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r:.80} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], require_shape(entry["shape"]), entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in STORED:
        raise ValueError(f"{name!r:.80} has the unknown dtype {brief(dtype)}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_natural, offsets)):
        raise ValueError(f"{name!r:.80} does not say from which byte to which it is")
    begin, end = offsets
    if end - begin != size_of(dtype, shape):
        raise ValueError(f"{name!r:.80} has {end - begin} bytes for {dtype} {list(shape)}")
    return dtype, shape, begin, end


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], array: Callable[[str], Floats]
) -> None:
    """Writes float32 tensors, asking for one array at a time. Raises OSError."""
    # "pt" (PyTorch) is what transformers insists on; it says nothing about the content.
    table: dict[str, object] = {METADATA: {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        size = size_of("F32", shape)
        table[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % LENGTH_SIZE)  # so that the tensors are aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_SIZE, "little") + text)
        for name in shapes:
            file.write(np.ascontiguousarray(array(name), "<f4").tobytes())
