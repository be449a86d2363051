"""Logits -> logits that a rule of sampling changed, each rule a function, neutral at its off value.

Knows arrays: no engines, no text. Nothing here changes the array that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gpt2_sampler.decoding.logits import Logits, below, likeliest

Bias = Mapping[int, float] | tuple[tuple[int, float], ...]
"""Token ids, and what is added to their logits."""
LEAST_MASS = 1e-2, 1e-3, 1e-4, 1e-5, 0
"""Cutoffs that top_p tries in turn, as shares of the likeliest token's probability."""


class History(NamedTuple):
    """The tokens that a row goes on from, as far as rules look back."""

    tokens: Sequence[int] = ()
    n_drawn: int = 0
    """How many of them, at the end, were generated; those before are the prompt's."""


def add_bias(logits: Logits, bias: Bias) -> Logits:  # [B, V] -> [B, V]
    """Adds to the logits of some tokens in every row (OpenAI's logit_bias); () adds nothing."""
    if not bias:
        return logits
    tokens, values = zip(*dict(bias).items(), strict=True)
    changed = logits.astype(np.float64)
    changed[:, list(tokens)] += values
    return changed


def penalise(
    logits: Logits, histories: Sequence[History], penalty: float
) -> Logits:  # [B, V] -> [B, V]
    """A penalty above 1 makes tokens that are in the row's text less likely, one below 1 more.

    Keskar et al. 2019, "CTRL", section 4.1, except that a negative logit is multiplied: dividing
    would raise it.
    """
    if penalty == 1:
        return logits
    changed = logits.astype(np.float64)
    for row, history in zip(changed, histories, strict=True):
        tokens = np.asarray(history.tokens, np.intp)
        seen = row[tokens]
        row[tokens] = np.where(seen > 0, seen / penalty, seen * penalty)
    return changed


def penalise_drawn(
    logits: Logits, histories: Sequence[History], presence: float, frequency: float
) -> Logits:  # [B, V] -> [B, V]
    """Subtracts presence once and frequency for each time from the logits of tokens that were
    generated; the prompt does not count. With 0 and 0 nothing changes.

    OpenAI's API reference, "Advanced usage: frequency and presence penalties".
    """
    if presence == frequency == 0:
        return logits
    changed = logits.astype(np.float64)
    for row, history in zip(changed, histories, strict=True):
        first = max(0, len(history.tokens) - history.n_drawn)
        tokens, counts = np.unique(np.asarray(history.tokens[first:], np.intp), return_counts=True)
        row[tokens] -= presence + frequency * counts
    return changed


def block_repeats(
    logits: Logits, histories: Sequence[History], n: int
) -> Logits:  # [B, V] -> [B, V]
    """Takes out the tokens that would repeat a run of n tokens of the row's text; with n = 0, none.
    A row that would have no token left keeps them all."""
    if n == 0:
        return logits
    kept = logits.copy()
    for row, history in zip(kept, histories, strict=True):
        text = np.asarray(history.tokens, np.intp)
        if len(text) >= n:
            runs = np.lib.stride_tricks.sliding_window_view(text, n)  # [T - n + 1, n]
            again = (runs[:, :-1] == text[len(text) - n + 1 :]).all(axis=-1)
            blocked = row.copy()
            blocked[runs[again, -1]] = -np.inf
            if blocked.max() > -np.inf:
                row[:] = blocked
    return kept


def top_k(logits: Logits, k: int) -> Logits:  # [B, V] -> [B, V]
    """Keeps each row's k most likely tokens, and those equal to the last of them; 0 keeps all.

    Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation", section 5.4.
    """
    if not 0 < k < logits.shape[-1]:
        return logits
    kept = np.full_like(logits, -np.inf)
    for row, kept_row in zip(logits, kept, strict=True):
        tokens = likeliest(row, k)
        kept_row[tokens] = row[tokens]
    return kept


def scale(logits: Logits, temperature: float) -> Logits:  # [B, V] -> [B, V]
    """Below 1 sharpens, above 1 flattens. 0 keeps the most likely token (the first of equals).

    At temperatures other than 1 the likeliest token's logit becomes 0.
    """
    if temperature == 1:
        return logits
    if temperature > 0:
        return below(logits.max(axis=-1, keepdims=True), logits, temperature)
    kept = np.full_like(logits, -np.inf)
    np.put_along_axis(kept, logits.argmax(axis=-1, keepdims=True), 0, axis=-1)
    return kept


def top_p(logits: Logits, p: float) -> Logits:  # [B, V] -> [B, V]
    """Keeps each row's smallest set of tokens whose probability reaches p; 1 keeps all. Of tokens
    that are equal at its edge, the first ones stay.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    if p >= 1:
        return logits
    kept = np.full_like(logits, -np.inf)
    relative = below(logits.max(axis=-1, keepdims=True), logits)
    masses = np.exp(relative)  # not divided by their sum
    for row, own, mass, kept_row in zip(logits, relative, masses, kept, strict=True):
        goal = p * mass.sum()
        for least in LEAST_MASS:  # so that few are left to put in order
            columns = np.flatnonzero(mass >= least)
            if mass[columns].sum() >= goal:
                break
        columns = columns[np.argsort(-own[columns], kind="stable")]
        size = int(np.searchsorted(np.cumsum(mass[columns]), goal)) + 1
        kept_row[columns[:size]] = row[columns[:size]]
    return kept


def min_p(logits: Logits, p: float) -> Logits:  # [B, V] -> [B, V]
    """Keeps the tokens that are at least p times as probable as the row's likeliest; 0 keeps all.

    Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs".
    """
    if p == 0:
        return logits
    relative = below(logits.max(axis=-1, keepdims=True), logits)
    return np.where(relative >= math.log(p), logits, logits.dtype.type(-np.inf))
