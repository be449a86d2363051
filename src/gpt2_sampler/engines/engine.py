"""The one call that every engine answers: tokens of any rows, at any positions -> logits.

Knows no sampling, no text and no terminal. Axis letters as in weights/hparams.py; a call reads N
tokens and returns the logits after W of them.
"""

from __future__ import annotations

import abc
import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import EngineError, OutOfMemory, UsageError, require_kind
from gpt2_sampler.limits import check_ids
from gpt2_sampler.weights.hparams import HParams

Floats = npt.NDArray[np.float32]


class Cache(abc.ABC):  # noqa: B024
    """Keys and values of B rows of text, C slots each, made by an engine for its own use. Its
    memory is freed when nothing refers to it any more."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        """B."""


class Engine(abc.ABC):
    """A loaded model. What it has read is in caches: whoever reads has one, and so nobody disturbs
    another.

    It may be called from several threads, which take their turns. A process that was forked from
    the one that loaded it cannot use it: there EngineError is raised.
    """

    def __init__(self, hparams: HParams) -> None:
        self.hparams = hparams
        self.threads = 1
        """How many of the processor's it uses."""
        self.weight_bytes = 4 * hparams.n_parameters
        """What it reads of its weights in a call of one token, however many texts share it."""
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._closed = False

    @property
    def lock(self) -> threading.RLock:
        """Held during each call. Whoever holds it, for several calls that belong together, is not
        interrupted by another thread's. Raises EngineError in a forked process."""
        if os.getpid() != self._process:  # another thread may have held the lock for ever
            raise EngineError(
                "this process was forked from the one that loaded the model, and cannot use it; "
                "load it again here, or start processes by 'spawn'"
            )
        return self._lock

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Surrounds each call. Raises as lock does, UsageError once the engine is closed, and
        OutOfMemory for Python's own."""
        with self.lock:
            if self._closed:
                raise UsageError("the engine is closed, and reads no more")
            try:
                yield
            except MemoryError as error:
                why = f" ({error})" if str(error) else ""
                message = f"there is no room in memory for what was asked{why}"
                raise OutOfMemory(message) from None

    @abc.abstractmethod
    def new_cache(self, rows: int) -> Cache:
        """A cache of that many rows, all empty. Raises OutOfMemory."""

    @abc.abstractmethod
    def forward(
        self,
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        """Reads N tokens, 1 or more -> the logits after those numbered in wanted, [W, V], which
        belong to the caller.

        cache is one of this engine's. Token n belongs to its row rows[n] and is written to that
        row's slot positions[n] (0 to C - 1). It sees the row's slots from 0 to its own, whether
        they were read in earlier calls or in this one. The tokens of one row come in ascending
        order. Slots beyond a token are not seen, so a row is cut back, or emptied, by reading again
        from a lower position.

        Nothing is checked; that is up to the caller. After OutOfMemory the slots that were to be
        written are undefined, all others unchanged.
        """

    @abc.abstractmethod
    def copy(self, cache: Cache, source: int, targets: Sequence[int], tokens: int) -> None:
        """Copies the first slots of one row, as many as there are tokens, to other rows."""

    def logits(self, tokens: Sequence[int]) -> Floats:
        """Every position's logits: T tokens, at most C -> [T, V].

        Raises UsageError for more tokens than that, or for one that the model does not have.
        """
        ids = check_ids(tokens, self.hparams.n_vocab)
        n, window = len(ids), self.hparams.n_ctx
        if n > window:
            raise UsageError(f"{n} tokens do not fit the model's window of {window}")
        if n == 0:
            return np.zeros([0, self.hparams.n_vocab], np.float32)
        return self.forward(self.new_cache(1), ids, [0] * n, range(n), range(n))

    def close(self) -> None:
        """Frees the model's memory, once no call is under way. Later calls raise UsageError."""
        with self.lock:
            if not self._closed:
                self._closed = True
                self._free()

    @abc.abstractmethod
    def _free(self) -> None:
        """Drops what holds memory."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def require_engine(engine: object, name: str = "engine") -> None:
    """Raises UsageError for what is no engine, such as the name of a model."""
    require_kind(name, engine, Engine, "an Engine, which load_engine gives")
