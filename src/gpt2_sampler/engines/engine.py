"""The two calls that every engine answers, prefill and decode, and which engine runs a model.

Knows no sampling, no text and no terminal.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import UsageError
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint
from gpt2_sampler.weights.hparams import HParams

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("float32", "int8")
STEP = 128
"""Slots by which the CPU's cache grows and shrinks: attention costs what is there, a change
copies it. The first step is half as long: so short a cache is copied in no time."""


def cache_slots(tokens: int, window: int) -> int:
    """Slots of the CPU's cache for so many tokens."""
    slots = STEP // 2 if tokens <= STEP // 2 else -(-tokens // STEP) * STEP
    return min(window, slots)


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
        every: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Reads T tokens at positions start, start + 1, ... into the cache of each of the rows,
        which hold the same start tokens before -> the logits after the last of them [1, V], or
        after every one [T, V]."""

    @abc.abstractmethod
    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> npt.NDArray[np.float32]:
        """Reads the next token of each of the B rows, at its position -> logits [B, V].

        Row b looks at its first positions[b] tokens, so a row is cut back or emptied by giving
        a lower position.
        """

    def read(self, tokens: Sequence[int], rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Reads 1 to C tokens from the start of the rows -> the logits after the last one [V]."""
        return self.prefill(tokens, 0, rows)[0]

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        """Every position's logits: T tokens, at most C -> [T, V]. Empties the cache.

        Raises UsageError for more tokens, or for one that is no token.
        """
        self.check(tokens)
        self.reset(1)
        if not len(tokens):
            return np.zeros([0, self.hparams.n_vocab], np.float32)
        return self.prefill(tokens, every=True)

    def check(self, tokens: Sequence[int]) -> None:
        h = self.hparams
        if len(tokens) > h.n_ctx:
            raise UsageError(f"{len(tokens)} tokens do not fit the model's window of {h.n_ctx}")
        for token in tokens:
            if not 0 <= token < h.n_vocab:
                raise UsageError(f"the model has tokens 0 to {h.n_vocab - 1}, and no {token}")


def load_engine(
    model: str | Path | Checkpoint,
    device: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
) -> Engine:
    """The model at a path, ready to run. Vocabulary files are not read.

    device is one of DEVICES: "auto" takes a GPU where there is one. precision is one of
    PRECISIONS; int8 is for the CPU. threads is the number of CPU threads, by default one for
    each physical core.
    Raises UsageError for another value, CheckpointError where there is no whole model,
    EngineError where the device is not to be had.
    """
    for name, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise UsageError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if device == "gpu" and precision != "float32":
        raise UsageError(f"precision {precision} is for the CPU; a GPU runs float32")
    checkpoint = open_checkpoint(model)
    if device == "gpu" or (device == "auto" and precision == "float32" and has_gpu()):
        from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine, sees_gpu

        if device == "gpu" or sees_gpu():  # a driver alone does not make TensorFlow use it
            return TensorFlowEngine(checkpoint, "gpu")
    from gpt2_sampler.engines.litert.engine import LiteRTEngine

    return LiteRTEngine(checkpoint, precision, threads or physical_cores())


def has_gpu() -> bool:
    """Whether NVIDIA's driver shows a GPU, found without TensorFlow, whose import takes seconds."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*"))


def physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1
