"""Lines fit, break where they may, and are the same however the text comes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from gpt2_sampler.seeing.wrap import Wrapper

texts = st.text(st.sampled_from("abc  \n\t国，。é😀\u0301"), max_size=80)


def wrapped(parts: list[str], width: int) -> str:
    wrapper = Wrapper(lambda: width)
    return "".join([wrapper.add(part) for part in parts]) + wrapper.finish()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("once upon a time", ["once upon", "a time"]),
        ("exactly 10 more", ["exactly 10", "more"]),
        ("a verylongwordindeed b", ["a", "verylongwo", "rdindeed b"]),
        ("从前有一个国王，他有女儿", ["从前有一个", "国王，他有", "女儿"]),
        ("有一个国王，他", ["有一个国", "王，他"]),
        ("ab从前有一个国王", ["ab从前有一", "个国王"]),
        ("  two\n\n    four x", ["  two", "", "    four x"]),
        ("e\u0301" * 11, ["e\u0301" * 10, "e\u0301"]),
        ("", [""]),
    ],
)
def test_lines_break_between_words_and_wide_characters(text: str, lines: list[str]) -> None:
    assert wrapped([text], 10).split("\n") == lines


@given(texts, st.integers(2, 20), st.data())
def test_text_in_any_pieces_gives_the_same_lines(
    text: str, width: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert wrapped(parts, width) == wrapped([text], width)


@given(texts, st.integers(2, 20))
def test_nothing_but_spaces_and_breaks_is_changed(text: str, width: int) -> None:
    assert "".join(wrapped([text], width).split()) == "".join(text.split())


@given(texts.map(lambda text: re.sub("[，。\t]", "国", text)), st.integers(2, 20))
def test_lines_fit(text: str, width: int) -> None:
    """But for spaces at their ends."""
    for line in wrapped([text], width).split("\n"):
        assert wcswidth(line.rstrip(" ")) <= width


def test_a_word_is_written_as_soon_as_it_is_known_to_fit() -> None:
    wrapper = Wrapper(lambda: 10)
    assert [wrapper.add(part) for part in ("once", " up", "on", " a", " long")] == [
        *("", "once", "", " upon", "\na")
    ]
    assert wrapper.finish() == " long"


def test_lines_follow_the_width() -> None:
    widths = iter([20] * 12 + [5] * 99)
    wrapper = Wrapper(lambda: next(widths))
    text = wrapper.add("aaaa bbbb cccc dddd ") + wrapper.finish()
    assert "\n" in text


def test_a_tab_goes_to_the_next_column_of_eight() -> None:
    assert wrapped(["国\taa"], 10) == "国\taa"
    assert wrapped(["国\taaa"], 10) == "国\naaa"


def test_paint_takes_no_room_and_does_not_reach_over_a_break() -> None:
    text = "\x1b[4mone two\x1b[0m\x1b[1m six\x1b[0m"
    lines = wrapped([text], 6).split("\n")
    assert lines == ["\x1b[4mone\x1b[0m", "\x1b[4mtwo\x1b[0m", "\x1b[1msix\x1b[0m"]
    assert wrapped([text], 7).split("\n")[0] == "\x1b[4mone\x1b[0m\x1b[4m two\x1b[0m"
