"""A text's tokens -> those of them that a model reads. Knows no engine and no samples."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from gpt2_sampler.errors import UsageError


def checked(tokens: Sequence[Any], n_vocab: int) -> list[int]:
    """A text that a caller gives -> its token ids. Raises UsageError unless there is one at least
    and the model has them all."""
    ids = [token_id(token, n_vocab) for token in tokens]
    if not ids:
        raise UsageError("a text needs one token at least to go on from; it has none")
    return ids


def token_id(token: Any, n_vocab: int) -> int:
    try:
        number = -1 if isinstance(token, bool) else operator.index(token)
    except TypeError:
        number = -1
    if not 0 <= number < n_vocab:
        raise UsageError(f"the model has tokens 0 to {n_vocab - 1}, and no {token!r}")
    return number


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
