"""A text's tokens and the probability of each -> the figures that say how likely the text is.

Knows no engine and no terminal.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from gpt2_sampler.decoding.score import Place
from gpt2_sampler.seeing.ranks import count_classes, surprise
from gpt2_sampler.seeing.spans import TextSpan, WordSpan, group_words


@dataclasses.dataclass(frozen=True)
class Scored:
    """A text. Its first token is not scored if there is nothing before it."""

    name: str
    tokens: Sequence[int]
    pieces: Sequence[str]
    """How each token is shown."""
    places: Sequence[Place]
    """For all tokens, or for those after the first."""
    top: Sequence[Sequence[str]]
    """How the likeliest tokens at each place are shown."""
    n_bytes: int
    """The bytes of what is scored, in UTF-8."""
    from_line: bool = False
    """Whether it is a line, whose name is only its number."""
    spans: Sequence[TextSpan] = ()
    """The part of the text that each token is; only where words or places in the text are told."""

    @property
    def n_unscored(self) -> int:
        """0 or 1: whether the first token has nothing before it."""
        return len(self.tokens) - len(self.places)

    @cached_property
    def logprob(self) -> float:
        """The log-probability of all scored tokens together, in nats."""
        return math.fsum(place.logprob for place in self.places)

    @property
    def perplexity(self) -> float | None:
        """None if nothing is scored."""
        if not self.places:
            return None
        try:
            return math.exp(-self.logprob / len(self.places))
        except OverflowError:
            return math.inf

    @property
    def bits_per_byte(self) -> float | None:
        return surprise(self.logprob) / self.n_bytes if self.places and self.n_bytes else None

    @property
    def classes(self) -> list[int]:
        """How many tokens each class in ranks.NAMES has."""
        return count_classes(place.rank for place in self.places)

    def figures(self) -> dict[str, Any]:
        """What a table shows of the text, by the names of its columns."""
        return {
            "tokens": len(self.tokens),
            "scored": len(self.places),
            "logprob": self.logprob,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
        }

    def words(self) -> list[tuple[WordSpan, float | None]]:
        """Its words, and the log-probability of each in nats: that of its tokens together, None if
        one of them is not scored."""
        logprobs, n_before = [place.logprob for place in self.places], self.n_unscored
        return [
            (word, math.fsum(logprobs[word.first - n_before : word.end - n_before]))
            if word.first >= n_before
            else (word, None)
            for word in group_words([span.text for span in self.spans])
        ]
