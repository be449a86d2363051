"""The choices at a place of a text -> a table with bars, before and after the sampling settings.

Knows no engine and no terminal.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from gpt2_sampler.decoding.request import Choice
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.seeing.bars import bar, fit, percent

TOKEN, BAR = 22, 14  # columns


def explain(
    drawn: Choice,
    top: Sequence[Choice],
    sampling: Sampling,
    look: Callable[[int], str],
    blocks: bool = True,
) -> list[str]:
    """A line for each choice, with a mark at the one that was drawn. look shows a token as text."""
    settings = describe(sampling)
    lines = []
    if settings:
        lines.append(f"{'':8}{fit('', TOKEN)}{'the model':{9 + BAR}}  {settings}")
    rows = list(top) if any(choice.id == drawn.id for choice in top) else [*top, drawn]
    for choice in rows:
        mark = ">" if choice.id == drawn.id else " "
        line = f"{mark}{choice.rank:>6,} {fit(look(choice.id), TOKEN)}"
        line += measure(math.exp(choice.logprob), blocks)
        if settings:
            share = math.exp(choice.filtered)
            line += "  " + (measure(share, blocks) if share else f"{'cut':>7}")
        lines.append(line.rstrip())
    return lines


def measure(share: float, blocks: bool) -> str:
    return f"{percent(share):>7} {bar(share, BAR, blocks):{BAR}} "


def describe(sampling: Sampling) -> str:
    """The settings that differ from their defaults."""
    changed = [
        f"{field.name} {getattr(sampling, field.name):g}"
        for field in dataclasses.fields(sampling)
        if getattr(sampling, field.name) != field.default
    ]
    return ", ".join(changed)
