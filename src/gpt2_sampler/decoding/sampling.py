"""How a token is to be chosen: settings, checked. Knows no logits."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

import numpy as np

from gpt2_sampler.decoding.rules import Bias
from gpt2_sampler.errors import UsageError, brief
from gpt2_sampler.limits import check_limits, is_whole

SMALLEST, LARGEST = math.ulp(0.0), sys.float_info.max
RANGES: dict[str, tuple[float, float, str]] = {
    "temperature": (0, LARGEST, "0 or more"),
    "top_p": (SMALLEST, 1, "above 0 and at most 1"),
    "min_p": (0, 1, "from 0 to 1"),
    # With the lowest and the highest any logit's product is still a float64.
    "repetition_penalty": (1e-100, 1e100, "from 1e-100 to 1e+100"),
    "presence_penalty": (-2, 2, "from -2 to 2"),
    "frequency_penalty": (-2, 2, "from -2 to 2"),
}
"""The lowest and the highest value of each setting that is a number."""
COUNTS = "top_k", "no_repeat_ngram"
MOST_BIAS = 100


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen. The defaults change nothing. Raises UsageError for a value that makes
    no sense, or is of another kind; the message begins with the field's name."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0  # tokens
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Bias = ()
    """Token ids, and what is added to their logits. Kept as pairs, in the order of the ids."""

    def __post_init__(self) -> None:
        for name, (lowest, highest, what) in RANGES.items():
            value = getattr(self, name)
            if not is_number(value):
                raise UsageError(f"{name} must be a number, {what}, not {brief(value)}")
            if not lowest <= as_float(value) <= highest:
                raise UsageError(f"{name} must be {what}, not {brief(value)}")
            object.__setattr__(self, name, float(value))
        for name in COUNTS:
            object.__setattr__(self, name, check_limits(name, getattr(self, name)))
        object.__setattr__(self, "logit_bias", pairs(self.logit_bias))

    @property
    def looks_back(self) -> bool:
        """Whether the text so far matters."""
        penalties = self.presence_penalty, self.frequency_penalty, self.no_repeat_ngram
        return self.repetition_penalty != 1 or any(penalties)


def is_number(value: Any) -> bool:
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool)


def as_float(number: Any) -> float:
    """The number in float64, infinite where it is too large: smaller kinds of NumPy's cannot be
    compared with the limits."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def pairs(bias: Any) -> tuple[tuple[int, float], ...]:
    """A logit_bias, checked, in the order of its tokens."""
    try:
        items = sorted(dict(bias).items())
    except (TypeError, ValueError):
        raise UsageError(
            f"logit_bias must be numbers by token ids, as {{50256: -100}}, not {brief(bias)}"
        ) from None
    for token, value in items:
        if not is_whole(token, 0):
            raise UsageError(f"logit_bias is by token ids, and {brief(token)} is none")
        if not is_number(value) or not -MOST_BIAS <= as_float(value) <= MOST_BIAS:
            raise UsageError(
                f"logit_bias must be numbers from -{MOST_BIAS} to {MOST_BIAS}, "
                f"not {brief(value)} for token {brief(token)}"
            )
    return tuple((int(token), float(value)) for token, value in items)


def check_bias(sampling: Sampling, n_vocab: int) -> None:
    """Raises UsageError for a logit_bias of a token that the model does not have."""
    if sampling.logit_bias and (top := max(dict(sampling.logit_bias))) >= n_vocab:
        raise UsageError(f"logit_bias is of tokens 0 to {n_vocab - 1}, and {top} is none")
