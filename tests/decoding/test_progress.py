"""What a request is told of its own tokens is what it would have been told had they been drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.decoding.batch import PIECE, Batch
from gpt2_sampler.decoding.request import LENGTH_REACHED, Request, Token
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import CheckpointError
from tests.decoding.test_batch import SAMPLINGS, C, V, all_tokens, requests, slow_text
from tests.fake_engine import FakeDraft, FakeEngine, Floats

ROOM = 1009


def draw(request: Request, window: int = C) -> list[Token]:
    """All that is told of a request that is alone."""
    batch = Batch(FakeEngine(V, window), 1)
    batch.add(request)
    return list(all_tokens(batch))


def facts(tokens: Sequence[Token]) -> list[tuple[object, ...]]:
    return [(token.id, token.choice, token.top) for token in tokens]


@pytest.mark.parametrize("sampling", [*SAMPLINGS, Sampling(top_p=0.6, repetition_penalty=1.5)])
@pytest.mark.parametrize("n_prompt", [1, 7, C, 3 * C])
@pytest.mark.parametrize("first", [0, 1, 20, 49])
def test_own_tokens_are_told_as_they_were_when_they_were_drawn(
    sampling: Sampling, n_prompt: int, first: int
) -> None:
    prompt = [token % V for token in range(n_prompt)]
    drawn = draw(Request(0, prompt, (0, 0), sampling, length=50, top=4))
    text = [*prompt, *(token.id for token in drawn)]
    told = draw(Request(1, text, (0, 0), sampling, drawn=50, top=4, tell_from=n_prompt + first))
    assert facts(told) == facts(drawn[first:])
    assert not any(token.drawn for token in told)
    assert [token.ended for token in told] == [*[""] * (49 - first), LENGTH_REACHED]


@given(
    wrong=st.sampled_from([None, 0, 0.5]),
    rows=st.integers(1, 4),
    window=st.sampled_from([1, 2, 7, C, 101]),
    asked=st.lists(
        st.tuples(
            st.lists(st.integers(0, 3), min_size=1, max_size=30),
            st.integers(1, 31) | st.none(),
            st.integers(0, 12),
            st.sampled_from(SAMPLINGS),
        ),
        min_size=1,
        max_size=7,
    ),
)
@settings(max_examples=80)
def test_told_and_untold_requests_beside_each_other_are_what_they_are_alone(
    wrong: float | None, rows: int, window: int, asked: list[tuple[list[int], int, int, Sampling]]
) -> None:
    draft = None if wrong is None else FakeDraft(V, window, wrong)
    batch = Batch(FakeEngine(V, window), rows, draft)
    expected = {}
    for n, (tokens, tell_from, most, sampling) in enumerate(asked):
        length = most if most or (tell_from or 99) < len(tokens) else 1
        request = Request(n, tokens, (n,), sampling, length, tell_from=tell_from, top=2)
        batch.add(request)
        expected[n] = facts(draw(request, window))
    found: dict[object, list[Token]] = {n: [] for n in expected}
    for token in all_tokens(batch):
        found[token.request.id].append(token)
    assert {n: facts(tokens) for n, tokens in found.items()} == expected


def test_a_text_goes_on_after_what_was_told_as_if_nothing_had_been() -> None:
    for request in requests(5):
        told = draw(replace(request, tell_from=1, top=0))
        assert [token.id for token in told[:2]] == [5, 2]
        assert [token.id for token in told[2:]] == slow_text(request)
        assert [token.drawn for token in told[:3]] == [False, False, True]


def test_what_another_row_holds_is_told_all_the_same() -> None:
    engine = FakeEngine(V, ROOM)
    batch = Batch(engine, 2)
    tokens = [token % V for token in range(100)]
    writer = Request("writer", tokens, (0,), length=50)
    batch.add(writer)
    batch.step()
    reader = Request("reader", tokens, tell_from=1, top=3)
    batch.add(reader)
    told = [token for token in all_tokens(batch) if token.request.id == "reader"]
    assert facts(told) == facts(draw(reader, ROOM))


def test_looking_at_a_text_costs_its_row_nothing() -> None:
    engine = FakeEngine(V, ROOM)
    batch = Batch(engine, 1)
    [request] = requests(1, length=60, ends=frozenset())
    batch.add(request)
    text = [*request.tokens, *(token.id for token in all_tokens(batch))]
    batch.add(Request("why", text[:40], tell_from=20))
    list(all_tokens(batch))
    engine.calls.clear()
    batch.add(replace(request, tokens=text, drawn=60, length=1))
    list(all_tokens(batch))
    assert engine.calls == [1]


def test_many_short_texts_are_read_side_by_side_and_few_logits_at_a_time() -> None:
    engine = FakeEngine(V, ROOM)
    batch = Batch(engine, 32)
    for n in range(64):
        batch.add(Request(n, [n % V] * 9, tell_from=1))
    assert len(list(all_tokens(batch))) == 64 * 8
    assert len(engine.calls) == 64 * 8 / PIECE and max(engine.calls) == PIECE


def test_own_tokens_and_waiting_texts_share_a_step() -> None:
    engine = FakeEngine(V, ROOM)
    batch = Batch(engine, 2)
    [talker] = requests(1, length=100, ends=frozenset())
    batch.add(talker)
    batch.step()
    batch.add(Request("long", [3] * 500, tell_from=1))
    engine.calls.clear()
    for _ in range(8):
        assert sum(token.drawn for token in batch.step()) == 1
    assert max(engine.calls) <= PIECE + 1


def test_logits_that_are_no_numbers_are_an_error() -> None:
    class Diverged(FakeEngine):
        def _logits(self, seen: np.ndarray) -> Floats:
            return super()._logits(seen) * np.nan

    batch = Batch(Diverged(V, C), 1)
    batch.add(Request(0, [1, 2, 3], tell_from=1))
    with pytest.raises(CheckpointError, match="not numbers"):
        batch.step()
