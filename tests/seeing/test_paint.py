"""Paint can be read by who sees no colours, and ends with its line."""

from __future__ import annotations

import itertools
import re

import pyte
import pytest

from gpt2_sampler.seeing.paint import (
    COLOURS_256,
    STYLES,
    TRUE_COLOUR,
    legend,
    paint_token,
)
from gpt2_sampler.seeing.ranks import NAMES

RANKS = [1, 11, 101, 1001]


def luminance(rgb: tuple[int, ...]) -> float:
    """Of WCAG 2.1."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in scaled(rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def scaled(rgb: tuple[int, ...]) -> list[float]:
    return [part / 255 for part in rgb]


def contrast(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def cell(text: str) -> pyte.screens.Char:
    """The first cell of a terminal that was given the text."""
    screen = pyte.Screen(20, 3)
    pyte.Stream(screen).feed(text)
    return screen.buffer[0][0]


@pytest.mark.parametrize("colours", [TRUE_COLOUR, COLOURS_256])
def test_each_class_has_marks_of_its_own(colours: int) -> None:
    cells = [cell(paint_token("x", 5, rank, colours)) for rank in RANKS]
    marks = [(c.bold, c.underscore) for c in cells]
    assert len(set(marks)) == len(RANKS)
    assert len({c.bg for c in cells}) == len(RANKS)


def test_each_class_is_darker_than_the_one_before() -> None:
    for lighter, darker in itertools.pairwise(STYLES):
        assert luminance(darker.deep) < luminance(lighter.deep)
        assert luminance(darker.pale) < luminance(lighter.pale)


def test_all_paint_can_be_read() -> None:
    for style in STYLES:
        assert min(contrast(style.ink, ground) for ground in (style.pale, style.deep)) >= 7


def test_what_is_less_likely_is_deeper() -> None:
    grounds = [cell(paint_token("x", bits, 1, TRUE_COLOUR)).bg for bits in (0, 3, 6, 12)]
    shades = [luminance(tuple(bytes.fromhex(ground))) for ground in grounds]
    assert shades == sorted(shades, reverse=True) and len(set(shades)) == 4
    assert paint_token("x", 12, 1, TRUE_COLOUR) == paint_token("x", float("inf"), 1, TRUE_COLOUR)


def test_paint_ends_with_the_line_and_a_break_is_seen() -> None:
    for line in paint_token("a\nb\n", 5, 1, TRUE_COLOUR).split("\n")[:-1]:
        assert line.endswith("\x1b[0m")
    assert "↵" in paint_token("\n", 5, 1, COLOURS_256)


def test_without_colours_nothing_is_changed() -> None:
    assert paint_token("a\nb", 5, 1, 0) == "a\nb"


def test_the_256_colours_are_of_the_cube() -> None:
    codes = re.findall(
        r"[34]8;5;(\d+)", "".join(paint_token("x", 5, r, COLOURS_256) for r in RANKS)
    )
    assert len(codes) == 8
    assert all(16 <= int(code) < 232 for code in codes)


def test_the_legend_names_each_class_in_its_paint() -> None:
    line = legend(TRUE_COLOUR)
    assert all(f" {name} " in line for name in NAMES)
    assert "\n" not in line
    assert len(re.sub(r"\x1b\[[\d;]*m", "", line)) < 80
