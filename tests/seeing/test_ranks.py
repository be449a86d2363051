"""Ranks -> the classes that they are counted in."""

from __future__ import annotations

from gpt2_sampler.seeing.paint import (
    STYLES,
)
from gpt2_sampler.seeing.ranks import LIMITS, NAMES, count_classes, rank_class


def test_ranks_are_of_the_classes_of_gltr() -> None:
    assert [rank_class(rank) for rank in (1, 10, 11, 100, 101, 1000, 1001, 50257)] == [
        *(0, 0, 1, 1, 2, 2, 3, 3)
    ]
    assert count_classes([1, 5, 10, 11, 5000]) == [3, 1, 0, 1]
    assert len(NAMES) == len(LIMITS) + 1 == len(STYLES)
