"""An engine without a model: its logits are a hash of the tokens that a row was given."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpt2_sampler.engines.engine import Cache, Engine
from gpt2_sampler.weights.hparams import HParams

EMPTY = -1
Floats = npt.NDArray[np.float32]


def hashed(tokens: Sequence[int], n_vocab: int) -> Floats:
    """Any tokens -> logits [V]: another token anywhere changes all of them."""
    random = np.random.default_rng(zlib.crc32(np.asarray(tokens, np.int64).tobytes()))
    return random.normal(size=n_vocab).astype(np.float32) * 3


class FakeCache(Cache):
    """The tokens that were written to its slots."""

    def __init__(self, rows: int, n_ctx: int) -> None:
        super().__init__(rows)
        self.slots = np.full([rows, n_ctx], EMPTY)


class FakeEngine(Engine):
    """Fails if a row looks at slots that nobody filled, or its tokens come in no order.

    fail is called before each token is written, with the number of tokens written so far: it may
    raise, and the call then ends halfway.
    """

    def __init__(self, n_vocab: int = 31, n_ctx: int = 13) -> None:
        super().__init__(HParams(n_vocab, n_ctx, n_embd=2, n_head=1, n_layer=1))
        self.calls: list[int] = []
        """The number of tokens of each forward."""
        self.written = 0

    def new_cache(self, rows: int) -> FakeCache:
        with self._turn():
            return FakeCache(rows, self.hparams.n_ctx)

    def forward(
        self,
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        with self._turn():
            return self._read(cache, tokens, rows, positions, wanted)

    def _read(
        self,
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        assert isinstance(cache, FakeCache)
        assert len(tokens) == len(rows) == len(positions) > 0
        self.calls.append(len(tokens))
        last: dict[int, int] = {}
        ends = []
        for token, row, position in zip(tokens, rows, positions, strict=True):
            assert 0 <= token < self.hparams.n_vocab
            assert 0 <= row < cache.rows and position > last.get(row, -1)
            last[row] = position
            self.fail(self.written)
            cache.slots[row, position] = token
            self.written += 1
            ends.append(cache.slots[row, : position + 1].copy())
        assert all((seen != EMPTY).all() for seen in ends)
        chosen = [self._logits(ends[n]) for n in wanted]
        return np.stack(chosen) if chosen else np.zeros([0, self.hparams.n_vocab], np.float32)

    def copy(self, cache: Cache, source: int, targets: Sequence[int], tokens: int) -> None:
        assert isinstance(cache, FakeCache)
        with self._turn():
            assert (cache.slots[source, :tokens] != EMPTY).all()
            cache.slots[targets, :tokens] = cache.slots[source, :tokens]

    def _free(self) -> None:
        pass

    def fail(self, written: int) -> None:
        """Tests put what raises here."""

    def _logits(self, seen: npt.NDArray[np.int_]) -> Floats:
        return hashed(seen.tolist(), self.hparams.n_vocab)


class FakeDraft(FakeEngine):
    """Has the same logits, except for a share of the texts: of those it has the opposite ones."""

    def __init__(self, n_vocab: int, n_ctx: int, wrong: float) -> None:
        super().__init__(n_vocab, n_ctx)
        self.weight_bytes //= 4
        self.wrong = wrong

    def _logits(self, seen: npt.NDArray[np.int_]) -> Floats:
        logits = super()._logits(seen)
        by_chance = zlib.crc32(b"wrong" + seen.tobytes()) / 2**32
        return -logits if by_chance < self.wrong else logits


class Book(FakeEngine):
    """Knows one text by heart, again and again: at position n of any text it writes token n."""

    def __init__(self, tokens: Sequence[int], n_vocab: int, n_ctx: int) -> None:
        super().__init__(n_vocab, n_ctx)
        self.tokens = tokens

    def _logits(self, seen: npt.NDArray[np.int_]) -> Floats:
        logits = np.full(self.hparams.n_vocab, -np.inf, np.float32)
        logits[self.tokens[len(seen) % len(self.tokens)]] = 0
        return logits
