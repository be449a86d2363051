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
from gpt2_sampler.seeing.ranks import NAMES, counted


def bits(logprob: float) -> float:
    """A token's surprise, from its log-probability in nats."""
    return -logprob / math.log(2) + 0.0  # no -0.0


@dataclasses.dataclass(frozen=True)
class Scored:
    """A text. Its first token is not scored, as there is nothing before it."""

    name: str
    tokens: Sequence[int]
    pieces: Sequence[str]
    """How each token is shown."""
    places: Sequence[Place]
    """For the tokens after the first."""
    top: Sequence[Sequence[str]]
    """How the likeliest tokens at each place are shown."""
    n_bytes: int
    """Of the text after its first token, in UTF-8."""
    from_line: bool = False
    """Whether it is a line, whose name is only its number."""

    @cached_property
    def logprob(self) -> float:
        """Of all scored tokens together, in nats."""
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
        return bits(self.logprob) / self.n_bytes if self.places and self.n_bytes else None

    @property
    def classes(self) -> list[int]:
        """How many tokens each class in ranks.NAMES has."""
        return counted(place.rank for place in self.places)

    def figures(self) -> dict[str, Any]:
        """For a table."""
        return {
            "tokens": len(self.tokens),
            "scored": len(self.places),
            "logprob": self.logprob,
            "perplexity": self.perplexity,
            "bits_per_byte": self.bits_per_byte,
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs. Infinite numbers, which JSON lacks, become None."""
        scored = [
            {
                "id": place.token,
                "text": piece,
                "logprob": finite(place.logprob),
                "rank": place.rank,
                "top": [
                    {"id": id, "text": text, "logprob": finite(logprob)}
                    for (id, logprob), text in zip(place.top, texts, strict=True)
                ],
            }
            for place, piece, texts in zip(self.places, self.pieces[1:], self.top, strict=True)
        ]
        first = {"id": self.tokens[0], "text": self.pieces[0], "logprob": None}
        figures = {name: finite(value) for name, value in self.figures().items()}
        ranks = dict(zip(NAMES, self.classes, strict=True))
        return {"name": self.name, **figures, "ranks": ranks, "places": [first, *scored]}


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
