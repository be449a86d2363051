"""Text as it comes, and the texts to stop at -> where one begins, or how much may yet become one.

Knows no tokens.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class Stops:
    """Looks up thousands of long texts as fast as a few short ones."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts: list[str] = []
        """Sorted; without those that begin with another one, which ends first."""
        for text in sorted(texts):
            if not (self._texts and text.startswith(self._texts[-1])):
                self._texts.append(text)

    def find(self, text: str) -> int | None:
        """Where a stop text begins: of several, the one whose end comes first."""
        if not self._texts:
            return None
        first, end = None, len(text) + 1
        at = 0
        while at < min(end, len(text)):
            rest = text[at:end]
            stop = self._texts[bisect_right(self._texts, rest) - 1]
            if rest.startswith(stop) and at + len(stop) < end:
                first, end = at, at + len(stop)
            at += 1
        return first

    def pending(self, text: str) -> int:
        """How many characters at the end of the text may be the beginning of a stop text."""
        for at in range(len(text)):
            rest = text[at:]
            place = bisect_left(self._texts, rest)
            if place < len(self._texts) and self._texts[place].startswith(rest):
                return len(text) - at
        return 0
