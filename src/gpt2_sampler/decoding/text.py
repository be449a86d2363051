"""A sample's tokens, one by one -> its text, as whole characters, up to where it ends.

Knows neither the model nor the terminal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gpt2_sampler.tokenizer.load import Vocabulary


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a sample goes on from: its tokens so far, the random numbers they took, and the text
    that was not shown because it ended there."""

    tokens: Sequence[int] = ()
    draws: int = 0
    unsaid: str = ""


BEGINNING = Start()


class SampleText:
    """One sample. Add tokens until one ends it, or call end; take shows what is certain."""

    def __init__(
        self,
        number: int,
        vocabulary: Vocabulary,
        stops: Sequence[str] = (),
        end_of_text: int | None = None,
        start: Start = BEGINNING,
        before: Sequence[int] = (),
    ) -> None:
        self.number = number
        self.start = start
        self.tokens: list[int] = []  # without end_of_text
        self.draws = 0
        self.text = ""
        self.ended = ""  # why it did
        self._stops = stops
        self._end_of_text = end_of_text
        self._decoder = vocabulary.stream(before)
        for token in start.tokens:  # the last may have left a character incomplete
            self._decoder.push(token)
        self._untaken, self._held = start.unsaid, ""

    def add(self, token: int) -> bool:
        """Whether the sample ends with this token."""
        self.draws += 1
        if token == self._end_of_text:
            self.end("end of text")
            return True
        self.tokens.append(token)
        self._held += self._decoder.push(token)
        found = first_stop(self._held, self._stops)
        if found is not None:
            self._release(found)
            self.ended = "stop text"
            return True
        self._release(len(self._held) - pending(self._held, self._stops))
        return False

    def end(self, why: str) -> None:
        """The sample ends here, if it has not ended before. Half a character is left out."""
        if not self.ended:
            self.ended = why
            self._release(len(self._held))

    def take(self) -> str:
        """The text since the last call."""
        taken, self._untaken = self._untaken, ""
        self.text += taken
        return taken

    def rest(self) -> Start:
        """Where the sample would go on from."""
        before = self.start
        return Start([*before.tokens, *self.tokens], before.draws + self.draws, self._held)

    def _release(self, n_characters: int) -> None:
        self._untaken += self._held[:n_characters]
        self._held = self._held[n_characters:]


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop text begins that is complete first, were the text read by characters."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def pending(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of the text could be the beginning of a stop text."""
    return max(
        (
            length
            for stop in stops
            for length in range(1, min(len(stop), len(text) + 1))
            if text.endswith(stop[:length])
        ),
        default=0,
    )
