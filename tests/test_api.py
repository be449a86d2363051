"""What the package names takes what it says, and raises SamplerError alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import gpt2_sampler
from gpt2_sampler import SamplerError, load_engine, load_tokenizer
from tests.checkpoints import DATA, byte_vocabulary, random_checkpoint

SAVED = DATA / "huggingface"


def openai(folder: Path) -> Path:
    return byte_vocabulary(random_checkpoint(folder))


def one_checkpoint(folder: Path) -> Path:
    return openai(folder) / "model.ckpt"


def huggingface(folder: Path) -> Path:
    shutil.copytree(SAVED / "plain", folder)
    return byte_vocabulary(folder)


KINDS = [openai, one_checkpoint, huggingface]


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_of_any_kind_is_a_model(kind, tmp_path: Path) -> None:
    path = kind(tmp_path / "model")
    for spelt in (path, str(path)):
        engine, tokenizer = load_engine(spelt, "cpu"), load_tokenizer(spelt)
        logits = engine.logits([1, 2, 3])
        assert logits.shape == (3, engine.hparams.n_vocab) and np.isfinite(logits).all()
        assert tokenizer.decode(tokenizer.encode("the thing")) == "the thing"


@pytest.mark.parametrize("load", [load_engine, load_tokenizer])
@pytest.mark.parametrize("path", ["nowhere", "", "null\0byte", "~nosuchuser/x", "x" * 300])
def test_what_is_no_model_raises_the_one_error(load, path: str, tmp_path: Path) -> None:
    for spelt in (str(tmp_path / path), path or str(tmp_path)):
        with pytest.raises(SamplerError) as error:
            load(spelt)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("device", "precision"), [("tpu", "float32"), ("auto", "int3")])
def test_what_cannot_be_asked_for_raises_it_too(
    device: str, precision: str, tmp_path: Path
) -> None:
    with pytest.raises(SamplerError, match=r"must be one of"):
        load_engine(openai(tmp_path), device, precision)


def test_every_public_name_is_there_and_says_what_it_is_for() -> None:
    for name in gpt2_sampler.__all__:
        assert getattr(gpt2_sampler, name).__doc__, name


def test_a_message_stays_short_whatever_value_is_in_it() -> None:
    said = str(SamplerError(f"it has {'x' * 10**6}; type less"))
    assert len(said) < 2000 and said.startswith("it has xx") and said.endswith("xx; type less")
