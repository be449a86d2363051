"""A token's rank among all that the model could have written -> its class, as GLTR has them
(Gehrmann, Strobelt and Rush 2019, "GLTR: Statistical Detection and Visualization of Generated
Text"). Knows no colours."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

LIMITS = 10, 100, 1_000
NAMES = *(f"top {limit:,}" for limit in LIMITS), "beyond"


def rank_class(rank: int) -> int:
    """The place of a rank, from 1 on, in NAMES."""
    return bisect.bisect_left(LIMITS, rank)


def counted(ranks: Iterable[int]) -> list[int]:
    """How many ranks are of each class."""
    counts = [0] * len(NAMES)
    for rank in ranks:
        counts[rank_class(rank)] += 1
    return counts
