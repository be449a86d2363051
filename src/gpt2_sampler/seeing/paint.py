"""A token's text, probability and rank -> the text painted for a terminal.

The colour shows the class of the rank, its depth the probability. So that nothing depends on
telling red from green, each class is darker than the one before and has a mark of its own: none,
underlined, bold and underlined, light on dark. Does not know how many colours a terminal has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gpt2_sampler.seeing.ranks import NAMES, rank_class

TRUE_COLOUR, COLOURS_256 = 2**24, 256
RESET = "\x1b[0m"
Colour = tuple[int, int, int]


class Style(NamedTuple):
    """How a class is painted: the ground of its likeliest and unlikeliest tokens, and the ink."""

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
"""For the classes in ranks.NAMES. The contrast of ink and ground is at least 7 everywhere."""
SURPRISE = 12  # bits, from which on the ground does not get deeper
CUBE = 0, 95, 135, 175, 215, 255  # the levels of red, green and blue among the 256 colours


def paint_token(text: str, bits: float, rank: int, colours: int) -> str:
    """The text of a token with that many bits of surprise, unchanged if there are no colours. A
    line break is made visible, and still breaks the line."""
    if not colours or not text:
        return text
    style = STYLES[rank_class(rank)]
    share = min(bits, SURPRISE) / SURPRISE
    ground = tuple(round(a + (b - a) * share) for a, b in zip(style.pale, style.deep, strict=True))
    begin = f"\x1b[{style.marks}{colour(38, style.ink, colours)};{colour(48, ground, colours)}m"
    # Painting stops at the end of a line, since a terminal would fill new lines with the colour.
    return re.sub(r"[^\n]+", lambda part: f"{begin}{part[0]}{RESET}", text.replace("\n", "↵\n"))


def colour(ground: int, rgb: tuple[int, ...], colours: int) -> str:
    """The parameters of the escape sequence; 38 sets the ink, 48 the ground."""
    if colours >= TRUE_COLOUR:
        return f"{ground};2;{';'.join(map(str, rgb))}"
    red, green, blue = (min(range(6), key=lambda n: abs(CUBE[n] - part)) for part in rgb)
    return f"{ground};5;{16 + 36 * red + 6 * green + blue}"


def legend(colours: int) -> str:
    """One line that explains the paint, in 80 columns."""
    ranks = 1, 50, 500, 5_000
    shown = " ".join(
        paint_token(f" {name} ", SURPRISE / 2, rank, colours)
        for name, rank in zip(NAMES, ranks, strict=True)
    )
    return f"a token's rank: {shown} (deeper: less likely)"
