from __future__ import annotations

import pytest

from gpt2_sampler.decoding.window import in_window, that_matter

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
