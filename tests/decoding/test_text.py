"""Tokens become whole characters, and a stop text ends them wherever tokens begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_sampler.decoding.request import END_OF_TEXT as ENDED
from gpt2_sampler.decoding.request import LENGTH_REACHED, Request, Token
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.text import STOP_TEXT, Text
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME, Encoder

BYTES = Encoder({symbol: i for i, symbol in enumerate([*BYTE_SYMBOLS, END_OF_TEXT_NAME])}, [])
END = 256
few_letters = st.text(st.sampled_from("abé"), max_size=12)
stop_texts = st.lists(st.text(st.sampled_from("abé"), min_size=1, max_size=3), max_size=3)


REQUEST = Request(0, [*b"Once"], (0, 0), Sampling(), 99, frozenset([END]))


def pieces(tokens: list[int], text: Text) -> list[str]:
    """The tokens are all that the request has: with the last one its length is reached."""
    taken = []
    for number, token in enumerate(tokens, 1):
        ended = LENGTH_REACHED if number == len(tokens) else ""
        text.add(Token(text.request, token, ENDED if token == END else ended))
        taken.append(text.take().characters)
        if text.ended:
            break
    return taken


@given(few_letters, stop_texts)
def test_text_ends_before_the_stop_text_that_is_complete_first(
    written: str, stops: list[str]
) -> None:
    expected = written
    for n_characters in range(len(written) + 1):  # read character by character
        found = [stop for stop in stops if written[:n_characters].endswith(stop)]
        if found:
            expected = written[: n_characters - max(map(len, found))]
            break
    text = Text(REQUEST, BYTES, stops)
    assert "".join(pieces(list(written.encode()), text)) == text.characters == expected
    if written:
        assert text.ended == (LENGTH_REACHED if expected == written else STOP_TEXT)


@pytest.mark.parametrize("character", ["é", "€", "😀"])
def test_characters_are_shown_when_they_are_whole(character: str) -> None:
    tokens = list(character.encode())
    text = Text(REQUEST, BYTES)
    assert pieces(tokens, text) == [*[""] * (len(tokens) - 1), character]


def test_a_token_waits_until_all_of_its_characters_are_certain() -> None:
    encoder = Encoder({s: i for i, s in enumerate([*BYTE_SYMBOLS, "ab"])}, ["a b"])
    request = Request(0, [*b"Once"], (0, 0), Sampling(), 99)
    for following, expected in (("!", [("ab", 256), ("!", 33)]), (".", [("a", 256)])):
        text, seen = Text(request, encoder, ["b."]), list[tuple[str, int]]()
        for token in (256, ord(following)):
            text.add(Token(request, token, ""))
            seen += [(part, one.id) for one, part in text.take().tokens if one is not None]
        assert seen == expected


def test_half_a_character_at_the_end_is_left_out_and_completed_when_the_text_goes_on() -> None:
    tokens = list("a😀b".encode())
    first = Text(REQUEST, BYTES)
    assert "".join(pieces(tokens[:3], first)) == "a"
    second = Text(first.rest(), BYTES, start=first)
    assert "".join(pieces(tokens[3:], second)) == "😀b"


def test_the_end_of_text_is_neither_shown_nor_gone_on_from() -> None:
    text = Text(REQUEST, BYTES)
    assert "".join(pieces([*b"ab", END, *b"cd"], text)) == "ab"
    assert text.ended == ENDED
    assert (text.rest().tokens, text.rest().drawn) == ([*b"Onceab"], 3)


def test_a_stop_text_is_shown_when_the_text_goes_on() -> None:
    first = Text(REQUEST, BYTES, ["."])
    assert "".join(pieces([*b"One. Two."], first)) == "One"
    second = Text(first.rest(), BYTES, ["."], first)
    assert "".join(pieces([*b" Two. Three."], second)) == ". Two"
