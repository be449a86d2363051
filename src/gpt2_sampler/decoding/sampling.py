"""Logits -> next tokens: penalties, temperature, top-k, top-p, the draw.

Knows arrays: no engines, no text. Every function of logits is neutral at its off value.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpt2_sampler.decoding.noise import (
    APART,
    MEMBERS,
    Floats,
    Ids,
    Keys,
    block_tops,
    blocks_of,
    noise,
    of_blocks,
    within_blocks,
)
from gpt2_sampler.errors import CheckpointError, UsageError

Logits = npt.NDArray[np.float32] | Floats
"""[B, V], as the model gives them or, where a number could pass float32's range, in float64."""
Texts = Sequence[Sequence[int]]
"""The tokens that each of B rows goes on from."""

BLOCKS = 64  # tokens of each of the blocks that top_k compares
LEAST_MASS = 1e-2, 1e-3, 1e-4, 1e-5, 0
"""Of a token that top_p may keep, as a share of the likeliest token's."""
AT_ONCE = 8  # rows, whose noise stays in the processor's cache
PENALTIES = 1e-100, 1e100
"""Any logit times one of them is a float64."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen. The defaults change nothing. Raises UsageError for a value that
    means nothing, with the field's name first."""

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
        """Whether tokens are left out that the model finds possible."""
        return self.top_k != 0 or self.top_p != 1

    @property
    def looks_back(self) -> bool:
        """Whether the text so far matters."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram != 0


def penalise(logits: Logits, texts: Texts, penalty: float) -> Logits:  # [B, V] -> [B, V]
    """Above 1 makes tokens that are in the row's text less likely, below 1 more; 1 changes nothing.

    Keskar et al. 2019, "CTRL", section 4.1; a negative logit is multiplied, as dividing it would
    raise it.
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
    """Takes out what would make n tokens in a row appear in the row's text again; 0 takes nothing.
    A row that would have no token left keeps all."""
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

    [B, V] -> the tokens that each row keeps, ascending, and their logits, [B, N] each: a handful
    stands for the vocabulary from here on. Where a row keeps fewer than N the rest is -inf.
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


def likeliest(row: Logits, k: int) -> Ids:  # [V] -> [K], K >= k
    """The tokens that are as likely as the k-th, or likelier, ascending.

    Of the largest logits of many blocks k are at least as large as the k-th: what is as large as
    those is all that has to be put in order, a few more than k.
    """
    n_blocks = len(row) // BLOCKS
    if k > n_blocks:
        return np.flatnonzero(row >= np.partition(row, len(row) - k)[len(row) - k])
    tops = np.maximum.reduce(row[: n_blocks * BLOCKS].reshape(BLOCKS, n_blocks), axis=0)
    tops.partition(n_blocks - k)
    tokens = np.flatnonzero(row >= tops[n_blocks - k])
    few = row[tokens]
    return tokens[few >= np.partition(few, len(few) - k)[len(few) - k]]


def ordered(row: Logits, n: int) -> list[int]:
    """The n likeliest tokens, the likeliest first, of equals the first one first: [V] -> [n]."""
    tokens = likeliest(row, min(n, len(row))) if n else np.zeros(0, np.intp)
    return tokens[np.argsort(-row[tokens], kind="stable")][:n].tolist()


def rank(row: Logits, token: int) -> int:
    """1 for the likeliest token, of equals for the first one: logits [V] -> the token's place."""
    return 1 + int((row > row[token]).sum() + (row[:token] == row[token]).sum())


def scale(logits: Logits, temperature: float) -> Logits:  # [B, V] -> [B, V]
    """Below 1 sharpens, above 1 flattens. 0 keeps the most likely token (the first of equals).

    At other temperatures than 1 the likeliest token's logit becomes 0.
    """
    if temperature == 1:
        return logits
    if temperature > 0:
        return below(logits.max(axis=-1, keepdims=True), logits, temperature)
    kept = np.full_like(logits, -np.inf)
    np.put_along_axis(kept, logits.argmax(axis=-1, keepdims=True), 0, axis=-1)
    return kept


def below(best: Logits, logits: Logits, temperature: float = 1) -> Floats:
    """Logits as their distance from the best, which does not pass any range: the smallest
    temperatures leave -inf, which no draw would choose either."""
    with np.errstate(over="ignore"):
        return np.subtract(logits, best, dtype=np.float64) / float(temperature)


