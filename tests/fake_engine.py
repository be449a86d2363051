"""An engine without a model: its logits are a hash of the tokens that a row was given."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.weights.hparams import HParams

EMPTY = -1
Floats = npt.NDArray[np.float32]


def hashed(tokens: Sequence[int], n_vocab: int) -> Floats:
    """Any tokens -> logits [V]: another token anywhere changes all of them."""
    random = np.random.default_rng(zlib.crc32(np.asarray(tokens, np.int64).tobytes()))
    return random.normal(size=n_vocab).astype(np.float32) * 3


class FakeEngine(Engine):
    """Fails if a row looks at slots that nobody filled. interrupt_at is the number of the call,
    counted from 1, that is ended by Ctrl-C halfway."""

    def __init__(self, n_vocab: int = 31, n_ctx: int = 13) -> None:
        self.hparams = HParams(n_vocab, n_ctx, n_embd=2, n_head=1, n_layer=1)
        self.calls = 0
        self.interrupt_at = 0

    def reset(self, rows: int) -> None:
        self.slots = np.full([rows, self.hparams.n_ctx], EMPTY)

    def prefill(
        self,
        tokens: Sequence[int],
        start: int = 0,
        rows: Sequence[int] = (0,),
        every: bool = False,
    ) -> Floats:
        for row in rows:
            assert (self.slots[row, :start] == self.slots[rows[0], :start]).all()
            self.slots[row, start : start + len(tokens)] = tokens
            self._count()
        end = start + len(tokens)
        return np.stack(
            [self._logits(rows[0], at) for at in range(start + 1 if every else end, end + 1)]
        )

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Floats:
        for row, (token, position) in enumerate(zip(tokens, positions, strict=True)):
            self.slots[row, position] = token
            self._count()
        return np.stack([self._logits(row, at + 1) for row, at in enumerate(positions)])

    def _logits(self, row: int, end: int) -> Floats:
        seen = self.slots[row, :end]
        assert (seen != EMPTY).all()
        return hashed(seen.tolist(), self.hparams.n_vocab)

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.interrupt_at:
            raise KeyboardInterrupt


class Book(FakeEngine):
    """Knows one text by heart, again and again: at position n of any text it writes token n."""

    def __init__(self, tokens: Sequence[int], n_vocab: int, n_ctx: int) -> None:
        super().__init__(n_vocab, n_ctx)
        self.tokens = tokens

    def _logits(self, row: int, end: int) -> Floats:
        logits = np.full(self.hparams.n_vocab, -np.inf, np.float32)
        logits[self.tokens[end % len(self.tokens)]] = 0
        return logits
