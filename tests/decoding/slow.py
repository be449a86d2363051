"""The rules of sampling once more, one row at a time in plain Python, as a textbook says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling

values = st.floats(-30, 30, width=32) | st.sampled_from([-np.inf, 0.0, 1.5])
rows_of_logits = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.integers(1, 17)), elements=values
)


def keys(n: int, seed: int = 0) -> np.ndarray:
    """Of n places."""
    return np.array([key((seed, 0), place) for place in range(n)], np.uint64)


def possible(logits: np.ndarray) -> bool:
    return bool((logits.max(axis=-1) > -np.inf).all())


def probabilities(row: Sequence[float]) -> np.ndarray:
    weights = np.exp(np.asarray(row, np.float64) - max(row))
    return weights / weights.sum()


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


def slow_min_p(row: list[float], p: float) -> set[int]:
    share = probabilities(row)
    likely = {token for token, logit in enumerate(row) if logit > -np.inf}
    return {token for token in likely if share[token] >= p * share.max()}


def slow_repeats(text: Sequence[int], n: int, n_vocab: int) -> set[int]:
    text = list(text)
    runs = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
    return {token for token in range(n_vocab) if (*text[len(text) - n + 1 :], token) in runs}


def finite(row: np.ndarray) -> set[int]:
    return set(np.flatnonzero(row > -np.inf).tolist())


def slow_distribution(row: list[float], history: History, s: Sampling) -> np.ndarray:
    text, n_drawn = history
    for token, value in dict(s.logit_bias).items():
        row[token] += value
    for token in set(text):
        row[token] *= s.repetition_penalty if row[token] < 0 else 1 / s.repetition_penalty
    for token, count in Counter(text[len(text) - n_drawn :]).items():
        row[token] -= s.presence_penalty + s.frequency_penalty * count
    if s.no_repeat_ngram:
        for token in slow_repeats(text, s.no_repeat_ngram, len(row)):
            row[token] = -np.inf
    kept = slow_top_k(row, s.top_k)
    row = [logit / s.temperature if t in kept else -np.inf for t, logit in enumerate(row)]
    nucleus = set(slow_top_p(row, s.top_p)) & slow_min_p(row, s.min_p)
    return probabilities([logit if t in nucleus else -np.inf for t, logit in enumerate(row)])


# Rows with settings of their own, as extreme as can be.


def any_sampling(n_vocab: int) -> st.SearchStrategy[Sampling]:
    counts = [0, 1, 2, n_vocab - 1, n_vocab, n_vocab + 1, 2**31 - 1]
    scales = [0, 5e-324, 1e-300, 1e-30, 1e-3, 0.7, 1, 1.5, 1e3, 1e30, 1e300]
    penalties = st.sampled_from([0, 0, 0, -2, 2, 1e-9])
    tokens = st.integers(0, n_vocab - 1)
    biases = st.sampled_from([-100, -1.5, 0, 1e-9, 100])
    return st.builds(
        Sampling,
        temperature=st.sampled_from(scales) | st.floats(0.1, 10),
        top_k=st.sampled_from(counts),
        top_p=st.sampled_from([1, 1, 1e-12, 0.3, 0.9, 1 - 1e-12]),
        repetition_penalty=st.sampled_from([1, 1, 1e-100, 0.5, 1.3, 1e100]),
        no_repeat_ngram=st.sampled_from([0, 0, 1, 2, 3, 2**31 - 1]),
        min_p=st.sampled_from([0, 0, 1e-12, 0.1, 1]),
        presence_penalty=penalties,
        frequency_penalty=penalties,
        logit_bias=st.just({}) | st.dictionaries(tokens, biases, max_size=5),
    )


@st.composite
def extremes(draw: st.DrawFn) -> tuple[np.ndarray, list[History], list[Sampling]]:
    """Logits, histories and settings of a few rows."""
    n_rows, n_vocab = draw(st.integers(1, 4)), draw(st.integers(1, 17))
    logits = draw(hnp.arrays(np.float32, (n_rows, n_vocab), elements=values, fill=values))
    logits[:, draw(st.integers(0, n_vocab - 1))] = draw(st.sampled_from([-3e38, -30, 0, 3e38]))
    tokens = st.lists(st.integers(0, n_vocab - 1), max_size=2 * min(n_vocab, 40))
    texts = [draw(tokens) for _ in range(n_rows)]
    if draw(st.booleans()):  # all but one token in the text, so that all but one may be banned
        spared = draw(st.integers(0, n_vocab - 1))
        texts[0] = [token for token in range(n_vocab) if token != spared] * 2
    histories = [History(text, draw(st.integers(0, len(text)))) for text in texts]
    few = draw(st.lists(any_sampling(n_vocab), min_size=1, max_size=n_rows))
    return logits, histories, [draw(st.sampled_from(few)) for _ in range(n_rows)]