def top_p(logits: Logits, p: float) -> Logits:  # [B, V] -> [B, V]
    """Keeps each row's smallest set of tokens whose probability reaches p; 1 keeps all. Of equal
    tokens at its edge the first ones stay.

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
    """Probabilities before they are divided by their sum."""
    return np.exp(logits - np.maximum.reduce(logits))


def draw(logits: Logits, tokens: Ids, keys: Keys) -> Ids:
    """One token a row, by Gumbel-max: the largest sum of logit and noise, the first of equals.

    Logits of N tokens [B, N], those tokens [B, N], B keys -> B tokens. The noise belongs to the
    token and the key alone: models that nearly agree nearly always draw the same token.
    """
    best = logits.max(axis=-1, keepdims=True)
    drawn = (below(best, logits) + noise(keys, tokens)).argmax(axis=-1)
    return tokens[np.arange(len(tokens)), drawn]


def draw_from_all(logits: Logits, temperature: float, keys: Keys) -> Ids:
    """What scale and draw give for all of V, [B, V], B keys -> B tokens, from a few hundred of
    them: those in blocks whose likeliest token would win, had it the block's largest noise."""
    if len(keys) > AT_ONCE:
        chunks = [slice(n, n + AT_ONCE) for n in range(0, len(keys), AT_ONCE)]
        return np.concatenate([draw_from_all(logits[c], temperature, keys[c]) for c in chunks])
    blocks, starts = blocks_of(logits.shape[-1])
    shortest, holder = of_blocks(keys, blocks)  # [B, D] each
    noises, tops = -np.log(shortest), block_tops(logits)
    best = tops.max(axis=-1, keepdims=True)
    holders = at(logits, np.arange(len(keys))[:, None], starts + holder * APART)
    reached = (below(best, holders, temperature) + noises).max(axis=-1, keepdims=True)
    # The P blocks of all rows that are to be looked at: the best token's block in each, at least.
    row, block = (below(best, tops, temperature) + noises >= reached).nonzero()
    members = np.arange(min(MEMBERS, -(-logits.shape[-1] // APART)))
    tokens = starts[block, None] + members * APART  # [P, members]
    own = within_blocks(keys[row], tokens, shortest[row, block, None], holder[row, block, None])
    sums = below(best[row], at(logits, row[:, None], tokens), temperature) + own
    of_block = np.full_like(tops, -np.inf)
    of_block[row, block] = sums.max(axis=-1)
    winning = block == of_block.argmax(axis=-1)[row]  # one for each row
    return tokens[winning][np.arange(len(keys)), sums[winning].argmax(axis=-1)]


def at(logits: Logits, row: Ids, tokens: Ids) -> Logits:
    """Logits of tokens, -inf of those that lie beyond the vocabulary."""
    n_vocab = logits.shape[-1]
    return np.where(tokens < n_vocab, logits[row, np.minimum(tokens, n_vocab - 1)], -np.inf)


def check_numbers(logits: Logits) -> None:  # [B, V]
    """Raises CheckpointError unless every row has a likeliest token."""
    if not np.isfinite(np.maximum.reduce(logits, axis=-1)).all():
        raise CheckpointError(
            "the model's logits are not numbers: its weights are damaged, or they come from a "
            "training run that diverged"
        )


def fresh(logits: Logits, texts: Texts, sampling: Sampling) -> Logits:  # [B, V] -> [B, V]
    """What the text so far changes. Where the sampling does not look back, there need be no
    texts."""
    s = sampling
    return block_repeats(penalise(logits, texts, s.repetition_penalty), texts, s.no_repeat_ngram)


# A step of the model leaves nothing of Python in the processor's cache: what is called between two
# steps takes several times what it takes in a loop of its own, so the shortest way is taken.


def choose(logits: Logits, texts: Texts, sampling: Sampling, keys: Keys) -> Ids:
    """[B, V], B texts, B keys -> B tokens. Raises CheckpointError for logits that are no
    numbers."""
    check_numbers(logits)
    logits = fresh(logits, texts, sampling)
    if sampling.temperature == 0:
        return logits.argmax(axis=-1)
    if not sampling.filters:
        return draw_from_all(logits, sampling.temperature, keys)
    tokens, kept = filtered(logits, sampling)
    if kept.shape == logits.shape:
        return draw_from_all(kept, 1, keys)
    return draw(kept, tokens, keys)


def filtered(logits: Logits, sampling: Sampling) -> tuple[Ids, Logits]:
    """[B, V] -> the tokens that may be drawn, or more, and their logits, [B, N] each."""
    tokens, likely = top_k(logits, sampling.top_k)  # the same before the temperature as after it
    return tokens, top_p(scale(likely, sampling.temperature), sampling.top_p)


def distribution(logits: Logits, text: Sequence[int], sampling: Sampling) -> Floats:
    """The log-probabilities that a token is drawn with: [V] -> [V], -inf for what is left out."""
    [tokens], [kept] = filtered(fresh(logits[None], [text], sampling), sampling)
    likely = np.full(len(logits), -np.inf)
    likely[tokens] = log_softmax(kept)
    return likely


def log_softmax(logits: Logits) -> Floats:  # [..., N] -> [..., N]
    shifted = below(logits.max(axis=-1, keepdims=True), logits)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
