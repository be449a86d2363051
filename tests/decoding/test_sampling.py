"""Logits become tokens as a textbook says, with the right frequencies, and never to nonsense."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpt2_sampler.decoding.draw import draw, draw_from_all
from gpt2_sampler.decoding.logits import log_softmax, ordered
from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.sampling import (
    Sampling,
    block_repeats,
    choose,
    distribution,
    penalise,
    scale,
    top_k,
    top_p,
)
from gpt2_sampler.errors import CheckpointError, UsageError

V = 31

values = st.floats(-30, 30, width=32) | st.sampled_from([-np.inf, 0.0, 1.5])
rows_of_logits = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 17)), elements=values
)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def keys(n: int, seed: int = 0) -> np.ndarray:
    """Of n places."""
    return np.array([key((seed, 0), place) for place in range(n)], np.uint64)


def possible(logits: np.ndarray) -> bool:
    return bool((logits.max(axis=-1) > -np.inf).all())


def probabilities(row: Sequence[float]) -> np.ndarray:
    weights = np.exp(np.asarray(row, np.float64) - max(row))
    return weights / weights.sum()


# Slow twins: one row at a time, in plain Python, as a textbook would say it.


def slow_top_k(row: list[float], k: int) -> set[int]:
    kth = sorted(row, reverse=True)[min(k, len(row)) - 1] if k else -np.inf
    return {token for token, logit in enumerate(row) if logit >= kth and logit > -np.inf}


def slow_top_p(row: list[float], p: float) -> list[int]:
    """The tokens from the likeliest on, of equals the first one first, until p is reached."""
    share = probabilities(row)
    kept, mass = [], 0.0
    for token in sorted(range(len(row)), key=lambda token: (-row[token], token)):
        if mass >= p or row[token] == -np.inf:
            break
        kept.append(token)
        mass += share[token]
    return kept


def slow_repeats(text: list[int], n: int) -> set[int]:
    runs = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
    return {token for token in range(V) if (*text[len(text) - n + 1 :], token) in runs}


def finite(row: np.ndarray) -> set[int]:
    return set(np.flatnonzero(row > -np.inf).tolist())


@given(rows_of_logits, st.integers(0, 19))
def test_top_k_keeps_what_the_slow_twin_keeps(logits: np.ndarray, k: int) -> None:
    for row, tokens, likely in zip(logits, *top_k(logits, k), strict=True):
        kept = tokens[likely > -np.inf]
        assert set(kept.tolist()) == slow_top_k(row.tolist(), k) and list(kept) == sorted(kept)
        np.testing.assert_array_equal(likely[likely > -np.inf], row[kept])


@pytest.mark.parametrize("k", [1, 40, 78, 79, 1000, 5002])
@pytest.mark.parametrize("equals", [False, True])
def test_top_k_of_many_tokens_keeps_what_the_slow_twin_keeps(k: int, equals: bool) -> None:
    logits = np.random.default_rng(k).normal(size=[2, 5003]).astype(np.float32)
    if equals:
        logits = logits.round(1)
    for row, tokens, likely in zip(logits, *top_k(logits, k), strict=True):
        assert set(tokens[likely > -np.inf].tolist()) == slow_top_k(row.tolist(), k)


@given(rows_of_logits, st.integers(0, 17))
def test_the_likeliest_tokens_are_in_order(logits: np.ndarray, n: int) -> None:
    for row in logits:
        in_order = sorted(range(len(row)), key=lambda token: (-row[token], token))
        assert ordered(row, n) == in_order[:n]


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


@given(rows_of_logits)
def test_off_values_change_nothing(logits: np.ndarray) -> None:
    texts = [[0]] * len(logits)
    for same in (
        scale(logits, 1),
        top_k(logits, 0)[1],
        top_p(logits, 1),
        penalise(logits, texts, 1),
        block_repeats(logits, texts, 0),
    ):
        np.testing.assert_array_equal(same, logits)


def test_a_temperature_divides_the_distance_from_the_likeliest() -> None:
    scaled = scale(np.array([[1, 3, -np.inf]], np.float32), 0.5)
    assert scaled.tolist() == [[-4, 0, -np.inf]]


def test_temperature_0_keeps_the_first_of_the_likeliest() -> None:
    logits = np.array([[1, 3, 3], [5, 2, 5]], np.float32)
    assert [finite(row) for row in scale(logits, 0)] == [{1}, {0}]
    assert choose(logits, [], Sampling(temperature=0), keys(2)).tolist() == [1, 0]
    assert choose(logits, [], Sampling(temperature=0, top_k=2), keys(2)).tolist() == [1, 0]


def test_a_penalty_divides_positive_logits_and_multiplies_negative_ones() -> None:
    logits = np.array([[2, -2, 2, -2]], np.float32)
    penalised = penalise(logits, [[0, 1, 0]], 1.25)
    np.testing.assert_allclose(penalised, [[1.6, -2.5, 2, -2]])
    assert logits[0, 0] == 2


@given(st.lists(st.integers(0, 4), min_size=1, max_size=29), st.integers(1, 5))
def test_blocked_tokens_are_those_that_would_repeat_a_run(text: list[int], n: int) -> None:
    blocked = set(range(V)) - finite(block_repeats(np.zeros([1, V], np.float32), [text], n)[0])
    assert blocked == (slow_repeats(text, n) if len(text) >= n else set())


def test_a_row_that_would_be_blocked_altogether_stays() -> None:
    logits = np.array([[1, 2, -np.inf], [1, 2, 3]], np.float32)
    kept = block_repeats(logits, [[0, 1], [0, 1]], 1)
    assert [finite(row) for row in kept] == [{0, 1}, {2}]


# The draw.


@given(
    st.sampled_from([1, 31, 2047, 2053, 9001, 70001]),
    st.integers(0, 2**32),
    st.sampled_from([5e-324, 1e-38, 0.3, 1, 2.5, 1e10, 1e308]),
    st.sampled_from([0.0, 0.1, 3.0, 1e3, 1e30]),
    st.sampled_from([0.0, 0.5, 0.999]),
)
def test_a_draw_from_all_looks_at_all_that_matters(
    n_vocab: int, seed: int, temperature: float, spread: float, impossible: float
) -> None:
    random = np.random.default_rng(seed)
    logits = (random.normal(size=[2, n_vocab]) * spread).astype(np.float32)
    logits[:, 1:][random.random([2, n_vocab - 1]) < impossible] = -np.inf
    own = keys(2, seed)
    every = np.broadcast_to(np.arange(n_vocab), logits.shape)
    expected = draw(scale(logits, temperature), every, own)
    np.testing.assert_array_equal(draw_from_all(logits, temperature, own), expected)


def test_many_rows_draw_what_each_draws_alone() -> None:
    logits = np.random.default_rng(1).normal(size=[19, 5003]).astype(np.float32)
    own = keys(19)
    for sampling in (Sampling(), Sampling(0.7, 40), Sampling(top_p=0.8)):
        together = choose(logits, [], sampling, own).tolist()
        assert together == [
            int(choose(logits[n : n + 1], [], sampling, own[n : n + 1])[0]) for n in range(19)
        ]


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(temperature=2, top_k=7),
    Sampling(top_p=0.8),
    Sampling(temperature=1.3, top_k=11, top_p=0.9),
    Sampling(repetition_penalty=1.5),
    Sampling(temperature=0.8, top_k=5, repetition_penalty=0.7, no_repeat_ngram=2),
]
TEXT = [3, 5, 7, 3, 5, 2, 3]


def slow_distribution(row: list[float], text: list[int], s: Sampling) -> np.ndarray:
    for token in set(text):
        row[token] *= s.repetition_penalty if row[token] < 0 else 1 / s.repetition_penalty
    if s.no_repeat_ngram:
        for token in slow_repeats(text, s.no_repeat_ngram):
            row[token] = -np.inf
    kept = slow_top_k(row, s.top_k)
    row = [logit / s.temperature if t in kept else -np.inf for t, logit in enumerate(row)]
    nucleus = slow_top_p(row, s.top_p)
    return probabilities([logit if t in nucleus else -np.inf for t, logit in enumerate(row)])


def chi_square_is_small(counts: np.ndarray, shares: np.ndarray) -> bool:
    """What must not happen has not, and the rest as often as it must: four deviations allowed."""
    assert not counts[shares == 0].any()
    expected = shares[shares > 0] * counts.sum()
    chi_square = ((counts[shares > 0] - expected) ** 2 / expected).sum()
    freedom = len(expected) - 1
    return bool(chi_square < freedom + 4 * math.sqrt(2 * freedom))


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_tokens_are_drawn_as_often_as_they_should_be(sampling: Sampling) -> None:
    row = (np.random.default_rng(5).normal(size=V) * 1.5).astype(np.float32)
    n = 20_000
    logits = np.repeat(row[None], n, axis=0)
    drawn = choose(logits, [TEXT] * n if sampling.looks_back else [], sampling, keys(n))
    expected = slow_distribution(row.tolist(), TEXT, sampling)
    assert chi_square_is_small(np.bincount(drawn, minlength=V), expected)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            distribution(row, TEXT, sampling), np.log(expected), rtol=1e-5, atol=1e-5
        )


def test_tokens_of_a_large_vocabulary_are_drawn_as_often_as_they_should_be() -> None:
    random = np.random.default_rng(6)
    n, n_vocab = 4000, 5003
    row = (random.normal(size=n_vocab) * 2).astype(np.float32)
    shares = probabilities(row.tolist())
    order = np.argsort(shares)
    drawn = choose(np.repeat(row[None], n, axis=0), [], Sampling(), keys(n))
    cells = np.searchsorted(np.cumsum(shares[order]), np.linspace(0, 1, 41)[1:-1])
    cell_of = np.zeros(n_vocab, int)
    cell_of[order] = np.searchsorted(cells, np.arange(n_vocab), side="right")
    expected = np.bincount(cell_of, weights=shares)
    assert chi_square_is_small(np.bincount(cell_of[drawn], minlength=40), expected)


def test_models_that_nearly_agree_nearly_always_draw_the_same() -> None:
    random = np.random.default_rng(7)
    logits = (random.normal(size=[500, 5003]) * 3).astype(np.float32)
    near = logits + random.normal(size=logits.shape).astype(np.float32) * 0.03
    same = choose(logits, [], Sampling(), keys(500)) == choose(near, [], Sampling(), keys(500))
    p, q = (np.exp(log_softmax(x)) for x in (logits, near))
    bound = np.minimum(p, q).sum(axis=-1).mean()  # of any two draws
    assert same.mean() > 1 - 2.5 * (1 - bound)


# From 0.1.0 on a seed is a promise.

PINNED = {
    Sampling(): [7755, 40724, 21773, 4371, 33419],
    Sampling(temperature=0.7, top_k=40): [34181, 37301, 21054, 28334, 21054],
    Sampling(top_p=0.9): [7755, 48813, 21773, 4371, 33419],
    Sampling(temperature=0.9, repetition_penalty=1.2): [7755, 48813, 21773, 4371, 33419],
}


@pytest.mark.parametrize("sampling", PINNED, ids=str)
def test_a_seed_draws_what_it_always_drew(sampling: Sampling) -> None:
    row = (np.arange(50257) * 7919 % 10007 / np.float32(512)).astype(np.float32)
    drawn = []
    for seed, sample, place in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2**64, 5, 1023)):
        own = np.array([key((seed, sample), place)], np.uint64)
        drawn += choose(row[None], [[1, 2, 3]], sampling, own).tolist()
    assert drawn == PINNED[sampling]


# Extremes.

LOGITS = np.array([[-1.25, 3.5, 3.4999998, -np.inf, 0.0, -30.0]], np.float32)
FILTERS = [{}, {"top_k": 3}, {"top_p": 0.9}, {"top_k": 5, "top_p": 0.99}]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-38, 1e-37, 1e-10])
def test_the_smallest_temperatures_draw_the_likeliest_token(
    temperature: float, filters: dict[str, float]
) -> None:
    sampling = Sampling(temperature=temperature, **filters)  # type: ignore[arg-type]
    drawn = choose(np.repeat(LOGITS, 200, axis=0), [], sampling, keys(200))
    assert (drawn == 1).all()
    assert distribution(LOGITS[0], [], sampling)[1] == 0


@pytest.mark.parametrize("temperature", [5e-324, 1e-38, 1e-10])
def test_the_smallest_temperatures_draw_any_of_the_likeliest(temperature: float) -> None:
    logits = np.array([[2, 1, 2]], np.float32)
    drawn = choose(np.repeat(logits, 200, axis=0), [], Sampling(temperature), keys(200))
    assert 70 < (drawn == 0).sum() < 130 and not (drawn == 1).any()


@pytest.mark.parametrize("temperature", [1e10, 1e38, 1e308])
def test_the_largest_temperatures_draw_any_token_that_is_possible(temperature: float) -> None:
    drawn = choose(np.repeat(LOGITS, 2000, axis=0), [], Sampling(temperature), keys(2000))
    shares = np.array([1, 1, 1, 0, 1, 1]) / 5
    assert chi_square_is_small(np.bincount(drawn, minlength=6), shares)


@pytest.mark.parametrize("penalty", [1e-100, 1e-38, 1e38, 1e100])
def test_the_strongest_penalties_keep_the_order_that_they_say(penalty: float) -> None:
    logits = np.array([[4, 3, 2, -1, -2]], np.float32)
    text = [0, 1, 3]
    for temperature in (0, 5e-324, 1e-38, 1e-3, 1e10):
        sampling = Sampling(temperature, repetition_penalty=penalty)
        drawn = set(choose(np.repeat(logits, 50, axis=0), [text] * 50, sampling, keys(50)).tolist())
        if penalty < 1:
            assert drawn == {0}
        elif temperature < 1:
            assert drawn == {2}
        else:
            assert drawn <= {0, 1, 2, 4}


@pytest.mark.parametrize(
    "impossible",
    [
        {"temperature": -1.0},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"repetition_penalty": 0.0},
        {"repetition_penalty": 1e-101},
        {"repetition_penalty": 1e101},
        {"repetition_penalty": math.nan},
        {"no_repeat_ngram": -1},
    ],
    ids=str,
)
def test_what_means_nothing_is_refused(impossible: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"^{next(iter(impossible))} must be .*, not "):
        Sampling(**impossible)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", [*SAMPLINGS, Sampling(temperature=0)], ids=str)
@pytest.mark.parametrize("bad", [[1, np.nan, 2], [1, np.inf, 2], [-np.inf] * 3])
def test_logits_that_are_no_numbers_are_an_error(bad: list[float], sampling: Sampling) -> None:
    logits = np.zeros([2, V], np.float32)
    logits[1, :] = -np.inf
    logits[1, : len(bad)] = bad
    with pytest.raises(CheckpointError, match="not numbers"):
        choose(logits, [TEXT] * 2, sampling, keys(2))
