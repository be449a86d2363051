"""A fine-tuning run's folder is a model, with what it lacks taken from the one it started from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint
from gpt2_sampler.weights.tensor_bundle import write_bundle
from tests.checkpoints import PRIMES, byte_vocabulary, random_checkpoint, random_weights, write_step


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """models/117M, and a run of it as nshepperd's train.py leaves it, beside the optimizer's."""
    byte_vocabulary(random_checkpoint(tmp_path / "models" / "117M"))
    folder = tmp_path / "checkpoint" / "run1"
    folder.mkdir(parents=True)
    for step in (90, 1000):
        weights = random_weights(PRIMES, seed=step)
        others = {f"model/{n}/Adam": w for n, w in weights.items()}
        others["beta1_power"] = np.array(0.9, np.float32)
        others["global_step"] = np.array(step, np.int64)
        write_step(folder / f"model-{step}", weights, others)
    state('model_checkpoint_path: "model-1000"\nall_model_checkpoint_paths: "model-90"\n', folder)
    (folder / "counter").write_text("1001\n")
    return folder


def state(text: str, folder: Path) -> None:
    (folder / "checkpoint").write_text(text)


def open_model(path: Path, step: str | None = None) -> Checkpoint:
    models = next(parent / "models" for parent in path.parents if (parent / "models").is_dir())
    return open_checkpoint(path, step, bases=iter([models / "117M"]))


def step_of(path: Path, step: str | None = None) -> int:
    """The step whose weights were opened."""
    checkpoint = open_model(path, step)
    for number in (90, 1000):
        if np.array_equal(
            checkpoint["h1/mlp/c_fc/w"], random_weights(PRIMES, number)["h1/mlp/c_fc/w"]
        ):
            return number
    raise AssertionError


def test_the_latest_step_or_the_one_asked_for_is_opened(run: Path) -> None:
    assert step_of(run) == step_of(run, "latest") == step_of(run, "1000") == 1000
    assert step_of(run, "90") == 90


def test_a_prefix_or_any_of_its_files_is_that_step(run: Path) -> None:
    for name in ("model-90", "model-90.index", "model-90.data-00000-of-00001"):
        assert step_of(run / name) == 90


def test_what_is_missing_comes_from_the_base_model(run: Path, tmp_path: Path) -> None:
    checkpoint = open_model(run)
    assert checkpoint.hparams == PRIMES
    assert checkpoint.folder == run
    assert checkpoint.tensors.find_vocabulary([]) == tmp_path / "models" / "117M"
    assert "model/wte/Adam" not in checkpoint and len(checkpoint) == 28


def test_gpt_2_simple_copies_what_is_needed_into_the_run(run: Path, tmp_path: Path) -> None:
    shutil.copyfile(tmp_path / "models" / "117M" / "hparams.json", run / "hparams.json")
    assert open_checkpoint(run).hparams == PRIMES


def test_a_base_of_another_shape_is_none(run: Path, tmp_path: Path) -> None:
    bases = [
        random_checkpoint(tmp_path / "shallow", replace(PRIMES, n_layer=1)),
        random_checkpoint(tmp_path / "short", replace(PRIMES, n_ctx=29)),
        tmp_path / "nowhere",
    ]
    with pytest.raises(CheckpointError, match=r"no other model has .* copy .* the vocabulary"):
        open_checkpoint(run, bases=bases)


@pytest.mark.parametrize("step", ["91", "last", "-90", "90.0", "", "9" * 5000])
def test_a_step_that_is_not_there_is_told_of_those_that_are(run: Path, step: str) -> None:
    with pytest.raises(UsageError, match="there are 90, 1000, and latest"):
        open_model(run, step)


def test_a_run_without_its_state_file_is_opened_at_the_last_step(run: Path) -> None:
    (run / "checkpoint").unlink()
    assert step_of(run) == 1000
    state('model_checkpoint_path: "/somewhere/else/model-2000"\n', run)
    assert step_of(run) == 1000


def test_a_step_within_one_checkpoint_is_a_mistake(run: Path) -> None:
    with pytest.raises(UsageError, match="is one checkpoint, not a folder to choose 90 from"):
        open_model(run / "model-90", "90")


def test_an_empty_folder_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no model"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("scope", ["model/", "", "tower/model/"])
@pytest.mark.parametrize("widened", [True, False])
def test_forks_with_another_scope_or_without_the_leading_1_are_read(
    scope: str, widened: bool, run: Path
) -> None:
    weights = random_weights(PRIMES)
    stored = {
        scope + name: array[None] if widened and name.endswith("/w") else array
        for name, array in weights.items()
    }
    write_bundle(run / "model-2000", stored, stored.__getitem__)
    checkpoint = open_model(run, "2000")
    for name, array in weights.items():
        np.testing.assert_array_equal(checkpoint[name], array)


@pytest.mark.parametrize("end", ["", ":0"])
def test_steps_that_are_hdf5_files_are_read(end: str, run: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for step in (90, 2000):
        with h5py.File(run / f"model-{step}.hdf5", "w") as file:
            for name, array in random_weights(PRIMES, seed=step).items():
                file[f"model/{name}{end}"] = array[None] if name.endswith("/w") else array
    state('model_checkpoint_path: "model-2000.hdf5"\n', run)
    checkpoint = open_model(run)
    np.testing.assert_array_equal(checkpoint["wte"], random_weights(PRIMES, seed=2000)["wte"])
    checkpoint.verify()
    one = open_model(run / "model-90.hdf5")
    assert one.fingerprint not in (checkpoint.fingerprint, open_model(run, "90").fingerprint)
    assert step_of(run, "90") == 90  # TensorFlow's own comes first


def test_a_model_of_another_kind_is_called_by_its_name(run: Path) -> None:
    for name, says in (
        ("newslm/embeddings/word_embed", "a Grover, as"),
        ("dense/kernel", "no GPT"),
    ):
        arrays = {name: np.ones((3, 5), np.float32)}
        write_bundle(run / "model-2000", arrays, arrays.__getitem__)
        with pytest.raises(CheckpointError, match=says):
            open_model(run, "2000")


@pytest.mark.parametrize("name", ["checkpoint", "hparams.json"])
def test_what_lies_beside_the_weights_means_its_folder(name: str, tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path / "model")
    assert open_checkpoint(folder / name).fingerprint == open_checkpoint(folder).fingerprint
