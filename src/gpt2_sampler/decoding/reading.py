"""What rows of a cache are to read -> one call of an engine. Knows no requests and no sampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gpt2_sampler.engines.engine import Cache, Engine, Floats

PIECE = 64  # tokens
"""What a step reads while rows wait for their next token: these, and of prompts what is left, half
of it at least. For 117M in int8 a step takes about 3 ms and 0.15 to 0.2 a token more: with a piece
it takes 15, still faster than anybody reads, and a prompt of 1,000 begins to be answered after 16
of them. Larger pieces would make a prompt no cheaper, smaller ones leave the processor's cores half
idle unless there are many rows: a whole piece beside 31 of them would take as long again."""
WORTH_COPYING = 8  # tokens; a row that can have fewer of another's reads them itself, in this step


class Reading(NamedTuple):
    """Tokens that a row reads, from a slot on, and after how many of the last logits are wanted."""

    row: int
    slot: int
    tokens: list[int]
    wanted: int


def read(engine: Engine, cache: Cache, readings: Iterable[Reading]) -> Floats:  # [W, V]
    """One after another: the logits that each of them wants."""
    tokens, rows, positions, wanted = list[int](), list[int](), list[int](), list[int]()
    for row, slot, own, n_wanted in readings:
        tokens += own
        rows += [row] * len(own)
        positions += range(slot, slot + len(own))
        wanted += range(len(tokens) - n_wanted, len(tokens))
    return engine.forward(cache, tokens, rows, positions, wanted)


def count_shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts have in common from their beginning."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])
