from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpt2_sampler.decoding.sampling import (
    Sampling,
    block_repeats,
    choose,
    draw,
    generate,
    in_window,
    penalise,
    scale,
    top_k,
    top_p,
)
from tests.fake_engine import FakeEngine, hashed

V, C = 31, 13

values = st.floats(-30, 30, width=32) | st.sampled_from([-np.inf, 0.0, 1.5])
rows_of_logits = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 17)), elements=values
)


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
    columns, likely = top_k(logits, k)
    kept = np.full_like(logits, -np.inf)
    kept[:, columns] = likely
    for row, kept_row in zip(logits, kept, strict=True):
        assert finite(kept_row) == slow_top_k(row.tolist(), k)
        assert all(kept_row[token] == row[token] for token in finite(kept_row))


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


@given(rows_of_logits, st.data())
def test_a_draw_is_the_token_where_the_running_sum_passes_the_number(
    logits: np.ndarray, data: st.DataObject
) -> None:
    assume(possible(logits))
    below_1 = st.floats(0, 1, exclude_max=True)
    uniform = np.array(data.draw(st.lists(below_1, min_size=len(logits), max_size=len(logits))))
    for row, number, token in zip(logits, uniform, draw(logits, uniform), strict=True):
        sums = np.cumsum(probabilities(row))
        assert row[token] > -np.inf
        assert sums[token] - probabilities(row)[token] <= number + 1e-5
        assert number <= sums[token] + 1e-5


def test_a_draw_over_many_blocks_of_tokens_has_the_right_frequencies() -> None:
    logits = np.full([1, 1009], -np.inf, np.float32)
    wanted = {3: 0.5, 300: 0.3, 1008: 0.2}
    for token, share in wanted.items():
        logits[0, token] = np.log(share)
    numbers = (np.arange(1000) + 0.5) / 1000
    drawn = draw(np.repeat(logits, 1000, axis=0), numbers)
    for token, share in wanted.items():
        assert abs((drawn == token).mean() - share) <= 0.002


@pytest.mark.parametrize("n", [7, 1009])
def test_the_largest_number_draws_the_last_token_that_is_possible(n: int) -> None:
    logits = np.random.default_rng(n).normal(size=[500, n]).astype(np.float32)
    logits[:, -2:] = -np.inf
    assert (draw(logits, np.full(500, np.nextafter(1, 0))) == n - 3).all()


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


def test_a_temperature_leaves_float32_what_it_is() -> None:
    scaled = scale(np.array([[1, 3]], np.float32), 0.5)
    assert scaled.dtype == np.float32 and scaled.tolist() == [[2, 6]]


def test_temperature_0_keeps_the_first_of_the_likeliest() -> None:
    logits = np.array([[1, 3, 3], [5, 2, 5]], np.float32)
    assert [finite(row) for row in scale(logits, 0)] == [{1}, {0}]


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


# The loop.

PLAIN = Sampling(temperature=0.9, top_k=11, top_p=0.95)
FRESH = Sampling(repetition_penalty=1.3, no_repeat_ngram=2)


