"""How many of a text's tokens a model reads. Knows no engine and no samples."""

from __future__ import annotations


def in_window(n_tokens: int, window: int) -> int:
    """How many of a text's last tokens the model sees. Past the window it reads the last half
    again, which then grows until it fills the window once more."""
    if n_tokens <= window:
        return n_tokens
    half = max(1, window // 2)
    return half + (n_tokens - window - 1) % (window - half + 1)


def that_matter(n_tokens: int, window: int) -> int:
    """How many of a text's last tokens determine all that follows, here and at every later place: a
    window's worth, and as many more as keep in_window the same."""
    if n_tokens <= window:
        return n_tokens
    half = max(1, window // 2)
    return window + 1 + (n_tokens - window - 1) % (window - half + 1)
