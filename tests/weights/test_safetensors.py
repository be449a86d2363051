"""A safetensors file gives what Hugging Face's library reads, and a hostile one is one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.safetensors import read_safetensors, write_safetensors

RANDOM = np.random.default_rng(5)
ARRAYS: dict[str, np.ndarray] = {
    "a": RANDOM.normal(size=[3, 5]).astype(np.float32),
    "half": RANDOM.normal(size=[7]).astype(np.float16),
    "none": np.zeros([0, 4], np.float32),
    "one": np.array(2.5, np.float32),
}
DATA = b"\0" * 24
GOOD = {
    "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    "b": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [16, 24]},
}


def laid_out(table: object, data: bytes = DATA) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + data


def changed(name: str, **fields: object) -> bytes:
    return laid_out({**GOOD, name: {**GOOD[name], **fields}})


HOSTILE = {
    "empty": b"",
    "half a length": b"\x01\0\0",
    "huge length": (2**63).to_bytes(8, "little") + b"{}",
    "length past the end": (100).to_bytes(8, "little") + b"{}",
    "no JSON": laid_out(b"{nothing"),
    "no UTF-8": laid_out(b'{"\xff\xfe": 1}'),
    "deep JSON": laid_out(b"[" * 100_000),
    "huge number": laid_out(b'{"a": ' + b"9" * 10_000 + b"}"),
    "no object": laid_out([GOOD]),
    "no description": laid_out({"a": 7}),
    "field missing": laid_out({"a": {"dtype": "F32", "shape": [4]}}),
    "field too many": changed("a", more=1),
    "unknown dtype": changed("a", dtype="F13"),
    "dtype no text": changed("a", dtype=["F32"]),
    "negative shape": changed("a", shape=[-4]),
    "fractional shape": changed("a", shape=[4.0]),
    "true as a shape": changed("a", shape=[True, 4]),
    "shape no list": changed("a", shape="4"),
    "overflowing shape": changed("a", shape=[2**62, 2**62]),
    "offsets swapped": changed("a", data_offsets=[16, 0]),
    "offsets three": changed("a", data_offsets=[0, 8, 16]),
    "offsets overlap": changed("b", data_offsets=[8, 16]),
    "offsets past the end": changed("b", data_offsets=[24, 32]),
    "offsets negative": changed("a", data_offsets=[-16, 0]),
    "same place twice": laid_out({"a": GOOD["a"], "b": GOOD["a"]}, DATA[:16]),
    "hole": laid_out({"b": GOOD["b"]}),
    "bytes to spare": laid_out(GOOD, DATA + b"\0"),
    "cut short": laid_out(GOOD, DATA[:-1]),
    "name twice": laid_out(b'{"a": 1, "a": 2}'),
}


def test_the_library_reads_the_same_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(ARRAYS, path, metadata={"format": "pt"})
    found = read_safetensors(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        read = found[name][...]
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, array.astype(np.float32))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    values = np.array([1.0, -2.5, 0.0, 3.0e38], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    path.write_bytes(laid_out(GOOD, b"\0" * 16 + halves.tobytes()))
    expected = (halves.astype(np.uint32) << 16).view(np.float32).reshape(2, 2)
    np.testing.assert_array_equal(read_safetensors(path)["b"][...], expected)
    np.testing.assert_array_equal(read_safetensors(path)["b"][[1]], expected[[1]])


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrays = {name: array.astype(np.float32) for name, array in ARRAYS.items()}
    write_safetensors(path, {n: a.shape for n, a in arrays.items()}, arrays.__getitem__)
    loaded = load_file(path)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(CheckpointError) as error:
        read_safetensors(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(path))


def test_what_is_hostile_here_is_refused_by_the_library_too(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    stricter = {"name twice", "field too many"}
    for kind in HOSTILE.keys() - stricter:
        path.write_bytes(HOSTILE[kind])
        with pytest.raises((safetensors.SafetensorError, ValueError, OSError)):
            load_file(path)
            pytest.fail(f"the library takes: {kind}")


@given(at=st.integers(0, len(laid_out(GOOD)) - 1), byte=st.integers(0, 255))
def test_any_byte_may_be_wrong(
    at: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "x.safetensors"
    content = bytearray(laid_out(GOOD))
    content[at] = byte
    path.write_bytes(content)
    try:
        found = read_safetensors(path)
    except CheckpointError as error:
        assert "\n" not in str(error)
    else:
        for tensor in found.values():
            tensor[...]
