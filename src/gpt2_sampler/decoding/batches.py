"""A batch that the memory has no room for -> the same samples, in batches half as large.

Knows the decoding loop and when it failed, not why.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from gpt2_sampler.decoding.sampling import Draw, generate
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import OutOfMemory

log = logging.getLogger(__name__)


def generate_within_memory(
    engine: Engine,
    prompt: Sequence[int],
    samples: Iterable[int],
    *,
    length: int,
    rows: int = 1,
    drawn: int = 0,
    **options: Any,
) -> Iterator[Draw]:
    """generate, with its options, which goes on with half the rows when there is no room for all.

    A sample that was cut short goes on alone from its last token, in its own random stream: what
    was given is never given again. Raises OutOfMemory or MemoryError where one row has no room.
    """
    waiting = iter(samples)
    begun: dict[int, list[int]] = {}  # the tokens of each sample that has not ended

    def next_samples() -> Iterator[int]:
        for sample in waiting:
            begun[sample] = []
            yield sample

    def noted(draws: Iterator[Draw]) -> Iterator[Draw]:
        for draw in draws:
            begun[draw.sample].append(draw.token)
            if draw.last:
                del begun[draw.sample]
            yield draw

    while True:
        try:
            draws = generate(
                engine, prompt, next_samples(), length=length, rows=rows, drawn=drawn, **options
            )
            yield from noted(draws)
            return
        except (OutOfMemory, MemoryError):
            if rows == 1:
                raise
            log.warning("no room for %d texts at once; going on with %d", rows, rows // 2)
            rows //= 2
        waiting = chain([sample for sample, tokens in begun.items() if not tokens], waiting)
        begun = {sample: tokens for sample, tokens in begun.items() if tokens}
        for sample, tokens in list(begun.items()):
            draws = generate(
                engine,
                [*prompt, *tokens],
                [sample],
                length=length - len(tokens),
                drawn=drawn + len(tokens),
                **options,
            )
            yield from noted(draws)
