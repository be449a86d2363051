"""What is asked of a batch, and what comes back: a request, its tokens one by one.

Knows no engine and no rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from gpt2_sampler.decoding.sampling import (
    Logits,
    Sampling,
    distribution,
    log_softmax,
    ordered,
    rank,
)
from gpt2_sampler.decoding.window import that_matter

END_OF_TEXT, LENGTH_REACHED = "end of text", "length reached"
"""Why a request ended."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A text to go on with, and how."""

    id: Hashable
    tokens: Sequence[int]
    """1 or more: the prompt, and what was drawn of the text before."""
    stream: tuple[int, ...]
    """(seed, sample): whose noise decides what is drawn. Any whole numbers from 0 on."""
    sampling: Sampling
    length: int
    """New tokens at most."""
    ends: frozenset[int] = frozenset()
    """Tokens with which the text ends."""
    drawn: int = 0
    """How many draws were made of the stream before: the place from which its noise goes on."""
    top: int | None = None
    """How many of the likeliest tokens are to be told beside the one that was drawn, 0 for that one
    alone. None tells nothing, at no cost."""


class Choice(NamedTuple):
    """A token and its log-probabilities: the model's own, and that of the distribution that was
    drawn from, after penalties, temperature, top-k and top-p: -inf for what these left out."""

    id: int
    logprob: float
    filtered: float
    rank: int
    """Of the token for the model, 1 for the likeliest; of equals the first one is likelier."""


class Token(NamedTuple):
    """What a step drew for a request."""

    request: Request
    id: int
    ended: str
    """"" while the text goes on, else END_OF_TEXT or LENGTH_REACHED."""
    choice: Choice | None = None
    """Of this token, where the request asked for it."""
    top: tuple[Choice, ...] = ()
    """Of the likeliest tokens for the model, the likeliest first."""


class Text:
    """A request under way: its latest tokens, as many as matter."""

    def __init__(self, request: Request, tokens: list[int], order: int) -> None:
        self.request = request
        self.tokens = tokens
        self.order = order
        """In which requests came."""
        self._began = len(tokens)

    @property
    def drawn(self) -> int:
        """New tokens."""
        return len(self.tokens) - self._began

    def add(self, token: int, window: int) -> None:
        """Once in a while it also forgets what cannot matter any more."""
        self.tokens.append(token)
        if len(self.tokens) > 4 * window:
            kept = that_matter(len(self.tokens), window)
            self._began -= len(self.tokens) - kept
            self.tokens = self.tokens[-kept:]

    def ended(self, token: int) -> str:
        """Why, if it did with its last token; else ""."""
        if token in self.request.ends:
            return END_OF_TEXT
        return LENGTH_REACHED if self.drawn >= self.request.length else ""

    def rest(self) -> Request:
        """As it would go on."""
        before = self.request
        return dataclasses.replace(
            before,
            tokens=tuple(self.tokens),
            length=before.length - self.drawn,
            drawn=before.drawn + self.drawn,
        )


def told(
    logits: Logits, seen: Sequence[int], sampling: Sampling, id: int, n: int
) -> tuple[Choice, tuple[Choice, ...]]:
    """The token that was drawn from logits [V] after the text seen, and the n likeliest."""
    model, filtered = log_softmax(logits), distribution(logits, seen, sampling)
    best = ordered(logits, n)

    def choice(token: int, place: int) -> Choice:
        return Choice(token, float(model[token]), float(filtered[token]), place)

    return choice(id, rank(logits, id)), tuple(choice(t, r) for r, t in enumerate(best, 1))
