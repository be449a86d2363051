"""What bench_decode.py measured -> tables, and what was asked for beside what was got."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

Results = dict[str, dict[str, float]]
"""Program -> what was measured -> median."""

INT8, FLOAT32 = "gpt2-sampler int8", "gpt2-sampler float32"
Q8_0, F32 = "llama.cpp q8_0", "llama.cpp f32"
CT2_INT8, CT2_FLOAT32 = "CTranslate2 int8", "CTranslate2 float32"

RACES = (  # ours, another program, a speed, how many times as fast at least
    (INT8, Q8_0, "8 x 1024 tokens/s", 3),
    (INT8, CT2_INT8, "8 x 1024 tokens/s", 8),
    (FLOAT32, F32, "8 x 1024 tokens/s", 1.3),
    (FLOAT32, CT2_FLOAT32, "8 x 1024 tokens/s", 2.5),
    (INT8, Q8_0, "32 x 256 tokens/s", 2.5),
    (INT8, Q8_0, "1 x 128 tokens/s", 1.6),
    (INT8, Q8_0, "1 x 1000 tokens/s", 1.7),
    (INT8, CT2_INT8, "prompt 512 tokens/s", 1),
    (INT8, CT2_INT8, "prompt 1000 tokens/s", 1),
    (FLOAT32, CT2_FLOAT32, "prompt 512 tokens/s", 1),
    (FLOAT32, CT2_FLOAT32, "prompt 1000 tokens/s", 1),
)
SLOPES = (  # ours, a time late in a text, one early, how many times as long at most
    (INT8, "8 at 900 ms", "8 at 100 ms", 1.8),
    (INT8, "1 at 1000 ms", "1 at 100 ms", 1.3),
    (FLOAT32, "1 at 1000 ms", "1 at 100 ms", 1.15),
)
LEAST = ((INT8, "8 x 1024 limit %", 50),)
MOST = (
    (INT8, "first s", 0.35),
    (FLOAT32, "first s", 0.45),
    (INT8, "1 x 1000 MB", 320),
    (INT8, "8 x 1024 MB", 450),
    (INT8, "prompt 1000 MB", 330),
    (INT8, "1 x 128 choosing %", 5),
    (INT8, "1 x 128 choosing of all %", 10),
)


class Column(NamedTuple):
    heading: str
    key: str
    digits: int = 0


RUNS = ((1, 128), (1, 1000), (8, 1024), (32, 256))
TABLES: dict[str, tuple[Column, ...]] = {
    "Texts from an empty prompt, tokens/s; % of what memory allows": (
        *(Column(f"{rows} x {n:,}", f"{rows} x {n} tokens/s") for rows, n in RUNS),
        *(Column(f"% {rows} x {n:,}", f"{rows} x {n} limit %") for rows, n in RUNS),
    ),
    "A step of so many texts at a position, ms": tuple(
        Column(f"{rows} at {position:,}", f"{rows} at {position} ms", 1)
        for rows in (1, 8, 16, 32)
        for position in (100, 500, 900, 1000)
    ),
    "Reading a prompt, tokens/s; process start to first token, s; choosing, % of a step, with "
    "top_k 40 and of all tokens": (
        Column("prompt 512", "prompt 512 tokens/s"),
        Column("prompt 1,000", "prompt 1000 tokens/s"),
        Column("first s", "first s", 2),
        Column("choosing %", "1 x 128 choosing %", 1),
        Column("of all %", "1 x 128 choosing of all %", 1),
    ),
    "Peak memory, MB": (
        Column("1 x 1,000", "1 x 1000 MB"),
        Column("8 x 1,024", "8 x 1024 MB"),
        Column("prompt 1,000", "prompt 1000 MB"),
    ),
}


def tables(results: Results) -> Iterator[str]:
    """Columns and programs of which nothing was measured are left out."""
    for title, columns in TABLES.items():
        shown = [c for c in columns if any(c.key in measured for measured in results.values())]
        rows = {
            name: [cell(measured, column) for column in shown]
            for name, measured in results.items()
            if any(column.key in measured for column in shown)
        }
        if rows:
            yield f"{title}:"
            yield from lines([c.heading for c in shown], rows)
            yield ""


def cell(measured: dict[str, float], column: Column) -> str:
    return f"{measured[column.key]:,.{column.digits}f}" if column.key in measured else "-"


def lines(headings: Sequence[str], rows: dict[str, list[str]]) -> Iterator[str]:
    first = max(map(len, rows))
    widths = [
        max(len(heading), *(len(cells[n]) for cells in rows.values())) + 3
        for n, heading in enumerate(headings)
    ]
    for name, cells in {"": list(headings), **rows}.items():
        padded = (f"{text:>{width}}" for text, width in zip(cells, widths, strict=True))
        yield f"{name:{first}}" + "".join(padded)


def targets(results: Results) -> Iterator[str]:
    """What was asked for and what was got, of which both sides were measured."""
    have = {(name, key) for name, measured in results.items() for key in measured}
    for ours, theirs, key, asked in RACES:
        if {(ours, key), (theirs, key)} <= have:
            times = results[ours][key] / results[theirs][key]
            yield verdict(f"{ours} / {theirs}, {key}", asked, times, "x", 1)
    for ours, late, early, asked in SLOPES:
        if {(ours, late), (ours, early)} <= have:
            times = results[ours][late] / results[ours][early]
            yield verdict(f"{ours}, {late} / {early}", asked, times, "x", -1)
    for sign, values in ((1, LEAST), (-1, MOST)):
        for ours, key, asked in values:
            if (ours, key) in have:
                yield verdict(f"{ours}, {key}", asked, results[ours][key], "", sign)


def verdict(what: str, asked: float, got: float, unit: str, sign: int) -> str:
    bound = "at least" if sign == 1 else "at most"
    met = "" if sign * got >= sign * asked else "  MISSED"
    return f"{what}: asked {bound} {asked:g}{unit}, got {got:.3g}{unit}{met}"
