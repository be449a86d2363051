"""Each rule changes logits as a textbook says, and nothing at its off value."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpt2_sampler.decoding.rules import (
    History,
    add_bias,
    block_repeats,
    min_p,
    penalise,
    penalise_drawn,
    scale,
    top_k,
    top_p,
)
from tests.decoding.slow import (
    finite,
    possible,
    probabilities,
    rows_of_logits,
    slow_min_p,
    slow_repeats,
    slow_top_k,
    slow_top_p,
)

V = 31


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@given(rows_of_logits, st.integers(0, 19))
def test_top_k_keeps_what_the_slow_twin_keeps(logits: np.ndarray, k: int) -> None:
    for row, kept in zip(logits, top_k(logits, k), strict=True):
        assert finite(kept) == slow_top_k(row.tolist(), k)
        assert all(kept[token] == row[token] for token in finite(kept))


@pytest.mark.parametrize("k", [1, 40, 78, 79, 1000, 5002])
@pytest.mark.parametrize("equals", [False, True])
def test_top_k_of_many_tokens_keeps_what_the_slow_twin_keeps(k: int, equals: bool) -> None:
    logits = np.random.default_rng(k).normal(size=[2, 5003]).astype(np.float32)
    if equals:
        logits = logits.round(1)
    for row, kept in zip(logits, top_k(logits, k), strict=True):
        assert finite(kept) == slow_top_k(row.tolist(), k)


@given(rows_of_logits, st.floats(0.01, 0.99))
def test_top_p_keeps_what_the_slow_twin_keeps(logits: np.ndarray, p: float) -> None:
    assume(possible(logits))
    kept = top_p(logits, p)
    for row, kept_row in zip(logits, kept, strict=True):
        sums = np.cumsum(sorted(probabilities(row), reverse=True))
        if np.abs(sums - p).min() > 1e-5:  # nearer, rounding decides
            assert finite(kept_row) == set(slow_top_p(row.tolist(), p))
        assert all(kept_row[token] == row[token] for token in finite(kept_row))


def test_top_p_keeps_the_token_that_reaches_p() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2]], np.float32))
    assert finite(top_p(logits, 0.6)[0]) == {0, 1}
    assert finite(top_p(logits, 0.1)[0]) == {0}


@pytest.mark.parametrize("equal", [False, True])
def test_top_p_is_right_where_the_nucleus_is_wide(equal: bool) -> None:
    random = np.random.default_rng(1)
    logits = np.zeros([2, 5003], np.float32)
    if not equal:
        logits += random.normal(size=logits.shape).astype(np.float32) * 0.1
    for row, kept in zip(logits, top_p(logits, 0.9), strict=True):
        assert abs(len(finite(kept)) - len(slow_top_p(row.tolist(), 0.9))) <= 1
        assert finite(kept) <= set(slow_top_p(row.tolist(), 0.901))


@given(rows_of_logits, st.floats(0, 1))
def test_min_p_keeps_what_the_slow_twin_keeps(logits: np.ndarray, p: float) -> None:
    assume(possible(logits))
    for row, kept in zip(logits, min_p(logits, p), strict=True):
        shares = probabilities(row.tolist())
        if np.abs(shares / shares.max() - p).min() > 1e-9 or p == 1:  # nearer, rounding decides
            assert finite(kept) == slow_min_p(row.tolist(), p)
        assert all(kept[token] == row[token] for token in finite(kept))


@given(rows_of_logits)
def test_off_values_change_nothing(logits: np.ndarray) -> None:
    histories = [History([0], 1)] * len(logits)
    for same in (
        add_bias(logits, {}),
        penalise(logits, histories, 1),
        penalise_drawn(logits, histories, 0, 0),
        block_repeats(logits, histories, 0),
        top_k(logits, 0),
        scale(logits, 1),
        top_p(logits, 1),
        min_p(logits, 0),
    ):
        assert same is logits


def test_a_temperature_divides_the_distance_from_the_likeliest() -> None:
    scaled = scale(np.array([[1, 3, -np.inf]], np.float32), 0.5)
    assert scaled.tolist() == [[-4, 0, -np.inf]]


def test_temperature_0_keeps_the_first_of_the_likeliest() -> None:
    logits = np.array([[1, 3, 3], [5, 2, 5]], np.float32)
    assert [finite(row) for row in scale(logits, 0)] == [{1}, {0}]


def test_a_bias_is_added_to_its_tokens() -> None:
    logits = np.array([[1, 2, -np.inf], [4, 5, 6]], np.float32)
    assert add_bias(logits, {0: -3, 2: 100}).tolist() == [[-2, 2, -np.inf], [1, 5, 106]]
    assert logits[0, 0] == 1


def test_a_penalty_divides_positive_logits_and_multiplies_negative_ones() -> None:
    logits = np.array([[2, -2, 2, -2]], np.float32)
    penalised = penalise(logits, [History([0, 1, 0])], 1.25)
    np.testing.assert_allclose(penalised, [[1.6, -2.5, 2, -2]])
    assert logits[0, 0] == 2


@given(st.lists(st.integers(0, 4), max_size=29), st.integers(0, 29))
def test_presence_and_frequency_are_of_what_was_generated(text: list[int], n_drawn: int) -> None:
    n_drawn = min(n_drawn, len(text))
    counts = Counter(text[len(text) - n_drawn :])
    [row] = penalise_drawn(np.ones([1, V], np.float32), [History(text, n_drawn)], 1.5, -0.25)
    assert row.tolist() == [1 - 1.5 * (counts[t] > 0) + 0.25 * counts[t] for t in range(V)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=29), st.integers(1, 5))
def test_blocked_tokens_are_those_that_would_repeat_a_run(text: list[int], n: int) -> None:
    kept = block_repeats(np.zeros([1, V], np.float32), [History(text)], n)[0]
    blocked = set(range(V)) - finite(kept)
    assert blocked == (slow_repeats(text, n, V) if len(text) >= n else set())


def test_a_row_that_would_be_blocked_altogether_stays() -> None:
    logits = np.array([[1, 2, -np.inf], [1, 2, 3]], np.float32)
    kept = block_repeats(logits, [History([0, 1])] * 2, 1)
    assert [finite(row) for row in kept] == [{0, 1}, {2}]
