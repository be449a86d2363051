"""Bars and columns of figures, in blocks or in ASCII."""

from __future__ import annotations

from gpt2_sampler.seeing.bars import bar, fit, percent


def test_bars_grow_by_eighths_and_nothing_is_left_unseen() -> None:
    assert [bar(share, 2) for share in (0, 1e-9, 0.5, 0.5625, 1)] == ["", "▏", "█", "█▏", "██"]
    assert [bar(share, 4, blocks=False) for share in (0, 1e-9, 0.5, 1)] == ["", "#", "##", "####"]


def test_percentages_and_columns() -> None:
    assert list(map(percent, (0, 1e-5, 0.0123, 0.123, 1))) == [
        *("0.00%", "<0.01%", "1.23%", "12.3%", "100.0%")
    ]
    assert [fit(text, 4) for text in ("ab", "abcde", "国王国")] == ["ab  ", "abc…", "国… "]
