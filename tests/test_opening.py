"""A path of any kind leads to a model's checkpoint and to its tokenizer, wherever that lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.opening import find_vocabulary, load_tokenizer, open_model
from tests.checkpoints import (
    DEMO,
    PRIMES,
    byte_vocabulary,
    random_checkpoint,
    random_weights,
    write_step,
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """models/mine and models/117M, and a run of the latter that has weights alone."""
    monkeypatch.chdir(tmp_path)
    for name in ("117M", "mine"):
        byte_vocabulary(random_checkpoint(tmp_path / "models" / name))
    (tmp_path / "checkpoint" / "run1").mkdir(parents=True)
    write_step(tmp_path / "checkpoint" / "run1" / "model-10", random_weights(PRIMES))
    return tmp_path / "checkpoint" / "run1"


def test_a_run_has_the_shape_and_the_vocabulary_of_its_base(run: Path, tmp_path: Path) -> None:
    base = tmp_path / "models" / "117M"
    for path in (run, run / "model-10", run / "model-10.index"):
        assert open_model(path).hparams == PRIMES
        found = find_vocabulary(path)
        assert isinstance(found, Path) and found.resolve() == base
        assert load_tokenizer(path).encode("the") == load_tokenizer(base).encode("the")


def test_a_base_is_looked_for_near_the_run_and_where_models_are_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert find_vocabulary(run) == tmp_path / "models" / "117M"
    (tmp_path / "models").rename(tmp_path / "kept")
    with pytest.raises(CheckpointError, match=r"hparams\.json is missing, and no other model"):
        open_model(run)
    assert find_vocabulary(run, str(tmp_path / "kept")) == tmp_path / "kept" / "117M"


def test_a_vocabulary_of_its_own_comes_first(run: Path) -> None:
    byte_vocabulary(run)
    assert find_vocabulary(open_model(run)) == run


def test_a_vocabulary_that_cannot_be_read_is_not_passed_over(run: Path) -> None:
    (run / "sp.model").touch()
    with pytest.raises(CheckpointError, match="SentencePiece"):
        load_tokenizer(run)


@pytest.mark.parametrize("kind", [str, Path])
def test_vocabulary_files_alone_are_enough_for_a_tokenizer(kind: type, tmp_path: Path) -> None:
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copyfile(DEMO / name, tmp_path / name)
    tokenizer = load_tokenizer(kind(tmp_path))
    text = "Once upon a time — a ‘king’ 😀"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    stream = tokenizer.stream()
    assert "".join(map(stream.push, ids)) + stream.finish() == text


def test_a_folder_without_anything_has_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no vocabulary"):
        load_tokenizer(tmp_path)


def test_the_weights_are_opened_once(run: Path) -> None:
    checkpoint = open_model(run)
    assert open_model(checkpoint) is checkpoint
    np.testing.assert_array_equal(checkpoint["wte"], random_weights(PRIMES)["wte"])
