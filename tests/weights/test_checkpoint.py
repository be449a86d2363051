"""A checkpoint folder gives what TensorFlow reads from it, or one line that says what is wrong."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import load_hparams
from gpt2_sampler.weights.openai import save_checkpoint
from gpt2_sampler.weights.tensor_bundle import Bundle
from tests.checkpoints import PARITY, PRIMES, copy_of_parity, random_checkpoint, random_weights

DATA = "model.ckpt.data-00000-of-00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_of_parity(tmp_path)


def rewrite(path: Path, change: object) -> None:
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content))  # type: ignore[operator]


def test_tensorflow_reads_the_same_arrays() -> None:
    tf = pytest.importorskip("tensorflow")
    reader = tf.train.load_checkpoint(str(PARITY))
    checkpoint = open_checkpoint(PARITY)
    assert {f"model/{name}" for name in checkpoint} == set(reader.get_variable_to_shape_map())
    for name, array in checkpoint.items():
        stored = reader.get_tensor(f"model/{name}")
        np.testing.assert_array_equal(array, stored[0] if name.endswith("/w") else stored)


def test_many_variables_span_several_blocks_of_the_index(tmp_path: Path) -> None:
    deep = dataclasses.replace(PRIMES, n_layer=37)
    weights = random_weights(deep)
    save_checkpoint(tmp_path, deep, weights)
    assert (tmp_path / "model.ckpt.index").stat().st_size > 4096
    for name, array in open_checkpoint(tmp_path).items():
        np.testing.assert_array_equal(array, weights[name])


def test_what_is_saved_has_the_names_that_openai_gave(tmp_path: Path) -> None:
    random_checkpoint(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoint", "hparams.json", "model.ckpt.index", DATA}


def test_a_path_from_another_machine_does_not_matter(folder: Path) -> None:
    for path in ("/home/someone/run/model.ckpt", r"C:\\run\\model.ckpt"):
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
        open_checkpoint(folder).verify()


@pytest.mark.parametrize("name", ["checkpoint", "model.ckpt.index", DATA])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match="is missing") as error:
        open_checkpoint(folder)
    assert str(folder / name) in str(error.value)


def test_missing_hyperparameters_say_what_to_copy(folder: Path) -> None:
    (folder / "hparams.json").unlink()
    with pytest.raises(CheckpointError, match=r"hparams.json is missing, .* copy into"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.ckpt.index", DATA])
@pytest.mark.parametrize("kept", [0, 1, 47, 500, -1])
def test_a_file_cut_short_is_named(folder: Path, name: str, kept: int) -> None:
    rewrite(folder / name, lambda content: content[:kept])
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(folder)
    assert str(folder / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("at", [3, 700, 1200, 1310])
def test_a_flipped_bit_in_the_index_is_found(folder: Path, at: int) -> None:
    def flip(content: bytearray) -> bytearray:
        content[at] ^= 4
        return content

    rewrite(folder / "model.ckpt.index", flip)
    with pytest.raises(CheckpointError, match=r"model\.ckpt\.index"):
        open_checkpoint(folder)


def test_a_flipped_bit_in_a_weight_is_found_when_it_is_read(folder: Path) -> None:
    entry = Bundle(folder / "model.ckpt").entries["model/h1/mlp/c_fc/w"]

    def flip(content: bytearray) -> bytearray:
        content[entry.offset + 101] ^= 1
        return content

    rewrite(folder / DATA, flip)
    checkpoint = open_checkpoint(folder)
    assert len(checkpoint["wte"])
    with pytest.raises(CheckpointError, match=r"checksum of model/h1/mlp/c_fc/w is wrong"):
        checkpoint.verify()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_layer": 4}, "has no model/h3/"),
        ({"n_embd": 25}, "model/wte is float32 [211, 30], hparams.json calls for"),
        ({"n_vocab": 212}, "calls for float32 [212, 30]"),
        ({"n_ctx": 36}, "model/wpe is float32 [37, 30]"),
    ],
)
def test_shapes_that_do_not_fit_hparams_are_named(
    folder: Path, change: dict[str, Any], says: str
) -> None:
    dataclasses.replace(load_hparams(folder), **change).save(folder)
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(folder)
    assert says in str(error.value)


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path, folder: Path) -> None:
    there = shutil.copytree(folder, tmp_path / "there")
    assert open_checkpoint(there).fingerprint == open_checkpoint(folder).fingerprint
    one = random_checkpoint(tmp_path / "one", seed=1)
    two = random_checkpoint(tmp_path / "two", seed=2)
    assert open_checkpoint(one).fingerprint != open_checkpoint(two).fingerprint


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_of_a_run_that_diverged_are_named_when_they_are_read(
    tmp_path: Path, number: float
) -> None:
    weights = random_weights(PRIMES)
    weights["h1/mlp/c_fc/w"][3, 5] = number
    save_checkpoint(tmp_path, PRIMES, weights)
    checkpoint = open_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="h1/mlp/c_fc/w has numbers that are not finite"):
        checkpoint["h1/mlp/c_fc/w"]


@pytest.mark.parametrize("name", ["two\nlines", "a\0b", ""])
def test_a_checkpoint_file_that_names_what_is_no_name_says_so_in_one_line(
    name: str, tmp_path: Path
) -> None:
    folder = random_checkpoint(tmp_path)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n', encoding="utf-8")
    with pytest.raises(CheckpointError, match="names no model_checkpoint_path") as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)
