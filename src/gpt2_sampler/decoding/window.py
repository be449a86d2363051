"""A text's tokens -> those of them that a model reads. Knows no engine and no samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpt2_sampler.errors import UsageError


def is_whole(number: Any, low: int) -> bool:
    """Whether it is a whole number, of Python's or NumPy's, and not below another."""
    kind = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    return kind and bool(number >= low)


def checked(tokens: Sequence[Any], n_vocab: int) -> list[int]:
    """A text that a caller gives -> its token ids. Raises UsageError unless there is one at least
    and the model has them all."""
    for token in tokens:
        if not is_whole(token, 0) or token >= n_vocab:
            raise UsageError(f"the model has tokens 0 to {n_vocab - 1}, and no {token!r}")
    if len(tokens) == 0:
        raise UsageError("there must be one token at least to go on from; there is none")
    return [int(token) for token in tokens]


def in_window(n_tokens: int, window: int) -> int:
    """How many of a text's last tokens the model sees, were the text read one by one: past the
    window its last half is read again, and grows until it fills the window."""
    if n_tokens <= window:
        return n_tokens
    half = max(1, window // 2)
    return half + (n_tokens - window - 1) % (window - half + 1)


def that_matter(n_tokens: int, window: int) -> int:
    """How many of a text's last tokens make all that follows the same, now and at every later
    place: a window of them and more, as many as leave in_window where it is."""
    if n_tokens <= window:
        return n_tokens
    half = max(1, window // 2)
    return window + 1 + (n_tokens - window - 1) % (window - half + 1)
