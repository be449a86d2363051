"""A text's tokens -> samples of how it goes on, in one call. Batch does the work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import Request
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.engine import Engine

PLAIN = Sampling()


def generate(
    engine: Engine,
    tokens: Sequence[int],
    samples: int | Iterable[int] = 1,
    *,
    length: int,
    seed: int = 0,
    sampling: Sampling = PLAIN,
    ends: Collection[int] = (),
    rows: int = 8,
) -> Iterator[list[int]]:
    """Continues a text of 1 token or more, once for each sample -> the new tokens of each sample,
    in order, as soon as it is complete.

    samples is how many, or their numbers: sample k of a seed is the same whichever others there
    are. Each has length tokens, or ends with one of ends. rows is how many are written at the same
    time, which changes only the speed. Raises UsageError at once for an impossible text or number,
    and later what Batch.step raises.
    """
    numbers = iter(range(samples) if isinstance(samples, int) else samples)
    batch = Batch(engine, min(rows, samples) if isinstance(samples, int) and samples else rows)
    written: dict[int, list[int]] = {}  # in order
    ended = set[int]()

    def begin() -> None:
        for number in islice(numbers, batch.rows - len(batch)):
            request = Request(number, tokens, (seed, number), sampling, length, frozenset(ends))
            batch.add(request)
            written[number] = []

    def complete() -> Iterator[list[int]]:
        while written:
            for token in batch.step():
                number = token.request.stream[-1]
                written[number].append(token.id)
                if token.ended:
                    ended.add(number)
            begin()
            while written and (first := next(iter(written))) in ended:
                ended.remove(first)
                yield written.pop(first)

    begin()
    return complete()
