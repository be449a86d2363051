"""The lowest and the highest value of every setting that counts something, wherever it is given:
as a flag, in a line of prompts, or from Python."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any, NamedTuple

from gpt2_sampler.errors import UsageError, brief, iterate


class Limits(NamedTuple):
    lowest: int
    highest: int = 2**31 - 1

    def __str__(self) -> str:
        return f"{self.lowest} or more" if self.highest == 2**31 - 1 else f"{self[0]} to {self[1]}"


LIMITS = {
    "batch_size": Limits(1),
    "first": Limits(0),
    "length": Limits(1),  # tokens
    "no_repeat_ngram": Limits(0),  # tokens
    "max_body": Limits(1),  # bytes
    "nsamples": Limits(1),
    "port": Limits(0, 2**16 - 1),
    "queue": Limits(0),
    "rows": Limits(0, 1024),
    "seed": Limits(0, 2**32 - 1),
    "stride": Limits(1),  # tokens
    "threads": Limits(1, 1024),  # LiteRT does not survive a hundred thousand
    "top_k": Limits(0),  # tokens
}


def is_whole(number: Any, lowest: float = -math.inf) -> bool:
    """Whether it is a whole number, Python's or NumPy's, and at least the lowest."""
    whole = isinstance(number, Integral) and not isinstance(number, bool)
    return whole and int(number) >= lowest


def check_limits(name: str, value: Any, limits: Limits | None = None) -> int:
    """The value as Python's own number. Raises UsageError, which begins with the name, unless it is
    a whole number within the limits, by default those of LIMITS."""
    limits = limits or LIMITS[name]
    if not is_whole(value):
        raise UsageError(f"{name} must be a whole number, not {brief(value)}")
    if value < limits.lowest:
        raise UsageError(f"{name} must be {limits.lowest} or more, not {brief(int(value))}")
    if value > limits.highest:
        raise UsageError(f"{name} must be at most {limits.highest}, not {brief(int(value))}")
    return int(value)


def check_ids(tokens: Iterable[Any], n_vocab: int) -> list[int]:
    """Token ids as Python's own numbers. Raises UsageError for one that is not 0 to n_vocab - 1."""
    ids = list(iterate("tokens", tokens, "token ids"))
    for token in ids:
        if not is_whole(token, 0) or token >= n_vocab:
            raise UsageError(f"the model has tokens 0 to {n_vocab - 1}, and no {brief(token)}")
    return list(map(int, ids))
