"""A setting that counts something has the same limits wherever it is given."""

from __future__ import annotations

import numpy as np
import pytest

from gpt2_sampler.errors import UsageError
from gpt2_sampler.limits import LIMITS, check_limits


@pytest.mark.parametrize("name", LIMITS)
def test_the_lowest_and_the_highest_are_taken_and_no_others(name: str) -> None:
    lowest, highest = LIMITS[name]
    for value in (lowest, highest, np.int64(highest)):
        check_limits(name, value)
    with pytest.raises(UsageError, match=f"^{name} must be {lowest} or more, not {lowest - 1}$"):
        check_limits(name, lowest - 1)
    with pytest.raises(UsageError, match=f"^{name} must be at most {highest}, not {highest + 1}$"):
        check_limits(name, highest + 1)


@pytest.mark.parametrize("value", [1.0, "1", True, None, [1], float("nan"), "x" * 5000])
def test_what_is_no_whole_number_is_named(value: object) -> None:
    with pytest.raises(UsageError, match=r"^seed must be a whole number, not ") as caught:
        check_limits("seed", value)
    assert len(str(caught.value)) < 120


def test_a_number_that_is_too_long_to_write_is_told_by_its_size() -> None:
    with pytest.raises(UsageError, match=r"not a number of 33220 bits$"):
        check_limits("top_k", 10**10000)
