"""A sample's tokens -> what stdout is sent: plain text for a pipe, or lines that fit a terminal,
painted if that was asked for.

Knows what a terminal says about itself, and no samples.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TextIO

from gpt2_sampler.cli.flags.settings import ShowSettings
from gpt2_sampler.cli.session.terminal import harmless, wants_colour
from gpt2_sampler.decoding.request import END_OF_TEXT, Choice, Token
from gpt2_sampler.seeing.paint import COLOURS_256, TRUE_COLOUR, legend, paint_token
from gpt2_sampler.seeing.pieces import piece
from gpt2_sampler.seeing.ranks import surprise
from gpt2_sampler.seeing.wrap import Wrapper
from gpt2_sampler.tokenizer.load import Tokenizer


def colours(stream: TextIO) -> int:
    """How many colours the stream can show; 0 if none are wanted."""
    if not wants_colour(stream):
        return 0
    true_colour = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    return TRUE_COLOUR if true_colour or "direct" in os.environ.get("TERM", "") else COLOURS_256


def columns() -> int:
    """The width of the terminal that stdout leads to."""
    return shutil.get_terminal_size().columns


class Display:
    def __init__(self, settings: ShowSettings, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._colours = paints(settings)
        wrapped = sys.stdout.isatty() and not settings.nowrap
        self._wrapper = Wrapper(columns) if wrapped else None

    def add(self, parts: Iterable[tuple[Token | None, str]]) -> str:
        """parts are tokens, with the characters that each completed."""
        text = "".join([self._prepare(token, text) for token, text in parts])
        return self._wrapper.add(text) if self._wrapper else text

    def finish(self) -> str:
        """The text that was held back until its line was known."""
        return self._wrapper.finish() if self._wrapper else ""

    def _prepare(self, token: Token | None, text: str) -> str:
        if not (sys.stdout.isatty() or self._colours):
            return text
        choice: Choice | None = token.choice if token else None
        if not self._colours or token is None or choice is None or token.ended == END_OF_TEXT:
            return harmless(text)
        raw = self._tokenizer.decode_bytes([choice.id])
        shown = harmless(piece(raw, text))
        return paint_token(shown, surprise(choice.logprob), choice.rank, self._colours)


def paints(settings: ShowSettings) -> int:
    """The number of colours that samples are painted in, 0 if they are not."""
    return colours(sys.stdout) if settings.color else 0


def explain_colours(settings: ShowSettings) -> None:
    """Shows the legend if samples are painted."""
    if paints(settings) and (n := colours(sys.stderr)):
        print(legend(n), file=sys.stderr, flush=True)
