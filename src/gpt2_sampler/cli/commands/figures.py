"""A scored text -> lines on stdout: its figures, a row of a table, its tokens, or the painted text.

Knows no engine and no flags.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from gpt2_sampler.cli.session.display import colours, columns
from gpt2_sampler.cli.session.terminal import harmless, show
from gpt2_sampler.seeing.bars import bar, can_show_blocks, fit, percent
from gpt2_sampler.seeing.paint import legend, paint_token
from gpt2_sampler.seeing.pieces import quote
from gpt2_sampler.seeing.ranks import NAMES, surprise
from gpt2_sampler.seeing.scored import Scored
from gpt2_sampler.seeing.wrap import Wrapper

BAR = 40  # columns
BEGINNING = 60  # columns for a text's beginning, if stdout is not a terminal


def say(line: str) -> None:
    """Prints a line of the result."""
    show(f"{line}\n")


def figure_lines(text: Scored) -> Iterator[str]:
    yield f"perplexity     {number(text.perplexity, 4)}"
    yield f"bits per byte  {number(text.bits_per_byte, 4)}"
    yield f"logprob        {number(text.logprob, 4)} nats"
    yield f"tokens         {len(text.tokens):,}, scored {len(text.places):,}"
    blocks = can_show_blocks(sys.stdout.encoding)
    for name, count in zip(NAMES, text.classes, strict=True):
        share = count / max(1, len(text.places))
        yield f"{name:14} {percent(share):>6} {bar(share, BAR, blocks)}".rstrip()


def token_lines(text: Scored) -> Iterator[str]:
    """The log-probability and rank of each scored token, and the token."""
    for place, piece in zip(text.places, text.pieces[text.n_unscored :], strict=True):
        yield f"{place.logprob:10.4f} {place.rank:7,}  {quote(piece)}"


def word_lines(text: Scored) -> Iterator[str]:
    """The log-probability of each word, how many tokens it is, and the word."""
    for word, logprob in text.words():
        yield f"{number(logprob, 4):>10} {word.end - word.first:7,}  {quote(word.text)}"


def row(text: Scored) -> str:
    """A row of the table of texts. Lines, whose names are numbers, show their beginning too."""
    beginning = f": {''.join(text.pieces[:BEGINNING])}" if text.from_line else ""
    return join_columns(
        [
            number(text.perplexity, 2),
            number(text.bits_per_byte, 4),
            number(text.logprob, 2),
            f"{len(text.tokens):,}",
        ],
        text.name + beginning,
    )


def join_columns(cells: Sequence[str], text: str) -> str:
    numbers = "".join(f"{cell:>12}" for cell in cells)
    room = columns() - len(numbers) - 3 if sys.stdout.isatty() else BEGINNING
    return f"{numbers}  {fit(' '.join(text.split()), max(10, room))}".rstrip()


TITLES = "".join(f"{title:>12}" for title in ("perplexity", "bits/byte", "logprob", "tokens"))


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def explain_paint() -> None:
    """Shows the legend if there will be paint."""
    if n_colours := colours(sys.stdout):
        show(f"{legend(n_colours)}\n\n", made_harmless=True)


def paint(text: Scored, wrapped: bool) -> None:
    """Shows the text itself, without paint if stdout is a pipe."""
    n_colours = colours(sys.stdout)
    parts = list(map(harmless, text.pieces[: text.n_unscored]))
    for place, piece in zip(text.places, text.pieces[text.n_unscored :], strict=True):
        parts.append(paint_token(harmless(piece), surprise(place.logprob), place.rank, n_colours))
    whole = "".join(parts)
    if wrapped and sys.stdout.isatty():
        wrapper = Wrapper(columns)
        whole = wrapper.add(whole) + wrapper.finish()
    show(f"{whole}\n\n", made_harmless=True)
