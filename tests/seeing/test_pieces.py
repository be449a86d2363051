"""Every token can be seen: whole characters as they are, halves as their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_sampler.seeing.pieces import look, piece, pieces, quote
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder

BYTES = Encoder({symbol: token for token, symbol in enumerate(BYTE_SYMBOLS)}, [])


def test_half_a_character_is_its_bytes_and_the_last_half_brings_the_character() -> None:
    tokens = list("a😀é".encode())
    assert list(pieces(BYTES, tokens)) == [
        *("a", "<F0>", "<9F>", "<98>", "<80>😀"),
        *("<C3>", "<A9>é"),
    ]


@pytest.mark.parametrize(
    ("raw", "text", "shown"),
    [
        (b" the", " the", " the"),
        (b" \xe4\xbd", " ", " <E4 BD>"),
        (b"\xa0\n", "你\n", "<A0>你\n"),
        (b"\x80 \xf0\x9f", "— ", "<80>— <F0 9F>"),
        (b"\xff", "\ufffd", "<FF>"),
        (b"", "", ""),
    ],
)
def test_a_token_may_hold_halves_at_both_its_ends(raw: bytes, text: str, shown: str) -> None:
    assert piece(raw, text) == shown


@given(st.text())
def test_text_without_halves_is_as_it_was(text: str) -> None:
    characters = [piece(character.encode(), character) for character in text]
    assert "".join(characters) == text


def test_a_token_by_itself_shows_what_of_it_is_whole() -> None:
    assert [look(BYTES, token) for token in (*b"k\n", 0xE4)] == ["k", "\n", "<E4>"]


def test_in_a_list_spaces_and_control_characters_are_seen() -> None:
    assert quote(" a\n\x1b[0m") == r'" a\n\x1b[0m"'
