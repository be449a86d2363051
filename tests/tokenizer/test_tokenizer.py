"""Every kind of tokenizer takes the same arguments, and names those that it cannot take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_sampler.errors import UsageError
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder
from gpt2_sampler.tokenizer.characters import Characters
from gpt2_sampler.tokenizer.load import load_tokenizer
from gpt2_sampler.tokenizer.tokenizer import Tokenizer
from tests.checkpoints import DATA, byte_vocabulary

BYTES = Encoder({symbol: number for number, symbol in enumerate(BYTE_SYMBOLS)}, [])
KINDS = ("byte pairs", "library", "word pieces", "characters")


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    published = DATA / "published"
    return {
        "byte pairs": lambda: load_tokenizer(byte_vocabulary(tmp_path)),
        "library": lambda: load_tokenizer(published / "kogpt2"),
        "word pieces": lambda: load_tokenizer(published / "uer"),
        "characters": lambda: Characters({c: n for n, c in enumerate("abcde ")}),
    }[request.param]()


@pytest.mark.parametrize("text", [None, b"ab", 5, ["ab"], Path("ab"), np.array("ab")])
def test_what_is_no_text_is_refused_by_name(text: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="text must be a str, not "):
        tokenizer.encode(text)


@pytest.mark.parametrize("choice", ["yes", 1, 0, [], np.array([True, False])])
def test_special_tokens_are_a_choice_of_two(choice: Any, tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="special_tokens must be True, False or None, not "):
        tokenizer.encode("ab", special_tokens=choice)


NO_TOKENS = ["12", b"12", 12, None, [1.0], [None], ["1"], [[1]], np.ones(2), np.ones((2, 2), int)]


@pytest.mark.parametrize("tokens", NO_TOKENS, ids=repr)
@pytest.mark.parametrize("method", ["decode", "decode_bytes"])
def test_what_is_no_token_is_refused_by_name(
    tokens: Any, method: str, tokenizer: Tokenizer
) -> None:
    with pytest.raises(UsageError, match="tokens must be whole numbers, not "):
        getattr(tokenizer, method)(tokens)


@pytest.mark.parametrize("token", [-1, -(2**70)])
def test_numbers_below_0_are_refused_whole_or_streamed(token: int, tokenizer: Tokenizer) -> None:
    for decode in (tokenizer.decode, tokenizer.decode_bytes):
        with pytest.raises(UsageError, match=f"tokens must be numbers from 0 up, not {token}"):
            decode([1, token, 2])
    with pytest.raises(UsageError, match=f"from 0 up, not {token}"):
        tokenizer.stream().push(token)


@pytest.mark.parametrize("beyond", [0, 50, 2**31, 2**32, 2**64, 2**70])
def test_rows_beyond_the_vocabulary_are_decoded(beyond: int, tokenizer: Tokenizer) -> None:
    """A model whose vocabulary was rounded up can choose them."""
    token = tokenizer.n_vocab + beyond
    assert tokenizer.decode([token]).strip("\ufffd") == ""
    assert tokenizer.stream([token]).push(token).strip(" \ufffd") == ""


def test_tokens_may_be_of_any_sequence_and_kind_of_whole_number(tokenizer: Tokenizer) -> None:
    text = tokenizer.decode([1, 2, 3])
    for tokens in ((1, 2, 3), iter([1, 2, 3]), np.array([1, 2, 3], np.uint16), range(1, 4)):
        assert tokenizer.decode(tokens) == text
    assert tokenizer.decode([]) == tokenizer.decode(np.array([], int)) == ""
    assert tokenizer.decode_bytes([1, 2, 3]) == text.encode()


@given(st.text())
def test_characters_are_streamed_whole_however_they_are_split(text: str) -> None:
    """Each byte a token: a character appears with its last byte, and none of it before."""
    stream = BYTES.stream()
    pieces = [stream.push(token) for token in BYTES.encode(text)]
    last = [i for i, piece in enumerate(pieces) if piece]
    ends = np.cumsum([len(c.encode()) for c in text]).astype(int) - 1
    assert last == ends.tolist()
    assert [pieces[i] for i in last] == list(text)
    assert stream.finish() == ""


@given(st.binary())
def test_bytes_are_streamed_as_they_are_decoded(raw: bytes) -> None:
    tokens = [BYTES.vocabulary[BYTE_SYMBOLS[byte]] for byte in raw]
    stream = BYTES.stream()
    streamed = "".join([stream.push(token) for token in tokens]) + stream.finish()
    assert streamed == BYTES.decode(tokens) == raw.decode(errors="replace")
    assert BYTES.decode_bytes(tokens) == raw
