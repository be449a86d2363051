"""A request under way: its latest tokens, and the places at which its next ones are drawn.

Knows no engine and no rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from gpt2_sampler.decoding.choose import choose, tell
from gpt2_sampler.decoding.logits import Logits, check_numbers
from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.request import (
    END_OF_TEXT,
    LENGTH_REACHED,
    Choice,
    Request,
    Token,
)
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.window import in_window, that_matter

KEYS_AT_ONCE = 16  # places


class Progress:
    """How far a request has come. Its tokens are the latest ones, as many as matter."""

    def __init__(self, request: Request, tokens: list[int], window: int, order: int) -> None:
        """order is the number of the request among all that have come."""
        first = len(tokens) if request.tell_from is None else request.tell_from
        self.request = request
        self.window = window
        self.order = order
        self.tokens = tokens[:first]
        self.own = deque(tokens[first:])
        """The request's own tokens that are still to be read and told."""
        self.ready = deque[Token]()
        """What comes next, once it is asked for."""
        self.drawn = 0
        """New tokens."""
        self._keys = dict[int, int]()

    @property
    def left(self) -> int:
        """How many new tokens are still to come, at most."""
        return self.request.length - self.drawn

    @property
    def n_in_window(self) -> int:
        """How many of the tokens the model is to see."""
        return in_window(len(self.tokens), self.window)

    @property
    def window_tokens(self) -> list[int]:
        return self.tokens[-self.n_in_window :]

    def add(self, token: Token) -> None:
        """Once in a while it also forgets what cannot matter any more."""
        self.tokens.append(token.id)
        if token.drawn:
            self.drawn += 1
        else:
            self.own.popleft()
        if len(self.tokens) > 4 * self.window:
            self.tokens = self.tokens[-that_matter(len(self.tokens), self.window) :]

    def key(self, place: int) -> int:
        """What fixes the noise at a place of the request's stream. Some places' are found at once:
        between two steps SHA-256's code leaves the processor's cache, and fetching it takes longer
        than running it."""
        if place not in self._keys:
            stream = self.request.stream
            self._keys = {n: key(stream, n) for n in range(place, place + KEYS_AT_ONCE)}
        return self._keys[place]

    def why_ended(self, token: Token) -> str:
        """Why, if the request ended with this token, its latest; else ""."""
        if token.drawn and token.id in self.request.ends:
            return END_OF_TEXT
        return "" if self.own or self.left else LENGTH_REACHED


class Spot(NamedTuple):
    """Where a token is drawn: after a request's tokens, and those that are thought to follow."""

    progress: Progress
    following: Sequence[int] = ()

    @property
    def own_token(self) -> int | None:
        """The token that stands there, if it is one of the request's own."""
        n, own = len(self.following), self.progress.own
        return own[n] if n < len(own) else None

    @property
    def place(self) -> int:
        """How many draws of the stream come before."""
        p = self.progress
        return p.request.drawn - len(p.own) + p.drawn + len(self.following)

    @property
    def key(self) -> int:
        """What fixes the noise there."""
        return self.progress.key(self.place)

    @property
    def history(self) -> History:
        """The tokens that penalties look at."""
        if not self.progress.request.sampling.looks_back:
            return History()
        tokens = [*self.progress.tokens, *self.following][-self.progress.window :]
        return History(tokens, min(max(0, self.place), len(tokens)))


def draw(spots: Sequence[Spot], logits: Logits, threads: int) -> list[int]:
    """The token at each spot: drawn, from logits [B, V], unless it is known. Raises CheckpointError
    for logits that are no numbers."""
    ids = [spot.own_token for spot in spots]
    unknown = [n for n, id in enumerate(ids) if id is None]
    if len(unknown) < len(spots):
        check_numbers(logits)
    if unknown:
        drawn = choose(
            logits if len(unknown) == len(spots) else logits[unknown],
            [spots[n].history for n in unknown],
            [spots[n].progress.request.sampling for n in unknown],
            np.array([spots[n].key for n in unknown], np.uint64),
            threads,
        )
        for n, id in zip(unknown, drawn.tolist(), strict=True):
            ids[n] = id
    return cast(list[int], ids)


def look(spots: Sequence[Spot], logits: Logits, ids: Sequence[int], threads: int) -> list[Token]:
    """The token that stands at each spot, from logits [B, V], with what its request wants to be
    told of it."""
    tokens = [
        Token(spot.progress.request, id, "", drawn=spot.own_token is None)
        for spot, id in zip(spots, ids, strict=True)
    ]
    told = [n for n, t in enumerate(tokens) if t.request.top is not None or not t.drawn]
    if not told:
        return tokens
    tops = [tokens[n].request.top or 0 for n in told]
    standing = tell(
        logits if len(told) == len(spots) else logits[told],
        [spots[n].history for n in told],
        [tokens[n].request.sampling for n in told],
        [ids[n] for n in told],
        tops,
        threads,
    )
    for n, top, logprob, rank, best, logprobs, own_filtered, filtered in zip(
        told, tops, *(array.tolist() for array in standing), strict=True
    ):
        likeliest = map(Choice, best[:top], logprobs, filtered, range(1, top + 1))
        choice = Choice(ids[n], logprob, own_filtered, rank)
        tokens[n] = tokens[n]._replace(choice=choice, top=tuple(likeliest))
    return tokens
