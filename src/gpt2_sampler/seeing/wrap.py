"""Text as it comes -> the same text in lines that fit a terminal. Knows no terminal and no samples.

Lines break between words, and between characters that are two columns wide, as in Chinese and
Japanese. A word is held back until it is complete, because only then is it known where it belongs.
Escape sequences that paint (SGR) take no columns.
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
    """Write out what add returns for each piece of text and, at the end, what finish returns."""

    def __init__(self, width: Callable[[], int]) -> None:
        """width returns the terminal's columns, which may change."""
        from wcwidth import wcwidth  # its tables take a while to load, and pipes need none

        self._columns = wcwidth
        self._width = width
        self._column = 0
        self._style = ""
        self._spaces: list[Cell] = []
        self._word: list[Cell] = []  # held back, as are the spaces before it

    def add(self, text: str) -> str:
        return "".join(map(self._atom, ATOM.findall(text)))

    def finish(self) -> str:
        """The text that was held back."""
        written = self._place() + render(self._spaces)
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
        if self._word and room(self._word) + columns > self._width():  # longer than any line
            written += self._place()
        self._word.append(Cell(self._style, atom, columns))
        return written

    def _place(self) -> str:
        """The word, after the spaces or, if it does not fit, after a line break instead."""
        if not self._word:
            return ""
        before = self._column + room(self._spaces)
        if before and before + room(self._word) > self._width():
            written, self._column = "\n" + render(self._word), room(self._word)
        else:
            written = render([*self._spaces, *self._word])
            self._column = before + room(self._word)
        self._spaces, self._word = [], []
        return written


def room(cells: Iterable[Cell]) -> int:
    return sum(cell.columns for cell in cells)


def render(cells: Iterable[Cell]) -> str:
    """Each run of cells of one style, between its escape sequence and a reset."""
    parts = []
    for style, run in itertools.groupby(cells, key=lambda cell: cell.style):
        text = "".join(cell.character for cell in run)
        parts.append(f"{style}{text}{RESET}" if style else text)
    return "".join(parts)
