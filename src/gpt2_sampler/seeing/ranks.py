"""How surprising a token is: its probability in bits, and its rank among all tokens that the model
could have written -> its class, as in GLTR (Gehrmann, Strobelt and Rush 2019, "GLTR: Statistical
Detection and Visualization of Generated Text"). Knows no colours."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

LIMITS = 10, 100, 1_000
NAMES = *(f"top {limit:,}" for limit in LIMITS), "beyond"


def surprise(logprob: float) -> float:
    """In bits, from a log-probability in nats."""
    return -logprob / math.log(2) + 0.0  # no -0.0


def rank_class(rank: int) -> int:
    """The index in NAMES of a rank, which counts from 1."""
    return bisect.bisect_left(LIMITS, rank)


def count_classes(ranks: Iterable[int]) -> list[int]:
    """How many ranks each class has."""
    counts = [0] * len(NAMES)
    for rank in ranks:
        counts[rank_class(rank)] += 1
    return counts
