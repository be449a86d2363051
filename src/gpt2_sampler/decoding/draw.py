"""Logits -> one token a row, by Gumbel-max: the one with the largest sum of logit and noise.

Knows arrays: no engines, no text. The noise belongs to the token and the key alone, so models that
nearly agree nearly always draw the same token.
"""

from __future__ import annotations

import numpy as np

from gpt2_sampler.decoding.logits import Logits, below
from gpt2_sampler.decoding.noise import (
    APART,
    MEMBERS,
    Ids,
    Keys,
    block_tops,
    blocks_of,
    noise,
    of_blocks,
    within_blocks,
)

FEW = 1024  # tokens; the noise of so many takes less time than that of the blocks


def draw(logits: Logits, keys: Keys) -> Ids:
    """[B, V], B keys -> B tokens; of equals the first. Tokens whose logit is -inf are not drawn;
    every row must have another."""
    return np.array([draw_one(row, keys[n : n + 1]) for n, row in enumerate(logits)], np.intp)


def draw_one(row: Logits, key: Keys) -> int:  # [V], [1] -> a token
    possible = np.flatnonzero(row > -np.inf)
    if len(possible) > FEW:
        return draw_from_many(row, key)
    return draw_from_few(row, possible, key)


def draw_from_few(row: Logits, tokens: Ids, key: Keys) -> int:  # [V], [N], [1] -> a token
    """Draws one of the tokens that are given."""
    sums = below(row[tokens].max(), row[tokens]) + noise(key, tokens[None])[0]
    return int(tokens[sums.argmax()])


def draw_from_many(row: Logits, key: Keys) -> int:  # [V], [1] -> a token
    """What draw_from_few gives for the whole vocabulary. Only a few hundred tokens are looked at:
    those in blocks whose likeliest token would win if it had the block's largest noise."""
    blocks, starts = blocks_of(len(row))
    shortest, holder = (of_all[0] for of_all in of_blocks(key, blocks))  # [D] each
    noises, tops = -np.log(shortest), block_tops(row)
    best = tops.max()
    reached = (below(best, at(row, starts + holder * APART)) + noises).max()
    block = np.flatnonzero(below(best, tops) + noises >= reached)  # P of them, 1 or more
    members = np.arange(min(MEMBERS, -(-len(row) // APART)))
    tokens = starts[block, None] + members * APART  # [P, members]
    own = within_blocks(key, tokens, shortest[block, None], holder[block, None])
    sums = below(best, at(row, tokens)) + own
    winners = np.argwhere(sums == sums.max())
    return min(int(tokens[tuple(winner)]) for winner in winners)


def at(row: Logits, tokens: Ids) -> Logits:
    """The logits of tokens, -inf for those beyond the vocabulary."""
    return np.where(tokens < len(row), row[np.minimum(tokens, len(row) - 1)], -np.inf)
