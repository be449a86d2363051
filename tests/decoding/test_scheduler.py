"""Texts are written side by side and come in order, and none is left behind however it ends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import END_OF_TEXT, Request
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.scheduler import Texts, write_in_order
from gpt2_sampler.decoding.text import STOP_TEXT, STOPPED, Piece, Text
from gpt2_sampler.errors import UsageError
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder
from gpt2_sampler.tokenizer.byte_level import END_OF_TEXT_NAME as END_NAME
from tests.fake_engine import FakeEngine

BYTES = Encoder({symbol: i for i, symbol in enumerate([*BYTE_SYMBOLS, END_NAME])}, [])
V, C = 257, 41


def text(number: int, stops: tuple[str, ...] = (), length: int = 23) -> Text:
    request = Request(number, [number], (5, number), Sampling(), length, frozenset([256]))
    return Text(request, BYTES, stops)


def alone(number: int, stops: tuple[str, ...] = (), length: int = 23) -> tuple[str, str]:
    texts = Texts(Batch(FakeEngine(V, C), 1))
    [*_] = write_in_order(texts, [one := text(number, stops, length)])
    return one.characters, one.ended


@given(
    rows=st.integers(1, 5),
    ahead=st.integers(1, 9) | st.none(),
    lengths=st.lists(st.integers(1, 30), max_size=9),
)
@settings(max_examples=40)
def test_each_text_is_what_it_is_alone_and_comes_in_its_turn(
    rows: int, ahead: int | None, lengths: list[int]
) -> None:
    texts = Texts(Batch(FakeEngine(V, C), rows))
    asked = [text(n, length=length) for n, length in enumerate(lengths)]
    pieces = [*itertools.chain.from_iterable(write_in_order(texts, asked, ahead=ahead))]
    for n, length in enumerate(lengths):
        own = [piece.characters for piece in pieces if piece.text.id == n]
        assert ("".join(own), asked[n].ended) == alone(n, length=length)
    numbers = [piece.text.id for piece in pieces]
    assert numbers == sorted(numbers)  # type: ignore[type-var]
    assert [piece.text.id for piece in pieces if piece.ended] == list(range(len(lengths)))
    assert not texts and not texts.batch


def test_a_text_that_meets_a_stop_text_frees_its_row_in_that_step() -> None:
    whole, _ = alone(0)
    stop = whole[3:5]
    texts = Texts(Batch(FakeEngine(V, C), 1))
    texts.add(one := text(0, (stop,)))
    while texts:
        pieces = texts.step()
    assert pieces[-1].ended == one.ended == STOP_TEXT
    assert one.characters == whole[: whole.index(stop)]
    assert 0 not in texts.batch


def test_a_text_that_has_ended_before_is_handed_out_all_the_same() -> None:
    nothing = text(1)
    nothing.end("refused")
    texts = Texts(Batch(FakeEngine(V, C), 2))
    pieces = [*itertools.chain.from_iterable(write_in_order(texts, [text(0), nothing, text(2)]))]
    assert [p.text.id for p in pieces if p.ended] == [0, 1, 2]
    assert [p for p in pieces if p.text is nothing] == [Piece(nothing, "", [], "refused")]


def test_a_text_that_is_cancelled_gives_what_it_held_back() -> None:
    whole, _ = alone(0, length=99)
    texts = Texts(Batch(FakeEngine(V, C), 1))
    texts.add(one := text(0, (whole[:4] + "\0",)))
    while len(one.tokens) < 4:
        assert all(not piece.characters for piece in texts.step())
    piece = texts.cancel(0)
    assert whole.startswith(piece.characters) and piece.characters and piece.ended == STOPPED
    assert not texts and not texts.batch
    with pytest.raises(UsageError, match="no request 0"):
        texts.cancel(0)


def test_once_stopped_the_texts_end_where_they_are_and_in_order() -> None:
    texts = Texts(Batch(FakeEngine(V, C), 3))
    steps = itertools.count()
    pieces = [
        *itertools.chain.from_iterable(
            write_in_order(texts, map(text, itertools.count()), stopped=lambda: next(steps) == 5)
        )
    ]
    ended = [piece for piece in pieces if piece.ended]
    assert [piece.text.id for piece in ended] == [0, 1, 2]
    assert {piece.ended for piece in ended} <= {STOPPED, END_OF_TEXT}
    assert not texts and not texts.batch


@pytest.mark.parametrize("n_steps", [0, 1, 5])
def test_whoever_stops_listening_leaves_no_text_behind(n_steps: int) -> None:
    texts = Texts(Batch(FakeEngine(V, C), 3))
    steps = write_in_order(texts, map(text, itertools.count()))
    for _ in range(n_steps):
        next(steps)
    steps.close()
    assert not texts and not texts.batch


def test_a_step_that_fails_leaves_no_text_behind() -> None:
    engine = FakeEngine(V, C)
    texts = Texts(Batch(engine, 2))

    def fail(written: int) -> None:
        if written > 9:
            raise KeyboardInterrupt

    engine.fail = fail  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        list(write_in_order(texts, map(text, itertools.count())))
    assert not texts and not texts.batch
