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

AT_ONCE = 8  # rows, whose noise stays in the processor's cache


def draw(logits: Logits, tokens: Ids, keys: Keys) -> Ids:
    """Logits of N tokens [B, N], those tokens [B, N], B keys -> B tokens; of equals the first."""
    best = logits.max(axis=-1, keepdims=True)
    drawn = (below(best, logits) + noise(keys, tokens)).argmax(axis=-1)
    return tokens[np.arange(len(tokens)), drawn]


def draw_from_all(logits: Logits, temperature: float, keys: Keys) -> Ids:
    """[B, V], B keys -> B tokens, the same that scale and draw would give for the whole
    vocabulary. Only a few hundred tokens are looked at: those in blocks whose likeliest token
    would win if it had the block's largest noise."""
    if len(keys) > AT_ONCE:
        chunks = [slice(n, n + AT_ONCE) for n in range(0, len(keys), AT_ONCE)]
        return np.concatenate([draw_from_all(logits[c], temperature, keys[c]) for c in chunks])
    blocks, starts = blocks_of(logits.shape[-1])
    shortest, holder = of_blocks(keys, blocks)  # [B, D] each
    noises, tops = -np.log(shortest), block_tops(logits)
    best = tops.max(axis=-1, keepdims=True)
    holders = at(logits, np.arange(len(keys))[:, None], starts + holder * APART)
    reached = (below(best, holders, temperature) + noises).max(axis=-1, keepdims=True)
    # The P blocks of all rows that have to be looked at; each row has at least one.
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
    """The logits of tokens, -inf for those beyond the vocabulary."""
    n_vocab = logits.shape[-1]
    return np.where(tokens < n_vocab, logits[row, np.minimum(tokens, n_vocab - 1)], -np.inf)
