"""The rows of an engine's cache: what each holds, whose it is, and what it can copy from another.

Knows no logits and draws nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count

from gpt2_sampler.decoding.progress import Progress
from gpt2_sampler.decoding.reading import WORTH_COPYING, count_shared
from gpt2_sampler.engines.engine import Engine


class Row:
    """A row of the engine's cache: the tokens that its slots hold, and whose they are."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.held: list[int] = []
        self.at = 0
        """How many of these are the request's tokens. Those behind them, which an earlier request
        has left, still save the work of reading them if it turns out to go on with the same."""
        self.progress: Progress | None = None
        self.freed = 0
        """When its last request ended."""
        self.source: tuple[Row, Progress | None, int] | None = None
        """The row that is reading what this one needs as well, its request, and how many tokens."""


class CacheRows:
    """The rows of a new cache, none of which holds anything."""

    def __init__(self, engine: Engine, rows: int) -> None:
        self.cache = engine.new_cache(rows)
        self._engine = engine
        self._rows = [Row(number) for number in range(rows)]
        self._clock = count(1)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def fill(self, waiting: deque[Progress]) -> None:
        """Takes requests that wait: the first one into the free row that holds most of it, or else
        into the one that was left the longest ago."""
        for row in self._rows:
            if row.source is not None and row.progress is not None:
                self._copy(row, row.progress.window_tokens)
        while waiting and (free := [row for row in self._rows if row.progress is None]):
            tokens = waiting[0].window_tokens
            shared = {row: count_shared(row.held, tokens) for row in free}
            row = max(free, key=lambda row: (shared[row], -row.freed))
            row.at = shared[row]
            row.progress = waiting.popleft()
            self._borrow(row, tokens)

    def free(self, progress: Progress) -> None:
        """Frees the row that serves the request, if one does. It keeps what it holds."""
        for row in self._rows:
            if row.progress is progress:
                row.progress, row.source, row.freed = None, None, next(self._clock)

    def _borrow(self, row: Row, tokens: list[int]) -> None:
        """Copies what another row holds of the tokens, if it is much more than this one does.
        Where that row is still reading it, this one is to wait."""
        shared = {}
        for other in self._rows:
            if other is not row:
                held = other.held
                if other.progress is not None and other.source is None:  # it reads on by itself
                    held = other.progress.window_tokens
                shared[other] = count_shared(held, tokens)
        source = max(shared, key=shared.__getitem__, default=row)
        if shared.get(source, 0) >= row.at + WORTH_COPYING:
            row.source = (source, source.progress, shared[source])
            self._copy(row, tokens)

    def _copy(self, row: Row, tokens: list[int]) -> None:
        """Copies what the row waits for, if that is there by now; else it may look elsewhere."""
        if row.source is None:
            return
        source, progress, n = row.source
        if source.held[:n] == tokens[:n]:
            del row.held[row.at :]
            self._engine.copy(self.cache, source.number, [row.number], n)
            row.held, row.at, row.source = tokens[:n], n, None
        elif source.progress is not progress:
            row.source = None
            self._borrow(row, tokens)
