"""The two calls that every engine answers, prefill and decode, and which engine runs a model.

Knows no sampling, no text and no terminal.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import UsageError
from gpt2_sampler.hparams import HParams

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("float32", "int8")
CHUNK = 256
"""Tokens of a long text that are read in one call: bounds memory, not speed."""


class Engine(abc.ABC):
    """A loaded model with one cache of keys and values for B rows of text.

    Axis letters as in model.py.
    """

    hparams: HParams

    @abc.abstractmethod
    def reset(self, rows: int) -> None:
        """Gives the cache B = rows rows, all empty."""

    @abc.abstractmethod
    def prefill(
        self,
        tokens: Sequence[int],
        start: int = 0,
        rows: Sequence[int] = (0,),
        wanted: Sequence[int] = (-1,),
    ) -> npt.NDArray[np.float32]:
        """Reads T tokens at positions start, start + 1, ... into the cache of each of the rows,
        which hold the same start tokens before -> logits [W, V] after the W wanted of them."""

    @abc.abstractmethod
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> npt.NDArray[np.float32]:
        """Reads the next token of each of the B rows, at its position -> logits [B, V].

        Row b looks at its first positions[b] tokens, so a row is cut back or emptied by giving
        a lower position.
        """

    def read(self, tokens: Sequence[int], rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Reads 1 to C tokens into emptied rows -> the logits after the last one [V]."""
        self.check_length(tokens)
        for start in range(0, len(tokens), CHUNK):
            logits = self.prefill(tokens[start : start + CHUNK], start, rows)
        return logits[0]

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Every position's logits: T tokens, at most C -> [T, V]. Empties the cache."""
        self.check_length(tokens)
        self.reset(1)
        chunks = [
            self.prefill(chunk, start, wanted=range(len(chunk)))
            for start in range(0, len(tokens), CHUNK)
            for chunk in [tokens[start : start + CHUNK]]
        ]
        empty = np.zeros([0, self.hparams.n_vocab], np.float32)
        return np.concatenate([empty, *chunks])

    def check_length(self, tokens: Sequence[int]) -> None:
        if len(tokens) > self.hparams.n_ctx:
            raise UsageError(
                f"{len(tokens)} tokens do not fit the model's window of {self.hparams.n_ctx}"
            )


def load_engine(folder: str | Path, device: str = "auto", precision: str = "float32") -> Engine:
    """The model in a folder, ready to run. Vocabulary files are not read.

    device is one of DEVICES, precision one of PRECISIONS.
    Raises UsageError for another value, CheckpointError for a folder that holds no whole model,
    EngineError where the device is not to be had.
    """
    for name, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    from gpt2_sampler.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(Path(folder), device)
