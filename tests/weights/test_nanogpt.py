"""nanoGPT's checkpoints give its logits, with its characters or GPT-2's vocabulary."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler import load_engine, load_tokenizer
from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.weights import nanogpt
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import DATA

FORMATS = DATA / "formats"
EXPECTED = np.load(FORMATS / "nanogpt.npz")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("out-characters", "out-padded", "data"):
        shutil.copytree(FORMATS / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("kind", ["characters", "padded"])
@pytest.mark.parametrize("file", ["", "ckpt.pt"])
def test_every_logit_is_nanogpts(kind: str, file: str, runs: Path) -> None:
    engine = load_engine(runs / f"out-{kind}" / file, "cpu")
    for row, tokens in enumerate(EXPECTED[f"{kind}_tokens"]):
        expected = EXPECTED[f"{kind}_logits"][row]
        np.testing.assert_allclose(engine.logits(tokens.tolist()), expected, rtol=0, atol=1e-4)


def test_what_training_left_out_is_zero(runs: Path) -> None:
    checkpoint = open_checkpoint(runs / "out-characters")
    assert not checkpoint["h0/attn/c_attn/b"].any()
    assert checkpoint.hparams.tie_word_embeddings
    assert checkpoint.hparams.activation_function == "gelu"


def test_characters_are_those_of_its_dataset(runs: Path) -> None:
    tokenizer = load_tokenizer(runs / "out-characters")
    assert tokenizer.decode(tokenizer.encode("a café!\n")) == "a café!\n"
    assert tokenizer.start_of_text == tokenizer.encode("\n")[0]
    assert (tokenizer.end_of_text, tokenizer.ends) == (None, frozenset())
    shutil.move(runs / "data" / "shakespeare_char" / "meta.pkl", runs / "out-characters")
    moved = load_tokenizer(runs / "out-characters" / "ckpt.pt")
    assert moved.encode("abc") == tokenizer.encode("abc")
    with pytest.raises(UsageError, match=r"'Z天' cannot be written: the model knows 32 characters"):
        tokenizer.encode("aZ天")


@pytest.mark.parametrize("dataset", ["../data", "/etc", "**", "a/**/b", "**x", "nul\0", "", [7]])
def test_a_dataset_whose_name_leads_elsewhere_is_none(
    dataset: object, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = nanogpt.read_pytorch(runs / "out-characters" / "ckpt.pt")
    changed = {**saved, "config": {"dataset": dataset}}
    monkeypatch.setattr(nanogpt, "read_pytorch", lambda path: changed)
    assert nanogpt.NanoGPTTensors(runs / "out-characters" / "ckpt.pt").dataset is None
    assert load_tokenizer(runs / "out-characters").n_vocab == 32


@pytest.mark.parametrize("deep", ["out", "out/a", "out/a/b"])
def test_a_run_may_lie_two_folders_deeper_than_its_datasets(deep: str, runs: Path) -> None:
    expected = load_tokenizer(runs / "out-characters").encode("abc")
    (runs / deep).parent.mkdir(parents=True, exist_ok=True)
    moved = shutil.move(runs / "out-characters", runs / deep)
    assert load_tokenizer(moved).encode("abc") == expected
    (runs / "1" / "2" / "3").mkdir(parents=True)
    deeper = shutil.move(moved, runs / "1" / "2" / "3" / "4")
    with pytest.raises(CheckpointError, match=r"no meta\.pkl"):
        load_tokenizer(deeper)


def test_a_vocabulary_that_is_missing_is_named(runs: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no meta.pkl .* copy that of data/openwebtext"):
        load_tokenizer(runs / "out-padded")


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    shutil.copyfile(FORMATS / "whole" / "pytorch_model.bin", tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="no model and model_args, as nanoGPT saves them"):
        open_checkpoint(tmp_path / "x.pt")
