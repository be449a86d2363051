"""Logits -> next tokens, and what is told of tokens, in NumPy: plain, and slower than draw.c.

Knows arrays: no engines, no text. choose.py says what its functions give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gpt2_sampler.decoding import rules
from gpt2_sampler.decoding.draw import draw
from gpt2_sampler.decoding.logits import (
    Logits,
    Standing,
    check_numbers,
    log_softmax,
    logsumexp,
    rank,
    take_likeliest,
)
from gpt2_sampler.decoding.noise import Doubles, Ids, Keys
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling


def choose(
    logits: Logits, histories: Sequence[History], samplings: Sequence[Sampling], keys: Keys
) -> Ids:
    """B tokens."""
    check_numbers(logits)
    ids = np.empty(len(logits), np.intp)
    for sampling, rows in groups(samplings).items():
        own = logits if len(rows) == len(logits) else logits[rows]
        ids[rows] = draw(apply_rules(own, [histories[n] for n in rows], sampling), keys[rows])
    return ids


def groups(samplings: Sequence[Sampling]) -> Mapping[Sampling, list[int]]:
    """Equal settings -> the rows that have them."""
    found: dict[Sampling, list[int]] = {}
    for n, sampling in enumerate(samplings):
        found.setdefault(sampling, []).append(n)
    return found


def apply_rules(
    logits: Logits, histories: Sequence[History], sampling: Sampling
) -> Logits:  # [B, V] -> [B, V]
    """Logits of what may be drawn; -inf for tokens that are left out."""
    s = sampling
    logits = rules.add_bias(logits, s.logit_bias)
    logits = rules.penalise(logits, histories, s.repetition_penalty)
    logits = rules.penalise_drawn(logits, histories, s.presence_penalty, s.frequency_penalty)
    logits = rules.block_repeats(logits, histories, s.no_repeat_ngram)
    logits = rules.top_k(logits, s.top_k)
    logits = rules.scale(logits, s.temperature)
    logits = rules.top_p(logits, s.top_p)
    return rules.min_p(logits, s.min_p)


def distribution(logits: Logits, history: History, sampling: Sampling) -> Doubles:
    """[V]."""
    check_numbers(logits[None])
    return log_softmax(apply_rules(logits[None], [history], sampling)[0])


def tell(
    logits: Logits,
    histories: Sequence[History],
    samplings: Sequence[Sampling],
    ids: Sequence[int],
    tops: Sequence[int],
) -> Standing:
    """The standing of W tokens."""
    check_numbers(logits)
    n_rows, n_vocab = logits.shape
    ranks = [rank(row, token) for row, token in zip(logits, ids, strict=True)]
    sums = logsumexp(logits)
    own = logits[np.arange(n_rows), ids] - sums
    shape = n_rows, min(max(tops, default=0), n_vocab)
    standing = Standing(
        own,
        np.array(ranks, np.intp),
        np.full(shape, -1),
        np.full(shape, -np.inf),
        np.empty(n_rows),
        np.full(shape, -np.inf),
    )
    for n, (row, top) in enumerate(zip(logits, tops, strict=True)):
        best = take_likeliest(row, top)
        standing.top_ids[n, : len(best)] = best
        standing.top_logprobs[n, : len(best)] = row[best] - sums[n]
        neutral = samplings[n] == Sampling()
        filtered = row - sums[n] if neutral else distribution(row, histories[n], samplings[n])
        standing.own_filtered[n] = filtered[ids[n]]
        standing.top_filtered[n, : len(best)] = filtered[best]
    return standing
