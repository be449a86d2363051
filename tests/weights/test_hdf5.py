"""tf_model.h5 gives what transformers saved; a hostile file is one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights import hdf5
from gpt2_sampler.weights.hdf5 import read_hdf5, read_keras
from tests.checkpoints import DATA

h5py = pytest.importorskip("h5py")

SAVED = DATA / "formats" / "tensorflow" / "tf_model.h5"
PLAIN = load_file(DATA / "huggingface" / "plain" / "model.safetensors")


def test_every_tensor_is_what_was_saved() -> None:
    found = read_keras(SAVED)
    for name, array in PLAIN.items():
        tensor = found[name.removeprefix("transformer.")]
        assert (tensor.shape, tensor.dtype) == (array.shape, "F32")
        np.testing.assert_array_equal(tensor[...], array)
        np.testing.assert_array_equal(tensor[1:3], array[1:3])


def test_the_checksum_follows_the_content(tmp_path: Path) -> None:
    def checksum(value: float) -> tuple[int, ...]:
        with h5py.File(tmp_path / f"{value}.h5", "w") as file:
            file["a"] = np.full(7, value)
        return read_hdf5(tmp_path / f"{value}.h5")["a"].checksum()

    assert checksum(1) == checksum(1) != checksum(2)


def test_what_is_missing_to_read_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match="read with h5py, which is not installed") as error:
        read_hdf5(SAVED)
    assert error.value.facts["package"] == "h5py"


def other_file(file: Any) -> None:
    file.create_dataset("a", (3,), "f4", external=[("/etc/passwd", 0, 12)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", shape=(3,))
    file.create_virtual_dataset("a", layout)


def groups(file: Any) -> None:
    for number in range(200):
        file.create_group(str(number))


HOSTILE: dict[str, Callable[[Any], object]] = {
    "in another file": other_file,
    "virtual": virtual,
    "compressed": lambda f: f.create_dataset("a", (1 << 20,), "f4", compression="gzip"),
    "all but nothing is there": lambda f: f.create_dataset("a", (1 << 20,), "f4", chunks=(8,)),
    "a shape without end": lambda f: f.create_dataset("a", (1 << 40, 1 << 20), "f4", chunks=(8, 8)),
    "no shape": lambda f: f.create_dataset("a", dtype="f4"),
    "thousands of groups": groups,
    "a name that is no text": lambda f: f.create_dataset(b"a\xff", (3,), "f4"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_clear_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 100)
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        HOSTILE[kind](file)
    began = time.process_time()
    with pytest.raises(CheckpointError, match="is damaged or no HDF5 file") as error:
        read_hdf5(path)
    assert "\n" not in str(error.value)
    assert time.process_time() - began < 2  # seconds


def test_a_name_that_keras_gave_twice_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/transformer/wpe/embeddings:0"] = np.ones(3)
        file["b/transformer/wpe/embeddings:0"] = np.ones(3)
    with pytest.raises(CheckpointError, match=r"has wpe\.weight twice"):
        read_keras(tmp_path / "x.h5")


@pytest.mark.parametrize("dtype", ["i4", "S3", h5py.string_dtype(), np.dtype([("a", "f4")])])
def test_other_types_are_told_by_their_names(dtype: object, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (3,), dtype)
    try:
        assert read_hdf5(tmp_path / "x.h5")["a"].dtype not in ("F64", "F32", "F16")
    except CheckpointError as error:
        assert "\n" not in str(error)
