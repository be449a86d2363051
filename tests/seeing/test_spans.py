"""Spans are the whole text in order, and words are the whole of the tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpt2_sampler.seeing.spans import TextSpan, WordSpan, find_spans, group_words
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder
from gpt2_sampler.tokenizer.load import load_tokenizer
from gpt2_sampler.tokenizer.tokenizer import Tokenizer
from tests.checkpoints import DATA

BYTES = Encoder({symbol: number for number, symbol in enumerate(BYTE_SYMBOLS)}, [])
OTHERS = [load_tokenizer(DATA / "published" / name) for name in ("uer", "kogpt2", "german")]


def require_whole(tokenizer: Tokenizer, tokens: list[int]) -> list[TextSpan]:
    spans = find_spans(tokenizer, tokens)
    text = tokenizer.decode(tokens)
    assert "".join(span.text for span in spans) == text
    place = place_in_bytes = 0
    for span in spans:
        assert (span.start, span.start_byte) == (place, place_in_bytes)
        assert text[span.start : span.end] == span.text
        place, place_in_bytes = span.end, span.end_byte
    assert place == len(text)
    return spans


@given(st.binary())
def test_spans_of_any_bytes_are_the_whole_text(raw: bytes) -> None:
    tokens = [BYTES.vocabulary[BYTE_SYMBOLS[byte]] for byte in raw]
    for byte, span in enumerate(require_whole(BYTES, tokens)):
        assert (span.start_byte, span.end_byte) == (byte, byte + 1)


@given(st.lists(st.integers(0, 49)), st.sampled_from(OTHERS))
def test_spans_of_any_tokens_are_the_whole_text(tokens: list[int], tokenizer: Tokenizer) -> None:
    spans = require_whole(tokenizer, tokens)
    words = group_words([span.text for span in spans])
    assert [n for word in words for n in range(word.first, word.end)] == list(range(len(tokens)))


def test_a_character_is_text_of_the_token_that_completes_it() -> None:
    assert find_spans(BYTES, BYTES.encode("é!")) == [
        TextSpan("", 0, 0, 0, 1),
        TextSpan("é", 0, 1, 1, 2),
        TextSpan("!", 1, 2, 2, 3),
    ]


def test_the_space_before_a_text_is_part_of_its_first_token() -> None:
    pieces = OTHERS[0]
    world = pieces.encode("world")
    assert find_spans(pieces, world, before=pieces.encode("hello"))[0].text[0] == " "
    assert find_spans(pieces, world)[0].text[0] != " "


def test_words_have_their_own_punctuation_and_the_space_before_them() -> None:
    texts = ["Don", "'t", " stop", ",", "\n", "\n", "“", "he", "”", " said", "."]
    assert group_words(texts) == [
        WordSpan("Don't", 0, 2),
        WordSpan("stop,", 2, 4),
        WordSpan("“he”", 4, 9),
        WordSpan("said.", 9, 11),
    ]


def test_white_space_after_the_last_word_is_no_word() -> None:
    assert group_words([" a", " ", "\n"]) == [WordSpan("a", 0, 1), WordSpan("", 1, 3)]
    assert group_words([" "]) == [WordSpan("", 0, 1)]
    assert group_words([]) == []


def test_white_space_inside_or_after_a_token_adds_up() -> None:
    assert group_words(["a b", "c", " d"]) == [WordSpan("a bc", 0, 2), WordSpan("d", 2, 3)]
    assert group_words(["a ", "b"]) == [WordSpan("a", 0, 1), WordSpan("b", 1, 2)]


def test_half_a_character_belongs_to_its_word() -> None:
    spans = find_spans(BYTES, BYTES.encode("a 天 b"))
    assert group_words([span.text for span in spans]) == [
        WordSpan("a", 0, 1),
        WordSpan("天", 1, 5),
        WordSpan("b", 5, 7),
    ]


def test_white_space_of_several_tokens_belongs_to_the_word_after_it() -> None:
    spans = find_spans(BYTES, BYTES.encode("a\u3000天"))
    assert group_words([span.text for span in spans]) == [
        WordSpan("a", 0, 1),
        WordSpan("天", 1, 7),
    ]


def test_a_long_text_without_white_space_is_one_word_soon() -> None:
    texts = [" ", *["天"] * 300_000]
    assert [word.end for word in group_words(texts)] == [len(texts)]


@given(st.text("ab .\n天\u3000\x85", max_size=30))
def test_words_are_what_splitting_gives(text: str) -> None:
    spans = find_spans(BYTES, BYTES.encode(text))
    assert [w.text for w in group_words([s.text for s in spans]) if w.text] == text.split()
