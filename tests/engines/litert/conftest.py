"""Models that several files of tests read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gpt2_sampler.weights.hparams import HParams
from tests.checkpoints import random_checkpoint

LONG = HParams(n_vocab=101, n_ctx=301, n_embd=22, n_head=2, n_layer=3)


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("long"), LONG)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(original, tmp_path / "model"))
