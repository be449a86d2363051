"""What a Hugging Face folder's files say of its tokenizer holds, as it does in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from gpt2_sampler.tokenizer.by_class import splits_as_openai
from gpt2_sampler.tokenizer.load import load_tokenizer

WORDS = ["it", "'s", "do", "n't", ".", "?", "a", "'", "ve", "not", "'ve", "is"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("it 's a . a ?", "it's a. a?"),
        ("do n't is not n't", "don't is notn't"),
        ("a 've a ' a '", "a've a'a '"),
        ("a .", "a."),
    ],
)
def test_spaces_that_transformers_cleans_up_are_not_written(
    words: str, text: str, tmp_path: Path
) -> None:
    library = Tokenizer(models.WordLevel({f"▁{word}": n for n, word in enumerate(WORDS)}, "▁a"))
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    library.save(str(tmp_path / "tokenizer.json"))
    settings = tmp_path / "tokenizer_config.json"
    for cleans, expected in ((True, text), (False, words)):
        kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
        settings.write_text(json.dumps({**kind, "clean_up_tokenization_spaces": cleans}))
        tokenizer = load_tokenizer(tmp_path)
        assert tokenizer.decode(tokenizer.encode(words)) == expected


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


@pytest.mark.parametrize(
    ("rule", "is_openais"),
    [
        (BYTES, True),
        ({"type": "ByteLevel", "add_prefix_space": False}, True),
        ({"type": "ByteLevel"}, False),  # a space before the text is the library's default
        ({**BYTES, "add_prefix_space": True}, False),
        ({**BYTES, "use_regex": False}, False),
        ({"type": "Sequence", "pretokenizers": [BYTES]}, True),
        ({"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, BYTES]}, False),
        ({"type": "Whitespace"}, False),
        ({}, False),
    ],
)
def test_words_are_openais_where_nothing_else_is_asked_for(
    rule: dict[str, Any], is_openais: bool
) -> None:
    assert splits_as_openai(rule) is is_openais
