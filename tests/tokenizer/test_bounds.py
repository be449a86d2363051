"""What a vocabulary's own rules may do to a text has bounds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer import library
from gpt2_sampler.tokenizer.load import load_tokenizer
from tests.tokenizer.test_library import saved, split


def replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def test_a_text_that_takes_too_long_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "PATIENCE", 0.3)
    cubic = load_tokenizer(saved(tmp_path, pre_tokenizer=split("[ab]*[ab]*(?=[^ab !])")))
    began = time.monotonic()
    with pytest.raises(CheckpointError, match=r"tokenizer.json: to split a text of 1,501 char"):
        cubic.encode("a" * 1500 + "!")
    assert time.monotonic() - began < 10


DOUBLING = {"type": "Sequence", "normalizers": [replace("a", "aa")] * 40}


@pytest.mark.parametrize(
    ("part", "rule", "says"),
    [
        ("normalizer", DOUBLING, r"its normalizer may make a text 1.1e\+12 times as long"),
        ("normalizer", replace("a", "b" * 10**6), "1e.06 times as long"),
        ("normalizer", replace("", "b" * 200), "2e.02 times as long"),
        ("normalizer", {"type": "Prepend", "prepend": "b" * 300}, "3e.02 times as long"),
        ("normalizer", {"type": "Sequence", "normalizers": [DOUBLING]}, "times as long"),
        ("decoder", {"type": "Sequence", "decoders": [replace("a", "aa")] * 40}, "its decoder may"),
        ("decoder", split("a") | {"type": "Replace", "content": "b"}, "a regular expression"),
    ],
)
def test_rules_that_make_gigabytes_of_a_letter_are_refused(
    part: str, rule: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=says):
        load_tokenizer(saved(tmp_path, **{part: rule}))


def test_rules_that_lengthen_a_text_a_little_are_followed(tmp_path: Path) -> None:
    rules = [{"type": "Prepend", "prepend": " "}, replace("!", "bb"), {"type": "NFKC"}]
    normalizer = {"type": "Sequence", "normalizers": rules}
    assert load_tokenizer(saved(tmp_path, normalizer=normalizer)).encode("a!") == [2, 0, 1, 1]