def slow_sample(
    prompt: list[int], number: int, length: int, seed: int, sampling: Sampling
) -> list[int]:
    """One sample, by itself, the window written out."""
    random = np.random.default_rng([seed, number])
    text = list(prompt)
    window = text[-in_window(len(text), C) :]
    for _ in range(length):
        logits = hashed(window, V)[None]
        text.append(int(choose(logits, [text[-C:]], sampling, random.random(1))[0]))
        window = text[-(C // 2) :] if len(window) == C else [*window, text[-1]]
    return text[len(prompt) :]


def samples(engine: FakeEngine, prompt: list[int], **options: object) -> dict[int, list[int]]:
    texts: dict[int, list[int]] = {}
    for sample, token, _ in generate(engine, prompt, **options):  # type: ignore[arg-type]
        texts.setdefault(sample, []).append(token)
    return texts


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 7, 61])
@pytest.mark.parametrize("n_prompt", [1, 6, C])
@pytest.mark.parametrize("sampling", [PLAIN, FRESH])
def test_a_sample_is_the_same_beside_any_others(
    rows: int, length: int, n_prompt: int, sampling: Sampling
) -> None:
    prompt = list(range(3, 3 + n_prompt))
    texts = samples(
        FakeEngine(V, C),
        prompt,
        samples=range(7),
        length=length,
        rows=rows,
        seed=11,
        sampling=sampling,
    )
    for number in range(7):
        assert texts[number] == slow_sample(prompt, number, length, 11, sampling)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=7),
    st.integers(1, 4),
    st.integers(1, C),
    st.integers(0, 2**32 - 1),
)
def test_rows_are_refilled_whenever_samples_end(
    lengths: list[int], rows: int, n_prompt: int, seed: int
) -> None:
    prompt = list(range(n_prompt))
    drawn = dict.fromkeys(range(len(lengths)), 0)

    def ends(sample: int, token: int) -> bool:
        drawn[sample] += 1
        return drawn[sample] == lengths[sample]

    engine = FakeEngine(V, C)
    numbers = range(len(lengths))
    texts = samples(
        engine, prompt, samples=numbers, length=41, rows=rows, seed=seed, sampling=PLAIN, ends=ends
    )
    for number, length in enumerate(lengths):
        assert texts[number] == slow_sample(prompt, number, length, seed, PLAIN)


@pytest.mark.parametrize("cut", [1, 5, 12, 13, 14, 20, 40])
def test_a_sample_that_goes_on_is_the_one_that_never_stopped(cut: int) -> None:
    prompt = [2, 3, 5]
    engine = FakeEngine(V, C)
    whole = samples(engine, prompt, samples=[4], length=60, seed=1, sampling=FRESH)[4]
    begun = [*prompt, *whole[:cut]]
    rest = samples(engine, begun, samples=[4], length=60 - cut, seed=1, sampling=FRESH, drawn=cut)[
        4
    ]
    assert whole == whole[:cut] + rest


@pytest.mark.parametrize("window", [1, 2, 3, 13])
@pytest.mark.parametrize("rows", [1, 3])
def test_text_slides_past_windows_of_any_size(window: int, rows: int) -> None:
    texts = samples(FakeEngine(V, window), [1], samples=range(3), length=50, rows=rows)
    assert [len(text) for text in texts.values()] == [50, 50, 50]


def test_in_window_counts_what_sliding_leaves() -> None:
    held = 0
    for n_tokens in range(1, 100):
        held = C // 2 if held == C else held + 1
        assert in_window(n_tokens, C) == held


def test_long_text_costs_a_bounded_number_of_slots_and_bytes() -> None:
    engine = FakeEngine(V, C)
    tokens = generate(engine, [1], [0], length=10**9)
    for _ in itertools.islice(tokens, 100):
        pass
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    calls = engine.calls
    for _ in itertools.islice(tokens, 5000):
        pass
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
    assert engine.calls - calls <= 5001  # a token read one by one or, at a slide, all at once


def test_endless_samples_are_drawn_as_they_are_taken() -> None:
    engine = FakeEngine(V, C)
    draws = generate(engine, [1], itertools.count(), length=2, rows=2)
    assert [next(draws).sample for _ in range(8)] == [0, 1, 0, 1, 2, 3, 2, 3]


@pytest.mark.parametrize("call", range(1, 12))
def test_after_an_interruption_at_any_call_the_engine_is_as_good_as_new(call: int) -> None:
    engine = FakeEngine(V, C)
    engine.interrupt_at = call
    with pytest.raises(KeyboardInterrupt):
        samples(engine, [1, 2, 3, 4, 5], samples=range(3), length=20, rows=2)
    texts = samples(engine, [7], samples=range(3), length=20, rows=2, sampling=PLAIN)
    assert texts[2] == slow_sample([7], 2, 20, 0, PLAIN)
