"""A sample's tokens, one by one -> its text in whole characters, up to where it ends.

Knows neither the model nor the terminal.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Sequence

from gpt2_sampler.decoding.request import END_OF_TEXT, Request, Token
from gpt2_sampler.tokenizer.load import Tokenizer

STOP_TEXT = "stop text"
"""Why a text ended, besides the reasons that a Token gives."""
SPLIT = 8  # tokens at most that one character is spread over


class SampleText:
    """The text for a request. Add its tokens until one ends the text, or call end; take returns
    what has become certain."""

    def __init__(
        self,
        request: Request,
        vocabulary: Tokenizer,
        stops: Sequence[str] = (),
        start: SampleText | None = None,
    ) -> None:
        """start is the text that this one goes on from: the request is its rest()."""
        self.request = request
        self.tokens: list[int] = []  # without the end of text
        self.text = ""
        self.ended = ""  # why; "" while it goes on
        self._draws = 0
        self._stops = stops
        self._untaken = self._held = ""
        self._parts = deque[tuple[Token | None, int]]()
        """The tokens that are not taken yet, and how many characters each completed."""
        self._earlier: list[int] = []  # tokens of the texts before this one, since the prompt
        if start is not None:
            self._earlier = [*start._earlier, *start.tokens]
            self._untaken = start._held  # held back when that text ended
            self._parts.append((None, len(self._untaken)))
        again = self._earlier[-SPLIT:]  # the last may have left a character incomplete
        self._decoder = vocabulary.stream(request.tokens[: len(request.tokens) - len(again)])
        for token in again:
            self._decoder.push(token)

    @property
    def number(self) -> int:
        """Of the sample, from 0 on."""
        return self.request.stream[-1]

    def add(self, token: Token) -> None:
        self._draws += 1
        if token.ended == END_OF_TEXT:
            self.end(END_OF_TEXT)
            return
        self.tokens.append(token.id)
        piece = self._decoder.push(token.id)
        self._parts.append((token, len(piece)))
        self._held += piece
        found = first_stop(self._held, self._stops)
        if found is not None:
            self._release(found)
            self.ended = STOP_TEXT
            return
        self._release(len(self._held) - pending(self._held, self._stops))
        if token.ended:
            self.end(token.ended)

    def end(self, why: str) -> None:
        """Ends the text here unless it has ended before. Half a character is left out."""
        if not self.ended:
            self.ended = why
            self._release(len(self._held))

    def take(self) -> str:
        """The text since the last call."""
        return "".join([text for _, text in self.take_parts()])

    def take_parts(self) -> list[tuple[Token | None, str]]:
        """The same, token by token, each with the characters that it completed, which may be none.
        A token whose characters were partly held back comes again with the rest of them; None
        stands for the tokens of the text before."""
        taken, self._untaken = self._untaken, ""
        self.text += taken
        parts = []
        while self._parts and (taken or not self._parts[0][1]):
            token, n_characters = self._parts.popleft()
            if n_characters > len(taken):
                self._parts.appendleft((token, n_characters - len(taken)))
            parts.append((token, taken[:n_characters]))
            taken = taken[n_characters:]
        return parts

    def rest(self) -> Request:
        """The request that goes on where this text ended."""
        before = self.request
        return dataclasses.replace(
            before, tokens=[*before.tokens, *self.tokens], drawn=before.drawn + self._draws
        )

    def _release(self, n_characters: int) -> None:
        self._untaken += self._held[:n_characters]
        self._held = self._held[n_characters:]


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where a stop text begins in the text: of several, the one whose end comes first."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def pending(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of the text may be the beginning of a stop text."""
    return max(
        (
            length
            for stop in stops
            for length in range(1, min(len(stop), len(text) + 1))
            if text.endswith(stop[:length])
        ),
        default=0,
    )
