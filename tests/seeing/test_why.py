"""What a place could have been, before and after the settings."""

from __future__ import annotations

import math

from gpt2_sampler.decoding.request import Choice
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.seeing.bars import columns
from gpt2_sampler.seeing.why import explain

INFINITE = float("inf")
LIKELY = Choice(5, math.log(0.6), math.log(0.8), 1)
RARE = Choice(7, math.log(0.1), math.log(0.2), 2)
CUT = Choice(11, math.log(0.05), -INFINITE, 3)


def look(token: int) -> str:
    return {5: '" king"', 7: '"王"'}.get(token, str(token))


def test_the_token_that_was_drawn_is_marked_and_what_was_cut_says_so() -> None:
    head, *lines = explain(RARE, [LIKELY, RARE, CUT], Sampling(0.7, top_k=2), look)
    assert "temperature 0.7, top_k 2" in head
    assert [line[0] for line in lines] == [" ", ">", " "]
    assert [line.split()[0 if line[0] == " " else 1] for line in lines] == ["1", "2", "3"]
    assert "60.0%" in lines[0] and "80.0%" in lines[0]
    assert lines[2].endswith("cut")
    assert lines[0].count("█") > lines[1].count("█")


def test_a_token_that_is_not_among_the_likeliest_comes_after_them() -> None:
    lines = explain(CUT._replace(rank=1234), [LIKELY, RARE], Sampling(), look)
    assert [line[0] for line in lines] == [" ", " ", ">"]
    assert "1,234" in lines[-1]


def test_without_settings_there_is_one_column() -> None:
    lines = explain(LIKELY, [LIKELY, RARE], Sampling(), look)
    assert len(lines) == 2 and all(line.count("%") == 1 for line in lines)


def test_lines_fit_80_columns_with_wide_characters_and_line_up() -> None:
    def wide(token: int) -> str:
        return "国王" * 20 if token == 5 else "k"

    lines = explain(LIKELY, [LIKELY, RARE, CUT], Sampling(0.7, 2, 0.9, 1.5, 4), wide)[1:]
    assert max(map(columns, lines)) <= 80
    assert len({columns(line[: line.index("%")]) for line in lines}) == 1
