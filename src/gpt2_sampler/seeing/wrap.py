"""Text as it comes -> the same in lines that fit a terminal. Knows no terminal, and no samples.

Lines break between words, and between any two characters that are two columns wide, as Chinese and
Japanese do. A word is held until it is complete, as only then it is known where it goes. Escape
sequences that paint (SGR) take no room.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

ATOM = re.compile(r"\x1b\[[\d;]*m|.", re.DOTALL)
RESET = "\x1b[0m"
TAB = 8  # columns
NO_LINE_BEGINS_WITH = frozenset("、。，．：；！？）］｝〉》」』】〕〗’”…‥・ー々")


class Cell(NamedTuple):
    style: str
    """The escape sequence before it, "" for none."""
    character: str
    columns: int


class Wrapper:
    """Add text, and write what that gives; at the end, what finish gives."""

    def __init__(self, width: Callable[[], int]) -> None:
        """width gives the terminal's columns, which may change."""
        from wcwidth import wcwidth  # its tables take a while; no pipe needs them

        self._columns = wcwidth
        self._width = width
        self._column = 0
        self._style = ""
        self._spaces: list[Cell] = []
        self._word: list[Cell] = []  # after the spaces

    def add(self, text: str) -> str:
        return "".join(map(self._atom, ATOM.findall(text)))

    def finish(self) -> str:
        """What was held."""
        written = self._place() + rendered(self._spaces)
        self._spaces = []
        return written

    def _atom(self, atom: str) -> str:
        if len(atom) > 1:
            self._style = "" if atom == RESET else atom
            return ""
        if atom == "\n":
            written = self.finish()
            self._column = 0
            return f"{written}\n"
        if atom in " \t":
            written = self._place()
            at = self._column + room(self._spaces)
            self._spaces.append(Cell(self._style, atom, TAB - at % TAB if atom == "\t" else 1))
            return written
        columns = max(0, self._columns(atom))
        apart = columns == 2 and atom not in NO_LINE_BEGINS_WITH
        written = self._place() if apart else ""
        if self._word and room(self._word) + columns > self._width():  # no line is long enough
            written += self._place()
        self._word.append(Cell(self._style, atom, columns))
        return written

    def _place(self) -> str:
        """The word, and before it the spaces, or else a line break instead of them."""
        if not self._word:
            return ""
        before = self._column + room(self._spaces)
        if before and before + room(self._word) > self._width():
            written, self._column = "\n" + rendered(self._word), room(self._word)
        else:
            written = rendered([*self._spaces, *self._word])
            self._column = before + room(self._word)
        self._spaces, self._word = [], []
        return written


def room(cells: Iterable[Cell]) -> int:
    return sum(cell.columns for cell in cells)


def rendered(cells: Iterable[Cell]) -> str:
    """Each run of one style begins with it and ends with none."""
    parts = []
    for style, run in itertools.groupby(cells, key=lambda cell: cell.style):
        text = "".join(cell.character for cell in run)
        parts.append(f"{style}{text}{RESET}" if style else text)
    return "".join(parts)
