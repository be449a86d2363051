"""(seed, sample, place, token) -> the Gumbel noise of that token there: the same on any machine.

Knows no logits. From 0.1.0 on a seed is a promise, so nothing here changes what comes out of it.

The rule. Each place of a sample has a key: the first 8 bytes, as a little-endian number, of
SHA-256 over the numbers of its stream (seed, sample) and the place, in hexadecimal, with spaces
between. From it a generator in counter mode, splitmix64 (Steele, Lea and Flood 2014, "Fast
Splittable Pseudorandom Number Generators"), makes 64 random bits h(c) for any counter c.

The noise of a token is -log of a waiting time; all waiting times are independent and Exp(1). Tokens
come in blocks of 32 that lie 2,048 apart: token i below 65,536 is in block i mod 2,048, the next
65,536 tokens are in the next 2,048 blocks. The shortest of a block's 32 times is Exp(1) / 32 and
any of its tokens may have it, with the same chance: h(2^32 + b) says how long it is and which token
has it. Every other token waits an Exp(1) of its own longer, from h(i): a wait has no memory. So a
block's largest noise is known before any other of it, and what cannot win need not be computed (as
in Maddison, Tarlow and Minka 2014, "A* Sampling").
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
"""[B], one for each row."""
Ids = npt.NDArray[np.intp]
Bits = npt.NDArray[np.uint64]
Doubles = npt.NDArray[np.float64]

APART_BITS, MEMBER_BITS = 11, 5
APART, MEMBERS = 1 << APART_BITS, 1 << MEMBER_BITS  # tokens
GROUP = APART * MEMBERS  # tokens
FIRST_BLOCK = np.uint64(1 << 32)
STEP, MIX_1, MIX_2 = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
BY_30, BY_27, BY_31 = map(np.uint64, (30, 27, 31))
UPPER_52, LOWEST_5 = np.uint64(12), np.uint64(MEMBERS - 1)


def key(stream: Sequence[int], place: int) -> int:
    """What fixes the noise of every token at a place of a stream. Any numbers from 0 on will do."""
    text = " ".join([f"{number:x}" for number in (*stream, place)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def noise(keys: Keys, ids: Ids) -> Doubles:  # [B], [B, N] -> [B, N]
    """The noise of some tokens of each row."""
    block = (ids >> (APART_BITS + MEMBER_BITS) << APART_BITS) + (ids & (APART - 1))
    shortest, holder = of_blocks(keys, block.astype(np.uint64))
    return within_blocks(keys, ids, shortest, holder)


def of_blocks(keys: Keys, blocks: Bits) -> tuple[Doubles, Ids]:
    """The shortest time of some blocks, and which of its tokens has it: [B], [N] or [B, N] ->
    [B, N] each."""
    random = bits(keys, blocks + FIRST_BLOCK)
    return times(random) / MEMBERS, (random & LOWEST_5).view(np.int64)


def within_blocks(keys: Keys, ids: Ids, shortest: Doubles, holder: Ids) -> Doubles:
    """The noise of tokens in blocks of which that is known: [B], [B, N] each -> [B, N]."""
    later = times(bits(keys, ids.astype(np.uint64)))
    later[holder == (ids >> APART_BITS & (MEMBERS - 1))] = 0
    return -np.log(shortest + later)


def block_tops(row: npt.NDArray[np.floating]) -> Doubles:  # [V] -> [D]
    """The largest logit of each of the D blocks that the vocabulary has."""
    tops = []
    for start in range(0, len(row), GROUP):
        group = row[start : start + GROUP]
        members, rest = divmod(len(group), APART)
        top = group
        if members:
            top = group[: members * APART].reshape(members, APART).max(axis=0)
            np.maximum(top[:rest], group[members * APART :], out=top[:rest])
        tops.append(top)
    return np.concatenate(tops, dtype=np.float64)


@functools.lru_cache(maxsize=1)
def blocks_of(n_vocab: int) -> tuple[Bits, Ids]:
    """The numbers of the vocabulary's D blocks, and the first token of each."""
    groups, rest = divmod(n_vocab, GROUP)
    blocks = np.arange(groups * APART + min(rest, APART))
    return blocks.astype(np.uint64), (blocks >> APART_BITS) * GROUP + (blocks & (APART - 1))


def bits(keys: Keys, counters: Bits) -> Bits:
    """h(c): [B], [N] or [B, N] -> [B, N]."""
    x = counters * STEP + keys[:, None]
    x ^= x >> BY_30
    x *= MIX_1
    x ^= x >> BY_27
    x *= MIX_2
    x ^= x >> BY_31
    return x


def times(random: Bits) -> Doubles:
    """64 random bits -> Exp(1), from the upper 52 of them, so that 0 and 1 are never met."""
    uniform = (random >> UPPER_52).astype(np.float64)
    uniform += 0.5
    uniform *= 2.0**-52
    return -np.log(uniform)
