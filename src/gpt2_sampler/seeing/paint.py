"""A token's text, probability and rank -> the text painted for a terminal.

Knows no terminal: how many colours one has is said by whoever knows it.

The colour tells the rank's class, its depth the probability. So that nothing depends on telling
red from green, each class is darker than the one before it and has a mark of its own as well: none,
underlined, bold and underlined, light on dark.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gpt2_sampler.seeing.ranks import NAMES, rank_class

TRUE_COLOUR, COLOURS_256 = 2**24, 256
RESET = "\x1b[0m"
Colour = tuple[int, int, int]


class Style(NamedTuple):
    """How a class is painted: behind its likeliest tokens and its unlikeliest, and on it."""

    pale: Colour
    deep: Colour
    ink: Colour
    marks: str


STYLES = (
    Style((232, 250, 232), (182, 234, 186), (0, 0, 0), ""),
    Style((255, 236, 150), (236, 198, 80), (0, 0, 0), "4;"),
    Style((250, 190, 160), (235, 140, 100), (0, 0, 0), "1;4;"),
    Style((120, 60, 150), (75, 20, 105), (255, 255, 255), "1;"),
)
"""Of the classes in ranks.NAMES. Any ink on any ground has a contrast of 7 or more."""
SURPRISE = 12  # bits, from which on the ground is as deep as it can be
CUBE = 0, 95, 135, 175, 215, 255  # the steps of red, green and blue in the 256 colours


def painted(text: str, bits: float, rank: int, colours: int) -> str:
    """The text of a token that comes as a surprise of so many bits. Without colours it is as it
    was; a line break is painted visibly, and stays one."""
    if not colours or not text:
        return text
    style = STYLES[rank_class(rank)]
    share = min(bits, SURPRISE) / SURPRISE
    ground = tuple(round(a + (b - a) * share) for a, b in zip(style.pale, style.deep, strict=True))
    begin = f"\x1b[{style.marks}{colour(38, style.ink, colours)};{colour(48, ground, colours)}m"
    # A line is not painted beyond its end: what the terminal scrolls in would be painted too.
    return re.sub(r"[^\n]+", lambda part: f"{begin}{part[0]}{RESET}", text.replace("\n", "↵\n"))


def colour(ground: int, rgb: tuple[int, ...], colours: int) -> str:
    """The parameters of the escape sequence: 38 is what is written with, 48 what on."""
    if colours >= TRUE_COLOUR:
        return f"{ground};2;{';'.join(map(str, rgb))}"
    red, green, blue = (min(range(6), key=lambda n: abs(CUBE[n] - part)) for part in rgb)
    return f"{ground};5;{16 + 36 * red + 6 * green + blue}"


def legend(colours: int) -> str:
    """One line that explains the paint, in 80 columns."""
    ranks = 1, 50, 500, 5_000
    shown = " ".join(
        painted(f" {name} ", SURPRISE / 2, rank, colours)
        for name, rank in zip(NAMES, ranks, strict=True)
    )
    return f"a token's rank: {shown} (deeper: less likely)"
