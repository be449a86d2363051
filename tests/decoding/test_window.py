from __future__ import annotations

import numpy as np
import pytest

from gpt2_sampler.decoding.window import checked, in_window, that_matter
from gpt2_sampler.errors import UsageError

WINDOWS = [1, 2, 3, 4, 13]


@pytest.mark.parametrize("window", WINDOWS)
def test_in_window_counts_what_sliding_leaves(window: int) -> None:
    held = 0
    for n_tokens in range(1, 100):
        held = max(1, window // 2) if held == window else held + 1
        assert in_window(n_tokens, window) == held


@pytest.mark.parametrize("window", WINDOWS)
def test_what_is_forgotten_makes_no_difference_at_any_later_place(window: int) -> None:
    for n_tokens in range(1, 60):
        kept = that_matter(n_tokens, window)
        assert min(n_tokens, window) <= kept <= n_tokens
        for more in range(30):
            assert in_window(n_tokens + more, window) == in_window(kept + more, window)


@pytest.mark.parametrize("tokens", [[1, 30], (0,), np.array([3, 4]), [np.int32(7)], range(5)])
def test_any_sequence_of_token_ids_is_a_text(tokens: list[int]) -> None:
    text = checked(tokens, 31)
    assert text == list(tokens) and all(type(token) is int for token in text)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([], "at least one token"),
        ([1, 31], "no 31"),
        ([-1], "no -1"),
        ([2**70], "no 1180591620717411303424"),
        ([True], "no True"),
        ([1.0], "no 1.0"),
        ("ab", "no 'a'"),
        ([None], "no None"),
    ],
)
def test_what_the_model_has_no_token_for_is_refused(tokens: list[int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        checked(tokens, 31)
