"""What is written is what TensorFlow writes and reads; a hostile index is one line."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.leveldb import (
    encode_block,
    encode_table,
    encode_trailer,
    encode_varints,
)
from gpt2_sampler.weights.tensor_bundle import (
    Bundle,
    encode_bytes,
    encode_number,
    read_index,
    write_bundle,
)
from tests.checkpoints import PARITY

ARRAYS: Mapping[str, np.ndarray] = {
    f"h{layer}/{name}": np.full(shape, layer, np.float32)
    for layer in range(30)
    for name, shape in (("w", (1, 3, 5)), ("b", (5,)))
} | {"step": np.array(7, np.int64), "none": np.zeros((0, 3), np.float32)}


def write(prefix: Path, arrays: Mapping[str, np.ndarray] = ARRAYS) -> Path:
    write_bundle(prefix, arrays, arrays.__getitem__)
    return prefix


def test_tensorflow_reads_what_is_written(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    reader = tf.train.load_checkpoint(str(write(tmp_path / "x")))
    assert set(reader.get_variable_to_shape_map()) == set(ARRAYS)
    for name, array in ARRAYS.items():
        read = reader.get_tensor(name)
        assert np.asarray(read).dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_what_openai_wrote_is_written_again_byte_for_byte(tmp_path: Path) -> None:
    bundle = Bundle(PARITY / "model.ckpt")
    write_bundle(tmp_path / "model.ckpt", bundle, lambda name: bundle[name][...])
    for name in ("model.ckpt.index", "model.ckpt.data-00000-of-00001"):
        assert (tmp_path / name).read_bytes() == (PARITY / name).read_bytes()


def test_several_data_files_are_read(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    parts = {"one": {"a": ARRAYS["h1/w"]}, "two": {"b": ARRAYS["h2/w"], "c": ARRAYS["h3/w"]}}
    for name, arrays in parts.items():
        write(tmp_path / name, arrays)
    whole = str(tmp_path / "whole")
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / name) for name in parts],
        destination_prefix=whole,
        delete_old_dirs=False,
    )
    assert (tmp_path / "whole.data-00001-of-00002").exists()
    bundle = Bundle(tmp_path / "whole")
    for arrays in parts.values():
        for name, array in arrays.items():
            np.testing.assert_array_equal(bundle[name][...], array)
    (tmp_path / "whole.data-00001-of-00002").unlink()
    with pytest.raises(CheckpointError, match=r"whole\.data-00001-of-00002 is missing"):
        Bundle(tmp_path / "whole")


def closed(table: bytes, handles: list[bytes]) -> bytes:
    """Blocks and the index of them -> a table."""
    index = encode_block(
        [(number.to_bytes(2, "big"), handle) for number, handle in enumerate(handles)]
    )
    footer = encode_varints(0, 0, len(table), len(index))
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    return table + index + encode_trailer(index) + footer.ljust(40, b"\0") + magic


def one_block(content: bytes, times: int = 1) -> bytes:
    return closed(content + encode_trailer(content), [encode_varints(0, len(content))] * times)


def entry(**fields: bytes) -> bytes:
    """A tensor's message with some of its fields replaced."""
    good = {
        "dtype": encode_number(1, 1),
        "shape": encode_bytes(2, encode_bytes(2, encode_number(1, 3))),
        "offset": b"",
        "size": encode_number(5, 12),
        "crc": b"\x35\0\0\0\0",
    }
    return b"".join({**good, **fields}.values())


def table_of(message: bytes, header: bytes = b"") -> bytes:
    return encode_table([(b"", header), (b"wte", message)])


RESTARTS = struct.pack("<II", 0, 1)
GROWING = (
    b"".join(encode_varints(min(n, 1 << 14)) + b"\x01\x00a" for n in range(100_000)) + RESTARTS
)
HOSTILE = {
    "a number of 4 MB": one_block(b"\xff" * (4 << 20) + RESTARTS),
    "names that share ever longer beginnings": one_block(GROWING),
    "the same block a thousand times": one_block(encode_block([(b"k", b"v" * 50_000)]), 1000),
    "an offset that is a message": table_of(entry(offset=encode_bytes(4, b"x" * 3))),
    "a size that is a message": table_of(entry(size=encode_bytes(5, b"x" * 3))),
    "a type that is a message": table_of(entry(dtype=encode_bytes(1, b"x"))),
    "a shape that is a number": table_of(entry(shape=encode_number(2, 7))),
    "an axis that is a message": table_of(
        entry(shape=encode_bytes(2, encode_bytes(2, encode_bytes(1, b"x"))))
    ),
    "a shape of 65 axes": table_of(
        entry(shape=encode_bytes(2, encode_bytes(2, encode_number(1, 1)) * 65))
    ),
    "a shape without end": table_of(
        entry(shape=encode_bytes(2, encode_bytes(2, encode_number(1, 1 << 62)) * 2))
    ),
    "an offset without end": table_of(entry(offset=encode_number(4, 1 << 63))),
    "another size than the shape's": table_of(entry(size=encode_number(5, 16))),
    "slices": table_of(entry() + encode_bytes(7, b"")),
    "no data files": table_of(entry(), encode_number(1, 1 << 40)),
    "a header that is none": table_of(entry(), b"\x0f"),
    "a data file that there is not": table_of(entry(shard=encode_number(3, 5))),
    "two tensors in one place": encode_table([(b"", b""), (b"a", entry()), (b"b", entry())]),
    "a name that is no text": encode_table([(b"", b""), (b"\xc3", entry())]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_index_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    path.write_bytes(HOSTILE[kind])
    began = time.process_time()
    with pytest.raises(CheckpointError, match="is damaged or no checkpoint index") as error:
        read_index(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200 + len(str(path))
    assert time.process_time() - began < 2  # seconds


def test_a_good_index_of_the_same_making_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(table_of(entry()))
    entries, shards = read_index(tmp_path / "x.index")
    assert (entries["wte"].shape, entries["wte"].size, shards) == ((3,), 12, 1)
