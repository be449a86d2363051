"""What is asked of a batch, and what comes back: a request, its tokens one by one.

Knows no engine and no rows.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from gpt2_sampler.decoding.logits import Logits, tell
from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling, choose, distribution
from gpt2_sampler.decoding.window import in_window, that_matter

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


UNCHANGED = Sampling()


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


class Drawn(NamedTuple):
    """A token, and what is told of it."""

    id: int
    choice: Choice | None = None
    top: tuple[Choice, ...] = ()


class Text:
    """A request under way: its latest tokens, as many as matter."""

    def __init__(self, request: Request, tokens: list[int], order: int) -> None:
        self.request = request
        self.tokens = tokens
        self.order = order
        """In which requests came."""
        self.ready = deque[Drawn]()
        """What comes next, once it is asked for."""
        self._began = len(tokens)

    @property
    def drawn(self) -> int:
        """New tokens."""
        return len(self.tokens) - self._began

    @property
    def left(self) -> int:
        """New tokens that are still to come, at most."""
        return self.request.length - self.drawn

    def seen(self, window: int) -> list[int]:
        """The tokens that the model is to see."""
        return self.tokens[-in_window(len(self.tokens), window) :]

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
        return "" if self.left else LENGTH_REACHED

    def rest(self) -> Request:
        """As it would go on."""
        before = self.request
        return dataclasses.replace(
            before,
            tokens=tuple(self.tokens),
            length=self.left,
            drawn=before.drawn + self.drawn,
        )


class Place(NamedTuple):
    """Where a token is drawn: after a text, and after what was guessed of how that goes on."""

    text: Text
    guessed: Sequence[int] = ()

    @property
    def key(self) -> int:
        """Of its noise."""
        request = self.text.request
        return key(request.stream, request.drawn + self.text.drawn + len(self.guessed))

    def history(self, window: int) -> History:
        """The tokens that penalties look at."""
        if not self.text.request.sampling.looks_back:
            return History()
        tokens = [*self.text.tokens, *self.guessed][-window:]
        drawn = self.text.request.drawn + self.text.drawn + len(self.guessed)
        return History(tokens, min(drawn, len(tokens)))


def draw(places: Sequence[Place], logits: Logits, window: int) -> list[int]:
    """One token at each place: logits [B, V]. Raises CheckpointError for logits that are no
    numbers."""
    if not places:
        return []
    keys = np.array([place.key for place in places], np.uint64)
    histories = [place.history(window) for place in places]
    samplings = [place.text.request.sampling for place in places]
    return choose(logits, histories, samplings, keys).tolist()


def told(place: Place, logits: Logits, window: int, id: int) -> Drawn:
    """The token that was drawn there from logits [V], with what its request wants to be told."""
    request = place.text.request
    if request.top is None:
        return Drawn(id)
    return Drawn(id, *look(logits, place.history(window), request.sampling, id, request.top))


def look(
    logits: Logits, history: History, sampling: Sampling, id: int, n: int
) -> tuple[Choice, tuple[Choice, ...]]:
    """The token that was drawn from logits [V] after that history, and the n likeliest."""
    logprobs, ranks, top_ids, top_logprobs = tell(logits[None], [id], [n])
    ids = [id, *top_ids[0].tolist()]
    model = np.append(logprobs, top_logprobs)
    filtered = model if sampling == UNCHANGED else distribution(logits, history, sampling)[ids]
    places = [int(ranks[0]), *range(1, len(ids))]
    drawn, *others = map(Choice, ids, model.tolist(), filtered.tolist(), places)
    return drawn, tuple(others)
