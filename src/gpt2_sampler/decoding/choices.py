"""A text that was drawn -> the choices there were at each of its places.

Batch can tell the same while it draws; this is for afterwards. Knows an engine, no text, no files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpt2_sampler.decoding.logits import check_numbers
from gpt2_sampler.decoding.request import Choice, look
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.score import PIECE
from gpt2_sampler.decoding.window import checked, in_window
from gpt2_sampler.engines.engine import Engine


def choices(
    engine: Engine, tokens: Sequence[int], first: int, sampling: Sampling, top: int
) -> Iterator[tuple[Choice, tuple[Choice, ...]]]:
    """For each token from the first on, which has 1 before it or more: that token, and the top
    likeliest in its place. Past the window the model sees what it saw when the text was drawn.

    Raises UsageError for a token that the model does not have.
    """
    window = engine.hparams.n_ctx
    text = checked(tokens, engine.hparams.n_vocab)
    cache = engine.new_cache(1)
    begun, read = 0, 0  # where in the text the row's slots begin, and what they hold ends
    at = first
    while at < len(text):
        start = seen_from(at, window)
        last = at + 1  # places from at to here are read together
        while last < min(at + PIECE, len(text)) and seen_from(last, window) == start:
            last += 1
        if start != begun:
            begun = read = start
        n = last - 1 - read
        logits = engine.forward(
            cache, text[read : last - 1], [0] * n, range(read - begun, last - 1 - begun),
            range(n - (last - at), n),
        )  # fmt: skip
        check_numbers(logits)
        for place, row in zip(range(at, last), logits, strict=True):
            seen = text[max(0, place - window) : place]
            history = History(seen, min(place - first, len(seen)))
            yield look(row, history, sampling, text[place], top)
        at, read = last, last - 1


def seen_from(place: int, window: int) -> int:
    """The first token that the model saw when it chose the one at this place."""
    return place - in_window(place, window)
