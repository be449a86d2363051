"""Logits -> next tokens: penalties, temperature, top-k, top-p, the draw.

Knows arrays: no engines, no text. Every function of logits is neutral at its off value.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from gpt2_sampler.decoding.draw import draw, draw_from_all
from gpt2_sampler.decoding.logits import Logits, below, check_numbers, likeliest, log_softmax
from gpt2_sampler.decoding.noise import Floats, Ids, Keys
from gpt2_sampler.errors import UsageError

Texts = Sequence[Sequence[int]]
"""The tokens that each of B rows goes on from."""

LEAST_MASS = 1e-2, 1e-3, 1e-4, 1e-5, 0
"""Cutoffs that top_p tries in turn, as shares of the likeliest token's probability."""
PENALTIES = 1e-100, 1e100
"""The lowest and the highest: with either, any logit's product is still a float64."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen. The defaults change nothing. Raises UsageError for a value that makes
    no sense; the message begins with the field's name."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0  # tokens

    def __post_init__(self) -> None:
        lowest, highest = PENALTIES
        for name, possible, what in (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            (
                "repetition_penalty",
                lowest <= self.repetition_penalty <= highest,
                f"from {lowest:g} to {highest:g}",
            ),
            ("no_repeat_ngram", self.no_repeat_ngram >= 0, "0 or more"),
        ):
            if not possible:
                raise UsageError(f"{name} must be {what}, not {getattr(self, name):g}")

    @property
    def filters(self) -> bool:
        """Whether it leaves out tokens that the model finds possible."""
        return self.top_k != 0 or self.top_p != 1

    @property
    def looks_back(self) -> bool:
        """Whether the text so far matters."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram != 0


def penalise(logits: Logits, texts: Texts, penalty: float) -> Logits:  # [B, V] -> [B, V]
    """A penalty above 1 makes tokens that are in the row's text less likely, one below 1 more.

    Keskar et al. 2019, "CTRL", section 4.1, except that a negative logit is multiplied: dividing
    would raise it.
    """
    if penalty == 1:
        return logits
    changed = logits.astype(np.float64)
    for row, text in zip(changed, texts, strict=True):
        tokens = np.asarray(text)
        seen = row[tokens]
        row[tokens] = np.where(seen > 0, seen / penalty, seen * penalty)
    return changed


def block_repeats(logits: Logits, texts: Texts, n: int) -> Logits:  # [B, V] -> [B, V]
    """Takes out the tokens that would repeat a run of n tokens of the row's text; with n = 0, none.
    A row that would have no token left keeps them all."""
    if n == 0:
        return logits
    kept = logits.copy()
    for row, text in zip(kept, texts, strict=True):
        if len(text) >= n:
            runs = np.lib.stride_tricks.sliding_window_view(np.asarray(text), n)  # [T - n + 1, n]
            again = (runs[:, :-1] == text[len(text) - n + 1 :]).all(axis=-1)
            blocked = row.copy()
            blocked[runs[again, -1]] = -np.inf
            if blocked.max() > -np.inf:
                row[:] = blocked
    return kept


def top_k(logits: Logits, k: int) -> tuple[Ids, Logits]:
    """Keeps each row's k most likely tokens, and those equal to the last of them; 0 keeps all.

    [B, V] -> the tokens that each row keeps, ascending, and their logits, [B, N] each, so that what
    follows has few tokens to deal with. A row that keeps fewer than N is filled up with -inf.
    """
    n_vocab = logits.shape[-1]
    if not 0 < k < n_vocab:
        return np.broadcast_to(np.arange(n_vocab), logits.shape), logits
    kept = [likeliest(row, k) for row in logits]
    if len(kept) == 1:
        return kept[0][None], logits[:, kept[0]]
    tokens = np.zeros((len(kept), max(map(len, kept))), np.intp)
    likely = np.full(tokens.shape, -np.inf, logits.dtype)
    for n, own in enumerate(kept):
        tokens[n, : len(own)], likely[n, : len(own)] = own, logits[n, own]
    return tokens, likely


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
    for row, kept_row in zip(logits, kept, strict=True):
        mass = weights(row)
        goal = p * mass.sum(dtype=np.float64)
        for least in LEAST_MASS:  # so that few are left to put in order
            columns = np.flatnonzero(mass >= least)
            if mass[columns].sum(dtype=np.float64) >= goal:
                break
        candidates = row[columns]
        top = np.sort(candidates)[::-1]
        sums = np.cumsum(weights(top), dtype=np.float64)
        size = min(int(np.searchsorted(sums, goal)) + 1, len(top))  # rounding may leave no place
        edge = top[size - 1]
        inside = candidates > edge
        inside[np.flatnonzero(candidates == edge)[: size - inside.sum()]] = True
        kept_row[columns[inside]] = candidates[inside]
    return kept


def weights(logits: Logits) -> Logits:  # [N] -> [N]
    """Probabilities, not yet divided by their sum."""
    return np.exp(logits - np.maximum.reduce(logits))


def apply_history(logits: Logits, texts: Texts, sampling: Sampling) -> Logits:  # [B, V] -> [B, V]
    """Applies the rules that depend on the text so far. Sampling that does not look back needs no
    texts."""
    s = sampling
    return block_repeats(penalise(logits, texts, s.repetition_penalty), texts, s.no_repeat_ngram)


# A step of the model evicts Python from the processor's cache, so what runs between two steps takes
# several times as long as it would in a loop of its own. Hence the shortcuts.


def choose(logits: Logits, texts: Texts, sampling: Sampling, keys: Keys) -> Ids:
    """[B, V], B texts, B keys -> B tokens. Raises CheckpointError for logits that are not
    numbers."""
    check_numbers(logits)
    logits = apply_history(logits, texts, sampling)
    if sampling.temperature == 0:
        return logits.argmax(axis=-1)
    if not sampling.filters:
        return draw_from_all(logits, sampling.temperature, keys)
    tokens, kept = filtered(logits, sampling)
    if kept.shape == logits.shape:
        return draw_from_all(kept, 1, keys)
    return draw(kept, tokens, keys)


def filtered(logits: Logits, sampling: Sampling) -> tuple[Ids, Logits]:
    """[B, V] -> tokens that include all that may be drawn, and their logits, [B, N] each."""
    tokens, likely = top_k(logits, sampling.top_k)  # the temperature would not change which
    return tokens, top_p(scale(likely, sampling.temperature), sampling.top_p)


def distribution(logits: Logits, text: Sequence[int], sampling: Sampling) -> Floats:
    """The log-probability with which each token is drawn: [V] -> [V], -inf for those left out."""
    [tokens], [kept] = filtered(apply_history(logits[None], [text], sampling), sampling)
    likely = np.full(len(logits), -np.inf)
    likely[tokens] = log_softmax(kept)
    return likely
