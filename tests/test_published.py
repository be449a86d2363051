"""Well-known GPT-2 models as they are published give transformers' ids, text, ends and logits.

Made by tools/make_published_fixtures.py: their configurations, small vocabularies, random weights.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler import load_engine, load_tokenizer
from gpt2_sampler.errors import CheckpointError
from tests.checkpoints import DATA

PUBLISHED = DATA / "published"
EXPECTED = json.loads((PUBLISHED / "expected.json").read_text(encoding="utf-8"))
LOGITS = np.load(PUBLISHED / "expected.npz")
CHINESE = ("uer", "ckip")
ENDS = {
    "cerebras": {0}, "dialogpt": {0}, "distilgpt2": {0}, "stanford": {0}, "rugpt3": {2},
    "german": {2}, "persona": {0, 301}, "uer": {3}, "ckip": {3}, "kogpt2": {1}, "rinna": {2},
}  # fmt: skip
"""As config.json numbers them; uer's, 50256, is no token of its vocabulary, so [SEP] is guessed."""


def readable(name: str) -> Path:
    """rinna's vocabulary as the command that its error names converts it."""
    return PUBLISHED / ("rinna-converted" if name == "rinna" else name)


@pytest.mark.parametrize("name", ENDS)
def test_ids_and_text_are_transformers(name: str) -> None:
    tokenizer = load_tokenizer(readable(name))
    for text, expected in EXPECTED[name].items():
        assert tokenizer.encode(text) == expected["ids"], text
        if name not in CHINESE:  # whose characters transformers leaves spaces between
            assert tokenizer.decode(expected["ids"]) == expected["text"]
            stream = tokenizer.stream()
            pieces = [stream.push(token) for token in expected["ids"]]
            assert "".join(pieces) + stream.finish() == expected["text"]


@pytest.mark.parametrize("name", ENDS)
def test_logits_are_transformers(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(readable(name), tmp_path / name))
    expected = LOGITS[name]
    tokens = load_tokenizer(folder).encode(next(iter(EXPECTED[name])))[: len(expected)]
    logits = load_engine(folder, "cpu").logits(tokens)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ENDS)
def test_the_models_own_end_of_text_ends_a_sample(name: str) -> None:
    tokenizer = load_tokenizer(readable(name))
    assert tokenizer.ends == ENDS[name]
    assert tokenizer.end_of_text in tokenizer.ends


def test_a_sentencepiece_vocabulary_is_refused_with_a_command() -> None:
    with pytest.raises(CheckpointError) as error:
        load_tokenizer(PUBLISHED / "rinna")
    assert "its tokenizer is a T5Tokenizer without tokenizer.json; convert it: python3 -c" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_special_tokens_in_a_prompt_are_text_where_asked_for() -> None:
    for name, text in (("uer", "[CLS]天"), ("cerebras", "<|endoftext|>")):
        tokenizer = load_tokenizer(PUBLISHED / name)
        assert tokenizer.encode(text, special_tokens=True) == tokenizer.encode(text)
        assert len(tokenizer.encode(text, special_tokens=False)) > len(tokenizer.encode(text))
