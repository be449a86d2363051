"""Logits become tokens as a textbook says, with the right frequencies, and never to nonsense."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from gpt2_sampler.decoding.choose import choose, distribution
from gpt2_sampler.decoding.logits import log_softmax
from gpt2_sampler.decoding.noise import key, noise
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import CheckpointError, UsageError
from tests.decoding.slow import keys, probabilities, slow_distribution

V = 31


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def alike(logits: np.ndarray, sampling: Sampling, text: Sequence[int] = ()) -> list[int]:
    """A token for each row; all have the same settings and text."""
    n = len(logits)
    return choose(logits, [History(text)] * n, [sampling] * n, keys(n)).tolist()


SAMPLINGS = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(temperature=2, top_k=7),
    Sampling(top_p=0.8),
    Sampling(temperature=1.3, top_k=11, top_p=0.9),
    Sampling(repetition_penalty=1.5),
    Sampling(temperature=0.8, top_k=5, repetition_penalty=0.7, no_repeat_ngram=2),
    Sampling(temperature=1.4, min_p=0.2),
    Sampling(presence_penalty=0.9, frequency_penalty=-0.4),
    Sampling(logit_bias={1: 3, 3: -100}, top_p=0.95, min_p=0.01),
]
TEXT = [3, 5, 7, 3, 5, 2, 3]
HISTORY = History(TEXT, 5)


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
    n = 6_000
    logits = np.repeat(row[None], n, axis=0)
    drawn = choose(logits, [HISTORY] * n, [sampling] * n, keys(n))
    expected = slow_distribution(row.tolist(), HISTORY, sampling)
    assert chi_square_is_small(np.bincount(drawn, minlength=V), expected)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            distribution(row, HISTORY, sampling), np.log(expected), rtol=1e-5, atol=1e-5
        )


def test_tokens_of_a_large_vocabulary_are_drawn_as_often_as_they_should_be() -> None:
    random = np.random.default_rng(6)
    n, n_vocab = 2000, 5003
    row = (random.normal(size=n_vocab) * 2).astype(np.float32)
    shares = probabilities(row.tolist())
    order = np.argsort(shares)
    drawn = np.array(alike(np.repeat(row[None], n, axis=0), Sampling()))
    cells = np.searchsorted(np.cumsum(shares[order]), np.linspace(0, 1, 41)[1:-1])
    cell_of = np.zeros(n_vocab, int)
    cell_of[order] = np.searchsorted(cells, np.arange(n_vocab), side="right")
    expected = np.bincount(cell_of, weights=shares)
    assert chi_square_is_small(np.bincount(cell_of[drawn], minlength=40), expected)


def test_models_that_nearly_agree_nearly_always_draw_the_same() -> None:
    random = np.random.default_rng(7)
    logits = (random.normal(size=[500, 5003]) * 3).astype(np.float32)
    near = logits + random.normal(size=logits.shape).astype(np.float32) * 0.03
    same = np.array(alike(logits, Sampling())) == alike(near, Sampling())
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
        drawn += choose(row[None], [History([1, 2, 3])], [sampling], own).tolist()
    assert drawn == PINNED[sampling]


# Extremes.

LOGITS = np.array([[-1.25, 3.5, 3.4999998, -np.inf, 0.0, -30.0]], np.float32)
FILTERS = [{}, {"top_k": 3}, {"top_p": 0.9}, {"top_k": 5, "top_p": 0.99}, {"min_p": 0.5}]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-38, 1e-37, 1e-10])
def test_the_smallest_temperatures_draw_the_likeliest_token(
    temperature: float, filters: dict[str, float]
) -> None:
    sampling = Sampling(temperature=temperature, **filters)  # type: ignore[arg-type]
    assert set(alike(np.repeat(LOGITS, 200, axis=0), sampling)) == {1}
    assert distribution(LOGITS[0], History(), sampling)[1] == 0


@pytest.mark.parametrize("temperature", [5e-324, 1e-38, 1e-10])
def test_the_smallest_temperatures_draw_any_of_the_likeliest(temperature: float) -> None:
    logits = np.array([[2, 1, 2]], np.float32)
    drawn = alike(np.repeat(logits, 200, axis=0), Sampling(temperature))
    assert 70 < drawn.count(0) < 130 and 1 not in drawn


@pytest.mark.parametrize("temperature", [1e10, 1e38, 1e308])
def test_the_largest_temperatures_draw_any_token_that_is_possible(temperature: float) -> None:
    drawn = alike(np.repeat(LOGITS, 2000, axis=0), Sampling(temperature))
    shares = np.array([1, 1, 1, 0, 1, 1]) / 5
    assert chi_square_is_small(np.bincount(drawn, minlength=6), shares)


@pytest.mark.parametrize("penalty", [1e-100, 1e-38, 1e38, 1e100])
def test_the_strongest_penalties_keep_the_order_that_they_say(penalty: float) -> None:
    logits = np.array([[4, 3, 2, -1, -2]], np.float32)
    text = [0, 1, 3]
    for temperature in (0, 5e-324, 1e-38, 1e-3, 1e10):
        sampling = Sampling(temperature, repetition_penalty=penalty)
        drawn = set(alike(np.repeat(logits, 50, axis=0), sampling, text))
        if penalty < 1:
            assert drawn == {0}
        elif temperature < 1:
            assert drawn == {2}
        else:
            assert drawn <= {0, 1, 2, 4}


NUMBERS = (
    *("temperature", "top_p", "min_p"),
    *("repetition_penalty", "presence_penalty", "frequency_penalty"),
)
COUNTS = "top_k", "no_repeat_ngram"
NEVER = None, "hot", True, False, math.nan, math.inf, -math.inf, [1.0], 1j, 10**400, -(10**5000)
IMPOSSIBLE: list[tuple[str, object]] = [
    *((name, value) for name in NUMBERS for value in NEVER),
    *((name, value) for name in COUNTS for value in (*NEVER, 40.0, -1) if value != 10**400),
    ("temperature", -1.0),
    ("top_p", 0.0),
    ("top_p", 1.1),
    ("min_p", -0.1),
    ("min_p", 1.1),
    ("repetition_penalty", 0),
    ("repetition_penalty", 1e-101),
    ("repetition_penalty", 1e101),
    ("presence_penalty", 2.1),
    ("frequency_penalty", -2.1),
    *(("logit_bias", value) for value in (None, 3, "hot", [1], [(1, 2, 3)], {1: 2}.keys())),
    *(("logit_bias", {token: 1}) for token in (-1, "1", 1.0, None, True)),
    *(("logit_bias", {5: value}) for value in (None, "1", True, math.nan, 101, -100.5, 10**400)),
    ("logit_bias", {1: 1, "2": 2}),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE, ids=map(str, range(len(IMPOSSIBLE))))
def test_what_means_nothing_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name} (must be|is) .*") as caught:
        Sampling(**{name: value})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_numbers_of_numpy_are_numbers_and_equal_settings_are_one() -> None:
    own = Sampling(np.float64(0.5), np.int64(3), 1, logit_bias={9: 1, np.int32(2): np.int8(-3)})
    same = Sampling(0.5, 3, 1.0, logit_bias=((2, -3.0), (9, 1.0)))
    assert own == same and hash(own) == hash(same) and repr(own) == repr(same)


def test_a_bias_of_a_token_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(UsageError, match=f"^logit_bias is of tokens 0 to {V - 1}, and {V} is none"):
        alike(np.zeros([1, V], np.float32), Sampling(logit_bias={V: 1}))


def test_a_draw_is_the_largest_sum_of_log_probability_and_noise() -> None:
    logits = np.random.default_rng(3).normal(size=[200, V]).astype(np.float32)
    for sampling in SAMPLINGS:
        expected = [
            (
                distribution(row, HISTORY, sampling) + noise(own[None], np.arange(V)[None])[0]
            ).argmax()
            for row, own in zip(logits, keys(200), strict=True)
        ]
        drawn = choose(logits, [HISTORY] * 200, [sampling] * 200, keys(200))
        assert drawn.tolist() == expected


@pytest.mark.parametrize("sampling", [*SAMPLINGS, Sampling(temperature=0)], ids=str)
@pytest.mark.parametrize("bad", [[1, np.nan, 2], [1, np.inf, 2], [-np.inf] * 3])
def test_logits_that_are_no_numbers_are_an_error(bad: list[float], sampling: Sampling) -> None:
    logits = np.zeros([2, V], np.float32)
    logits[1, :] = -np.inf
    logits[1, : len(bad)] = bad
    with pytest.raises(CheckpointError, match="not numbers"):
        alike(logits, sampling, TEXT)
