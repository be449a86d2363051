"""A GGUF file gives what llama.cpp's own library reads; a hostile one is one line."""

from __future__ import annotations

import struct
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler import load_engine
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.gguf import GGUF, GGUFTensors
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.openai import save_checkpoint
from tests.checkpoints import random_weights
from tests.gguf_files import write_gguf

SHAPE = HParams(n_vocab=263, n_ctx=23, n_embd=64, n_head=4, n_layer=2)
"""Q8_0 takes rows of whole blocks of 32."""
ERRORS = {
    "F32": 0, "F16": 1e-3, "BF16": 1e-2, "Q8_0": 2e-2, "Q4_0": 0.3, "Q4_1": 0.2, "Q5_0": 0.2,
    "Q5_1": 0.1,
}  # fmt: skip
"""Types that the library can make -> how far a number is from what it was made of, at most."""
BLOCKS = (
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ1_S",
    "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS",
)  # fmt: skip
"""Types in blocks that models are published in."""


@pytest.mark.parametrize("kind", ERRORS)
def test_every_weight_is_what_the_library_reads(kind: str, tmp_path: Path) -> None:
    weights = random_weights(SHAPE)
    path = write_gguf(tmp_path / "x.gguf", SHAPE, weights, kind)
    tensors = GGUFTensors(path)
    assert tensors.hparams == SHAPE
    library = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    for name, theirs in (("h1/mlp/c_fc/w", "blk.1.ffn_up.weight"), ("wte", "token_embd.weight")):
        expected = dequantize(library[theirs].data, library[theirs].tensor_type)
        read = tensors.read(name)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read.T if name != "wte" else read, expected)
    for name, array in weights.items():
        np.testing.assert_allclose(tensors.read(name), array, rtol=0, atol=ERRORS[kind])


@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_of_every_type_are_what_the_library_reads(kind: str, tmp_path: Path) -> None:
    known = GGMLQuantizationType[kind]
    n_numbers, n_bytes = GGML_QUANT_SIZES[known]
    blocks = np.random.default_rng(1).integers(256, size=(7, 3 * n_bytes), dtype=np.uint8)
    writer = GGUFWriter(tmp_path / "x.gguf", "gpt2")
    writer.add_tensor("a", blocks, raw_dtype=known)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = GGUF(tmp_path / "x.gguf").tensors["a"]
    assert (tensor.dtype, tensor.shape, tensor.n_bytes) == (kind, (7, 3 * n_numbers), blocks.size)
    with np.errstate(all="ignore"):  # a scale may be any number, or none
        expected = dequantize(blocks, known)
    np.testing.assert_array_equal(tensor[...], expected)
    np.testing.assert_array_equal(tensor[2:5], expected[2:5])
    path = tmp_path / "x.gguf"
    path.write_bytes(path.read_bytes()[: -n_bytes - 32])
    with pytest.raises(CheckpointError, match="is cut short"):
        GGUF(path)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1"])
def test_a_quantised_model_writes_what_the_same_numbers_in_float32_write(
    kind: str, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "x.gguf", SHAPE, random_weights(SHAPE), kind)
    checkpoint = open_checkpoint(path)
    save_checkpoint(tmp_path / "plain", SHAPE, dict(checkpoint))
    tokens = [3, 1, 4, 1, 5, 9, 2, 6]
    logits = [load_engine(model, "cpu").logits(tokens) for model in (path, tmp_path / "plain")]
    np.testing.assert_allclose(logits[0], logits[1], rtol=0, atol=1e-5)


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", SHAPE, random_weights(SHAPE))
    before = GGUFTensors(path).digest()
    assert GGUFTensors(path).digest() == before
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    assert GGUFTensors(path).digest() != before


