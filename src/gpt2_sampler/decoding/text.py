"""A sample's tokens, one by one -> its text in whole characters, up to where it ends.

Knows neither the model nor the terminal.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from gpt2_sampler.decoding.request import END_OF_TEXT, Choice, Request, Token
from gpt2_sampler.decoding.stops import Stops
from gpt2_sampler.errors import UsageError
from gpt2_sampler.tokenizer.load import Tokenizer

STOP_TEXT, STOPPED = "stop text", "stopped"
"""Why a text ended, besides the reasons that a Token gives."""
SPLIT = 8  # tokens at most that one character is spread over


class Piece(NamedTuple):
    """What a step has added to a text."""

    text: Text
    characters: str
    """Whole ones, and never part of a stop text."""
    tokens: list[tuple[Token | None, str]]
    """The tokens that completed these characters, each with its own, which may be none. A token
    waits until all of its characters are certain; None stands for the tokens of the text before."""
    ended: str
    """Why the text has ended; "" while it goes on."""


class Text:
    """What is written for a request. Add its tokens until one ends the text, or call end; take
    returns what has become certain."""

    def __init__(
        self,
        request: Request,
        tokenizer: Tokenizer | None = None,
        stops: Sequence[str] = (),
        start: Text | None = None,
    ) -> None:
        """start is the text that this one goes on from: the request is its rest(). Without a
        tokenizer there are tokens and no characters."""
        self.request = request
        self.tokens: list[int] = []
        """New ones, without the end of text."""
        self.choices: list[Choice] = []
        """What was told of each of them, where the request asked for it."""
        self.characters = ""
        """All that was taken."""
        self.ended = ""
        """Why it has ended; "" while it goes on."""
        self.first_time = self.last_time = 0.0
        """When its first and its last token came, in seconds of time.monotonic()."""
        self._stops = Stops(stops)
        self._untaken = self._held = ""
        self._parts = deque[tuple[Token | None, int]]()
        """The tokens that are not taken yet, and how many characters each completed."""
        self._earlier: list[int] = []  # tokens of the texts before this one, since the prompt
        if start is not None:
            self._earlier = [*start._earlier, *start.tokens]
            self._untaken = start._held  # held back when that text ended
            self._parts.append((None, len(self._untaken)))
        self._decoder = None
        if tokenizer is not None:
            again = self._earlier[-SPLIT:]  # the last may have left a character incomplete
            before = request.tokens[: len(request.tokens) - len(again)]
            self._decoder = tokenizer.stream(before)
            for token in again:
                self._decoder.push(token)

    @property
    def id(self) -> Hashable:
        return self.request.id

    @property
    def number(self) -> int:
        """The sample's number, from 0 on."""
        return self.request.stream[-1]

    def add(self, token: Token) -> None:
        """Takes the next token, which may end the text."""
        self.last_time = time.monotonic()
        self.first_time = self.first_time or self.last_time
        if token.drawn and token.ended != END_OF_TEXT:
            self._write(token)
        else:
            self._parts.append((token, 0))
        if token.ended:
            self.end(token.ended)

    def _write(self, token: Token) -> None:
        self.tokens.append(token.id)
        if token.choice is not None:
            self.choices.append(token.choice)
        characters = self._decoder.push(token.id) if self._decoder is not None else ""
        self._parts.append((token, len(characters)))
        self._held += characters
        found = self._stops.find(self._held)
        if found is not None:
            self._release(found)
            self.ended = STOP_TEXT
        else:
            self._release(len(self._held) - self._stops.pending(self._held))

    def end(self, why: str = STOPPED) -> None:
        """Ends the text here unless it has ended before. Half a character is left out."""
        if not self.ended:
            self.ended = why
            self._release(len(self._held))

    def take(self) -> Piece:
        """What there is since the last call: whole tokens, but for one that a stop text cuts."""
        taken, tokens = self._untaken, list[tuple[Token | None, str]]()
        while self._parts and (n_characters := self._parts[0][1]) <= len(taken):
            token, _ = self._parts.popleft()
            tokens.append((token, taken[:n_characters]))
            taken = taken[n_characters:]
        if self.ended and taken:
            tokens.append((self._parts.popleft()[0], taken))
            taken = ""
        self._untaken = taken
        characters = "".join([text for _, text in tokens])
        self.characters += characters
        return Piece(self, characters, tokens, self.ended)

    def rest(self) -> Request:
        """The request that goes on where this text has come to."""
        n_draws = len(self.tokens) + (self.ended == END_OF_TEXT)
        if not n_draws:
            return self.request
        before = self.request
        return dataclasses.replace(
            before, tokens=[*before.tokens, *self.tokens], drawn=before.drawn + n_draws
        )

    def _release(self, n_characters: int) -> None:
        self._untaken += self._held[:n_characters]
        self._held = self._held[n_characters:]


def encode_prompt(
    prompt: str,
    tokenizer: Tokenizer,
    n_vocab: int,
    special_tokens: bool | None = None,
    source: str = "the prompt",
) -> list[int]:
    """A prompt's tokens, 1 or more. Raises UsageError, which names the source, for a prompt that
    the model cannot continue."""
    tokens = tokenizer.encode(prompt, special_tokens=special_tokens)
    if unknown := [token for token in tokens if token >= n_vocab]:
        raise UsageError(
            f"the model has no weights for {tokenizer.decode(unknown[:1])!r} in {source}, "
            f"token {unknown[0]} of {n_vocab}"
        )
    if not tokens:
        raise UsageError(f"nothing of {source} is in the model's vocabulary")
    return tokens
