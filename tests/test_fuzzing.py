"""A mutated file of any kind ends in a model or in one line; long/fuzzing.py has a long run."""

from __future__ import annotations

import pytest

from tests.long import fuzzing_fetching
from tests.long.fuzzing import MODELS, fuzz

INPUTS = 12  # for each file


@pytest.mark.parametrize("kind", MODELS)
def test_a_mutated_file_ends_in_a_model_or_one_line(kind: str) -> None:
    outcomes = fuzz(kind, INPUTS)
    assert sum(outcomes.values()) == INPUTS * len(MODELS[kind][1])


@pytest.mark.parametrize("kind", ["listing", "answer"])
def test_a_mutated_answer_ends_in_the_right_file_or_one_line(kind: str) -> None:
    assert sum(fuzzing_fetching.fuzz(kind, INPUTS).values()) == INPUTS
