"""What a Hugging Face folder's files say of its tokenizer, and which of them holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.load import load_tokenizer
from tests.tokenizer.test_markers import PUBLISHED, changed


def test_of_a_token_described_twice_the_last_description_holds(tmp_path: Path) -> None:
    greedy = {"__type": "AddedToken", "content": "<s>", "lstrip": True, "rstrip": True}
    folder = changed("rugpt3", tmp_path, "tokenizer_config.json", sep_token=greedy)
    tokenizer, plain = load_tokenizer(folder), load_tokenizer(PUBLISHED / "rugpt3")
    assert tokenizer.encode("a <s> b") == tokenizer.encode("a<s>b")
    assert plain.encode("a <s> b") != plain.encode("a<s>b")


def test_tokens_beside_those_of_the_older_files_are_added(tmp_path: Path) -> None:
    settings = {"additional_special_tokens": ["<new>"]}
    folder = changed("persona", tmp_path, "tokenizer_config.json", **settings)
    assert load_tokenizer(folder).encode("<personb><new>") == [301, 302]


def test_of_the_older_files_tokens_those_with_a_role_are_special(tmp_path: Path) -> None:
    folder = changed("persona", tmp_path, "added_tokens.json", **{"<plain>": 302})
    tokenizer = load_tokenizer(folder)
    assert tokenizer.encode("<personb><plain>") == [301, 302]
    as_text = tokenizer.encode("<personb><plain>", special_tokens=False)
    assert 301 not in as_text
    assert as_text[-1] == 302


def test_a_token_without_a_name_is_none(tmp_path: Path) -> None:
    folder = changed("cerebras", tmp_path, "tokenizer_config.json", additional_special_tokens=[""])
    plain = load_tokenizer(PUBLISHED / "cerebras")
    assert load_tokenizer(folder).encode("Hello") == plain.encode("Hello")


def test_special_tokens_of_a_kind_of_model_are_refused_by_name(tmp_path: Path) -> None:
    own = {"model_specific_special_tokens": {"image_token": "<image>"}}
    folder = changed("cerebras", tmp_path, "tokenizer_config.json", **own)
    with pytest.raises(CheckpointError, match="names model_specific_special_tokens"):
        load_tokenizer(folder)


@pytest.mark.parametrize("kind", ["cerebras", "uer"])
@pytest.mark.parametrize(
    "name", ["add_bos_token", "add_eos_token", "add_prefix_space", "split_special_tokens"]
)
def test_a_choice_that_is_none_is_refused_by_name(kind: str, name: str, tmp_path: Path) -> None:
    folder = changed(kind, tmp_path, "tokenizer_config.json", **{name: "yes"})
    with pytest.raises(CheckpointError, match=f"its {name} must be true or false, not 'yes'"):
        load_tokenizer(folder)


@pytest.mark.parametrize("kind", ["distilgpt2", "kogpt2", "stanford"])
def test_numbers_are_those_that_are_said_in_whatever_order(kind: str, tmp_path: Path) -> None:
    plain = load_tokenizer(PUBLISHED / kind)
    saved = json.loads((PUBLISHED / kind / "tokenizer.json").read_text(encoding="utf-8"))
    model = saved["model"]
    backwards = {**model, "vocab": dict(reversed(model["vocab"].items()))}
    tokenizer = load_tokenizer(changed(kind, tmp_path, "tokenizer.json", model=backwards))
    assert tokenizer.encode("Hello there") == plain.encode("Hello there")
    assert tokenizer.start_of_text == plain.start_of_text
