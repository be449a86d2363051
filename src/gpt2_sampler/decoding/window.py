"""A text's tokens -> those that a model reads. Knows no engine and no samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpt2_sampler.errors import UsageError


def is_whole(number: Any, low: int) -> bool:
    """Whether it is a whole number, Python's or NumPy's, and at least low."""
    kind = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    return kind and bool(number >= low)


def checked(tokens: Sequence[Any], n_vocab: int) -> list[int]:
    """The token ids of a text that a caller gives. Raises UsageError if there are none, or one that
    the model does not have."""
    for token in tokens:
        if not is_whole(token, 0) or token >= n_vocab:
            raise UsageError(f"the model has tokens 0 to {n_vocab - 1}, and no {token!r}")
    if len(tokens) == 0:
        raise UsageError("there must be at least one token to go on from; there is none")
    return [int(token) for token in tokens]


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