def test_rows_of_blocks_are_taken_alone(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", SHAPE, random_weights(SHAPE), "Q8_0")
    rows = GGUF(path).tensors["token_embd.weight"]
    assert rows.shape == (263, 64)
    np.testing.assert_array_equal(rows[3:5], rows[...][3:5])
    np.testing.assert_array_equal(rows[[7, 2]], rows[...][[7, 2]])


def test_its_fields_are_read(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "x.gguf", "gpt2")
    writer.add_array("texts", ["a", "", "é"])
    writer.add_array("numbers", [3, 1, 2])
    writer.add_bool("yes", True)
    writer.add_float32("half", 0.5)
    writer.add_int64("low", -5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    found = GGUF(tmp_path / "x.gguf").metadata
    assert (found["texts"], found["numbers"].tolist()) == (["a", "", "é"], [3, 1, 2])
    assert (found["yes"], found["half"], found["low"]) == (True, 0.5, -5)


def test_a_model_of_another_kind_is_named(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(
        CheckpointError, match=r"a GGUF file of a 'llama', not of a gpt2.*llama\.cpp"
    ):
        GGUFTensors(tmp_path / "x.gguf")


def test_what_is_missing_for_other_types_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "x.gguf", SHAPE, random_weights(SHAPE), "Q4_0")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(CheckpointError, match="is of ggml's type 2, which") as error:
        GGUF(path)
    assert error.value.facts["package"] == "gguf"


def test_a_type_that_no_weights_have_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    for kind, says in ((9, "is Q8_1, a type that no weights have"), (99, "type 99, which is none")):
        described = text("a") + struct.pack("<IQIQ", 1, 32, kind, 0)
        path.write_bytes(head(1, 0, described + bytes(200)))
        with pytest.raises(CheckpointError, match=says):
            GGUF(path)


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", SHAPE, random_weights(SHAPE))
    content = path.read_bytes().replace(b"gpt2.block_count", b"gpt2.block_cound")
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"has no gpt2\.block_count"):
        GGUFTensors(path)


def head(tensors: int, fields: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + rest


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


@pytest.mark.parametrize(
    ("code", "kind", "value"),
    [
        (0, "B", 200), (1, "b", -100), (2, "H", 60_000), (3, "h", -30_000), (4, "I", 1 << 31),
        (5, "i", -(1 << 31)), (6, "f", 0.5), (7, "?", True), (10, "Q", 1 << 63),
        (11, "q", -(1 << 63)), (12, "d", 1e300),
    ],
)  # fmt: skip
def test_every_type_of_numbers_is_read_alone_and_in_arrays(
    code: int, kind: str, value: float, tmp_path: Path
) -> None:
    numbers = struct.pack(f"<2{kind}", value, value)
    alone = text("alone") + struct.pack(f"<I{kind}", code, value)
    array = text("array") + struct.pack("<IIQ", 9, code, 2) + numbers
    (tmp_path / "x.gguf").write_bytes(head(0, 2, alone + array))
    found = GGUF(tmp_path / "x.gguf").metadata
    assert found["alone"] == value and type(found["alone"]) is type(value)
    assert found["array"].tolist() == [value, value]


HUGE = 1 << 62
DESCRIBED = text("a") + struct.pack("<IQIQ", 1, 8, 0, 0)
HOSTILE = {
    "empty": b"",
    "half a head": b"GGUF\x03",
    "no GGUF": b"GGML" + head(0, 0)[4:],
    "version 1": head(0, 0, version=1),
    "another byte order": head(0, 0, version=3 << 24),
    "more tensors than there are": head(7, 0),
    "tensors without end": head(HUGE, 0),
    "fields without end": head(0, HUGE),
    "huge text": head(0, 1, struct.pack("<Q", HUGE)),
    "huge array of text": head(0, 1, text("a") + struct.pack("<IIQ", 9, 8, HUGE)),
    "huge array of bytes": head(0, 1, text("a") + struct.pack("<IIQ", 9, 0, HUGE)),
    "array of arrays": head(0, 1, text("a") + struct.pack("<IIQ", 9, 9, 1)),
    "field of no type": head(0, 1, text("a") + struct.pack("<I", 99)),
    "alignment 0": head(0, 1, text("general.alignment") + struct.pack("<II", 4, 0)),
    "alignment no number": head(0, 1, text("general.alignment") + struct.pack("<I", 8) + text("")),
    "alignment huge": head(0, 1, text("general.alignment") + struct.pack("<II", 4, 1 << 31)),
    "a thousand axes": head(1, 0, text("a") + struct.pack("<I", 1000)),
    "axis without end": head(1, 0, text("a") + struct.pack("<IQIQ", 1, HUGE, 0, 0)),
    "past the end": head(1, 0, DESCRIBED),
    "offset without end": head(1, 0, text("a") + struct.pack("<IQIQ", 1, 8, 0, HUGE)),
    "twice the same name": head(2, 0, DESCRIBED * 2 + bytes(200)),
    "twice the same field": head(0, 2, (text("a") + struct.pack("<II", 4, 7)) * 2),
    "zero and an axis without end": head(
        1, 0, text("a") + struct.pack("<IQQIQ", 2, 0, HUGE, 0, 0) + bytes(200)
    ),
    "half a block": head(1, 0, text("a") + struct.pack("<IQIQ", 1, 31, 8, 0) + bytes(200)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(HOSTILE[kind])
    began = time.process_time()
    with pytest.raises(CheckpointError) as error:
        GGUF(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(path))
    assert time.process_time() - began < 2  # seconds


@pytest.mark.parametrize(("beyond", "error"), [(0, "of a 'None'"), (1, "than ever does")])
def test_what_comes_before_the_tensors_has_a_bound(beyond: int, error: str, tmp_path: Path) -> None:
    begin = head(0, 1, text("a") + struct.pack("<I", 8))
    with (path := tmp_path / "x.gguf").open("wb") as file:
        file.write(begin + struct.pack("<Q", (1 << 25) - len(begin) - 8 + beyond))
        file.truncate((1 << 25) + 1)
    with pytest.raises(CheckpointError, match=error):
        GGUFTensors(path)


@pytest.mark.parametrize(
    ("value", "is_sound"), [(1, True), ((1 << 20) - 1, True), (1 << 20, False)]
)
def test_an_alignment_has_a_bound(value: int, is_sound: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(head(0, 1, text("general.alignment") + struct.pack("<II", 4, value)))
    with nullcontext() if is_sound else pytest.raises(CheckpointError, match="its alignment is"):
        assert GGUF(path).metadata == {"general.alignment": value}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    shape = HParams(n_vocab=13, n_ctx=5, n_embd=32, n_head=4, n_layer=1)
    path = tmp_path_factory.mktemp("gguf") / "x.gguf"
    return write_gguf(path, shape, random_weights(shape), "Q8_0").read_bytes()


@settings(max_examples=150)
@given(
    at=st.integers(0, 1 << 12),
    replaced=st.binary(min_size=1, max_size=8),
    length=st.integers(0, 10_000),
)
def test_any_byte_may_be_wrong(
    good: bytes, at: int, replaced: bytes, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = at % len(good)
    changed = good[:place] + replaced + good[place + len(replaced) :]
    path = tmp_path_factory.getbasetemp() / "mutated.gguf"
    path.write_bytes(changed[:length] if length % 5 == 0 else changed)
    try:
        tensors = GGUFTensors(path)
        for name in tensors.hparams.variable_shapes():
            tensors.read(name)
    except CheckpointError as error:
        assert "\n" not in str(error)


def test_an_architecture_that_is_a_list_is_none(tmp_path: Path) -> None:
    name, (list_, number) = b"general.architecture", (9, 4)  # GGUF's types
    field = struct.pack("<Q", len(name)) + name + struct.pack("<IIQII", list_, number, 2, 1, 2)
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + field)
    with pytest.raises(CheckpointError, match="not of a gpt2") as error:
        open_checkpoint(path)
    assert "\n" not in str(error.value)
