"""The rules of sampling once more, one row at a time in plain Python, as a textbook says them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from random import Random

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
    """The tokens from the likeliest on, of equals the first one first, until p is reached. Equal
    are those whose distance from the likeliest one is the same number."""
    share, best = probabilities(row), max(row)
    kept, mass = [], 0.0
    for token in sorted(range(len(row)), key=lambda token: (best - row[token], token)):
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


# Rows with settings of their own, as extreme as can be: made from a number, which is much faster
# than Hypothesis' own building of them.


def any_sampling(random: Random, n_vocab: int) -> Sampling:
    pick = random.choice
    scales = [0, 5e-324, 1e-300, 1e-30, 1e-3, 0.7, 1, 1, 1.5, 1e3, 1e30, 1e300]
    biased = pick([0, 0, 1, 5])
    return Sampling(
        temperature=pick(scales),
        top_k=pick([0, 0, 1, 2, n_vocab // 2, n_vocab - 1, n_vocab, n_vocab + 1, 2**31 - 1]),
        top_p=pick([1, 1, 1e-12, 0.3, 0.9, 1 - 1e-12]),
        repetition_penalty=pick([1, 1, 1e-100, 0.5, 1.3, 1e100]),
        no_repeat_ngram=pick([0, 0, 1, 2, 3, 2**31 - 1]),
        min_p=pick([0, 0, 1e-12, 0.1, 1]),
        presence_penalty=pick([0, 0, 0, -2, 2, 1e-9, 5e-324]),
        frequency_penalty=pick([0, 0, 0, -2, 2, 1e-9, 5e-324]),
        logit_bias={
            random.randrange(n_vocab): pick([-100, -1.5, 0, 5e-324, 1e-9, 100])
            for _ in range(biased)
        },
    )


def any_history(random: Random, n_vocab: int) -> History:
    if random.random() < 0.2:  # all but one token in the text, so that all but one may be banned
        spared = random.randrange(n_vocab)
        text = [token for token in range(n_vocab) if token != spared] * 2
    else:
        some = random.choice([2, 7, n_vocab])
        text = [random.randrange(min(some, n_vocab)) for _ in range(random.choice([0, 1, 5, 40]))]
    return History(text, random.randint(0, len(text)))


def any_rows(seed: int) -> Rows:
    random = Random(seed)
    n_rows, n_vocab = random.randint(1, 4), random.randint(1, 17)
    values = random.choice([[0.0, 1.5, -math.inf], [-30.0, 30.0, 1e-30], None])
    logits = [
        [random.choice(values) if values else random.gauss(0, 3) for _ in range(n_vocab)]
        for _ in range(n_rows)
    ]
    for row in logits:
        row[random.randrange(n_vocab)] = random.choice([-3e38, -30, 0, 3e38])
    few = [any_sampling(random, n_vocab) for _ in range(random.randint(1, n_rows))]
    histories = [any_history(random, n_vocab) for _ in range(n_rows)]
    return np.array(logits, np.float32), histories, [random.choice(few) for _ in range(n_rows)]


def many_tokens(seed: int) -> Rows:
    """Rows of vocabularies that have many blocks, with spread and with equal logits."""
    random, numbers = Random(seed), np.random.default_rng(seed)
    n_vocab = random.choice([2047, 2053, 5003, 65537, 70001])
    logits = numbers.normal(size=[2, n_vocab]) * random.choice([0, 0.1, 1, 3, 1e3, 1e37])
    if random.random() < 0.5:
        logits = logits.round()
    missing = numbers.random([2, n_vocab - 1]) < random.choice([0, 0.5, 0.999])
    logits[:, 1:][missing] = -np.inf
    texts = numbers.integers(0, random.choice([7, 1000, n_vocab]), [2, 300])
    histories = [History(texts[0].tolist(), 200), History(texts[1].astype(np.int32), 5)]
    return logits.astype(np.float32), histories, [any_sampling(random, n_vocab) for _ in "ab"]


Rows = tuple[np.ndarray, list[History], list[Sampling]]
extremes = st.integers(0, 2**64).map(any_rows)
large_rows = st.integers(0, 2**64).map(many_tokens)
