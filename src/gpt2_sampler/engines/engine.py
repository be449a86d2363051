"""The one call that every engine answers: tokens of any rows, at any positions -> logits.

Knows no sampling, no text and no terminal. Axis letters as in tensorflow/model.py; N tokens are
read in a call, the logits after W of them are wanted.
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
    """Who reserved last and knows what the rows hold. Whoever finds another here reserves anew."""

    @abc.abstractmethod
    def reserve(self, rows: int) -> None:
        """Gives the cache so many rows, all empty. Raises OutOfMemory; there are no rows then."""

    @abc.abstractmethod
    def forward(
        self,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        """Reads N tokens, 1 or more -> the logits after the W that wanted numbers, [W, V].

        Token n belongs to rows[n] and is written to the slot positions[n] (0 to C - 1) of it. It
        sees that row's slots from 0 to its own: those read in earlier calls, and those of this
        call. The tokens of one row stand in ascending order. What a row holds beyond a token is
        not seen, so a row is cut back, or emptied, by reading again from a lower position.

        Nothing is checked: whoever calls checked its tokens. Raises OutOfMemory; the slots that
        were to be written are then undefined, all others as they were.
        """

    @abc.abstractmethod
    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        """Makes the first slots of one row, so many as there are tokens, those of others."""

    def logits(self, tokens: Sequence[int]) -> Floats:
        """Every position's logits: T tokens, at most C -> [T, V]. Empties the cache.

        Raises UsageError for more tokens, or for one that is no token.
        """
        self.check(tokens)
        self.reserve(1)
        self.holder = None
        n = len(tokens)
        if n == 0:
            return np.zeros([0, self.hparams.n_vocab], np.float32)
        return self.forward(tokens, [0] * n, range(n), range(n))

    def check(self, tokens: Sequence[int]) -> None:
        """Raises UsageError unless it is a text that this model can read at once."""
        h = self.hparams
        if len(tokens) > h.n_ctx:
            raise UsageError(f"{len(tokens)} tokens do not fit the model's window of {h.n_ctx}")
        for token in tokens:
            if not 0 <= token < h.n_vocab:
                raise UsageError(f"the model has tokens 0 to {h.n_vocab - 1}, and no {token}")
