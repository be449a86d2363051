"""Logits -> which tokens are the likeliest, and how likely. Knows arrays: no engines, no text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpt2_sampler.decoding.noise import Doubles, Ids
from gpt2_sampler.errors import CheckpointError

Logits = npt.NDArray[np.float32] | Doubles
"""[B, V], as the model gives them or, where a number might exceed float32's range, in float64."""
BLOCKS = 64  # tokens of each of the blocks that likeliest compares
COLDEST = 1e-300
"""Lower temperatures count as this one: their inverse would not be a number."""


def check_numbers(logits: Logits) -> None:  # [B, V]
    """Raises CheckpointError unless every row has a likeliest token."""
    if not np.isfinite(np.maximum.reduce(logits, axis=-1)).all():
        raise CheckpointError(
            "the model's logits are not numbers: its weights are damaged, or they come from a "
            "training run that diverged"
        )


def log_softmax(logits: Logits) -> Doubles:  # [..., N] -> [..., N]
    shifted = below(logits.max(axis=-1, keepdims=True), logits)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def logsumexp(logits: Logits) -> Doubles:  # [..., N] -> [...]
    """What to subtract from a logit for its log-probability; much cheaper than log_softmax."""
    best = logits.max(axis=-1, keepdims=True)
    with np.errstate(over="ignore"):
        shifted = logits - best
    return best[..., 0] + np.log(np.exp(shifted).sum(axis=-1, dtype=np.float64))


def below(best: Logits, logits: Logits, temperature: float = 1) -> Doubles:
    """Logits relative to the best one, which cannot overflow: the smallest temperatures give -inf,
    which no draw would choose either."""
    with np.errstate(over="ignore"):
        return np.subtract(logits, best, dtype=np.float64) / max(temperature, COLDEST)


def likeliest(row: Logits, k: int) -> Ids:  # [V] -> [K], K >= k
    """The tokens that are at least as likely as the k-th, ascending.

    Of the largest logits of many blocks, the k-th is a lower bound for the k-th of all logits.
    Only the tokens that reach it have to be put in order, a few more than k.
    """
    n_blocks = len(row) // BLOCKS
    if k > n_blocks:
        return np.flatnonzero(row >= np.partition(row, len(row) - k)[len(row) - k])
    tops = np.maximum.reduce(row[: n_blocks * BLOCKS].reshape(BLOCKS, n_blocks), axis=0)
    tops.partition(n_blocks - k)
    tokens = np.flatnonzero(row >= tops[n_blocks - k])
    few = row[tokens]
    return tokens[few >= np.partition(few, len(few) - k)[len(few) - k]]


def take_likeliest(row: Logits, n: int) -> list[int]:
    """The n likeliest tokens, the likeliest first, equals in their own order: [V] -> [n]."""
    tokens = likeliest(row, min(n, len(row))) if n else np.zeros(0, np.intp)
    return tokens[np.argsort(-row[tokens], kind="stable")][:n].tolist()


def rank(row: Logits, token: int) -> int:
    """The token's place among all, from 1 for the likeliest; of equals the first one is ahead."""
    return 1 + int((row > row[token]).sum() + (row[:token] == row[token]).sum())


class Standing(NamedTuple):
    """Where one token of each of W rows stands among all, and which are the likeliest; filtered is
    how likely they are to be drawn."""

    own_logprobs: Doubles  # [W], nats
    ranks: Ids  # [W], 1 for the likeliest; of equals the first one is ahead
    top_ids: Ids  # [W, N], the likeliest first; -1 beyond what a row wants
    top_logprobs: Doubles  # [W, N], -inf there
    own_filtered: Doubles  # [W]
    top_filtered: Doubles  # [W, N], -inf there
