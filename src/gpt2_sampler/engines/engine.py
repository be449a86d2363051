"""The one call that every engine answers: tokens of any rows, at any positions -> logits.

Knows no sampling, no text and no terminal. Axis letters as in tensorflow/model.py; a call reads N
tokens and returns the logits after W of them.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import UsageError
from gpt2_sampler.weights.hparams import HParams

Floats = npt.NDArray[np.float32]


class Engine(abc.ABC):
    """A loaded model with a cache of keys and values: C slots for each of B rows of text."""

    hparams: HParams
    rows: int = 0
    """B, as reserved."""
    holder: object = None
    """Whoever reserved last, and so knows what the rows hold. Anybody else must reserve again."""

    @abc.abstractmethod
    def reserve(self, rows: int) -> None:
        """Gives the cache that many rows, all empty. After OutOfMemory there are no rows."""

    @abc.abstractmethod
    def forward(
        self,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        """Reads N tokens, 1 or more -> the logits after those numbered in wanted, [W, V].

        Token n belongs to rows[n] and is written to that row's slot positions[n] (0 to C - 1). It
        sees the row's slots from 0 to its own, whether they were read in earlier calls or in this
        one. The tokens of one row come in ascending order. Slots beyond a token are not seen, so a
        row is cut back, or emptied, by reading again from a lower position.

        Nothing is checked; that is up to the caller. After OutOfMemory the slots that were to be
        written are undefined, all others unchanged.
        """

    @abc.abstractmethod
    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        """Copies the first slots of one row, as many as there are tokens, to other rows."""

    def logits(self, tokens: Sequence[int]) -> Floats:
        """Every position's logits: T tokens, at most C -> [T, V]. Empties the cache.

        Raises UsageError for more tokens than that, or for one that the model does not have.
        """
        self.check(tokens)
        self.reserve(1)
        self.holder = None
        n = len(tokens)
        if n == 0:
            return np.zeros([0, self.hparams.n_vocab], np.float32)
        return self.forward(tokens, [0] * n, range(n), range(n))

    def check(self, tokens: Sequence[int]) -> None:
        """Raises UsageError for a text that this model cannot read at once."""
        h = self.hparams
        if len(tokens) > h.n_ctx:
            raise UsageError(f"{len(tokens)} tokens do not fit the model's window of {h.n_ctx}")
        for token in tokens:
            if not 0 <= token < h.n_vocab:
                raise UsageError(f"the model has tokens 0 to {h.n_vocab - 1}, and no {token}")
