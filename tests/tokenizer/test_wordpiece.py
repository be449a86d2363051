"""BERT's word pieces, as Chinese GPT-2 models have them."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from gpt2_sampler.tokenizer.load import load_tokenizer
from gpt2_sampler.tokenizer.wordpiece import WordPieces, is_unspaced
from tests.tokenizer.test_load import CHINESE, bert, streamed

EXPECTED = json.loads((CHINESE / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "files", [["vocab.txt"], ["vocab.txt", "tokenizer_config.json"], ["tokenizer.json"]]
)
def test_berts_vocabulary_gives_transformers_ids(files: list[str], tmp_path: Path) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, *files))
    assert isinstance(vocabulary, WordPieces)
    assert vocabulary.n_vocab == 50
    for text, ids in EXPECTED.items():
        assert vocabulary.encode(text) == ids
    assert (vocabulary.start_of_text, vocabulary.end_of_text) == (2, 3)


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json"])
def test_special_tokens_typed_in_a_text_are_tokens_unless_asked(form: str, tmp_path: Path) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, form))
    assert vocabulary.encode("天[SEP]地") == [15, 3, 16]
    assert vocabulary.encode("天[SEP]地", special_tokens=True) == [15, 3, 16]
    assert 3 not in vocabulary.encode("天[SEP]地", special_tokens=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("春眠不觉晓，处处闻啼鸟。", "春眠不觉晓，处处闻啼鸟。"),
        ("我 用 GPT 手机", "我用gpt手机"),
        ("Hello world, saying hellos.", "hello world, saying hellos."),
        ("2019 20 a-e", "2019 20 a - e"),
    ],
)
def test_no_spaces_stand_between_chinese_characters(text: str, shown: str, tmp_path: Path) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, "vocab.txt"))
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == streamed(vocabulary, ids) == shown
    assert vocabulary.decode_bytes(ids) == shown.encode()


CHINESE_SIGNS = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL", "FULLWIDTH")
SPACED_SIGNS = ("LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC", "HANGUL SYLLABLE", "YI SYLLABLE")


def test_scripts_without_spaces_are_those_of_chinese() -> None:
    for number in (*range(1 << 16), 0x20000, 0x2A6DF, 0x30000, 0x3134A):
        name = unicodedata.name(chr(number), "")
        if name.startswith(CHINESE_SIGNS + SPACED_SIGNS):
            assert is_unspaced(chr(number)) == name.startswith(CHINESE_SIGNS), name


def test_a_sample_goes_on_from_the_prompts_last_word(tmp_path: Path) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, "vocab.txt"))
    hello, world, s, heaven = 38, 39, 41, 15
    for before, token, shown in (
        (hello, world, " world"),
        (hello, s, "s"),
        (heaven, world, "world"),
    ):
        assert vocabulary.stream([before]).push(token) == shown
    assert vocabulary.stream().push(world) == "world"


def test_marks_between_texts_are_line_breaks(tmp_path: Path) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, "vocab.txt"))
    assert vocabulary.decode([2, 15, 3, 38, 4, 0, 1]) == "\n天\nhello [UNK]"


@pytest.mark.parametrize(("settings", "unknown"), [({}, 1), ({"unk_token": "[PAD]"}, 0)])
def test_what_is_in_no_vocabulary_is_the_token_for_it(
    settings: dict[str, str], unknown: int, tmp_path: Path
) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, "vocab.txt", **settings))
    assert vocabulary.encode("天龘地") == [15, unknown, 16]


def test_case_is_kept_where_the_settings_say_so(tmp_path: Path) -> None:
    vocabulary = load_tokenizer(bert(tmp_path, "vocab.txt", do_lower_case=False))
    assert vocabulary.encode("GPT gpt") == [1, 37]
