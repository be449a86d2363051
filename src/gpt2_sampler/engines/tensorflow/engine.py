"""A model folder -> an engine that runs model.py with TensorFlow, on a GPU or a CPU.

Importing this module imports TensorFlow, which takes seconds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpt2_sampler.engines.engine import Engine, Floats
from gpt2_sampler.errors import EngineError, OutOfMemory
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import tensorflow as tf

from gpt2_sampler.engines.tensorflow import model

IDS = tf.TensorSpec([None], tf.int32)
GRID = tf.TensorSpec([None, None], tf.int32)


class TensorFlowEngine(Engine):
    """Weights and cache stay on the device. The cache has all C slots from the start, so that no
    graph has to be traced again for another length.

    device is "cpu" or "gpu". Raises EngineError if there is no GPU.
    """

    def __init__(self, model: Path | Checkpoint, device: str) -> None:
        checkpoint = open_checkpoint(model)
        self.hparams = checkpoint.hparams
        if device == "gpu" and not sees_gpu():
            raise EngineError("TensorFlow finds no GPU on this machine")
        self.device = f"/{device.upper()}:0"
        self.rows = 0
        with self._on_device():
            self.params = {name: tf.constant(array) for name, array in checkpoint.items()}

    def reserve(self, rows: int) -> None:
        if rows == self.rows:  # old content does not matter: slots are written before they are seen
            return
        h = self.hparams
        shape = [rows, h.n_ctx, h.n_head, h.head_size]
        self.rows, self.cache = 0, []
        with self._on_device():
            self.cache = [
                (tf.Variable(tf.zeros(shape)), tf.Variable(tf.zeros(shape)))
                for _ in range(h.n_layer)
            ]
        self._read = tf.function(self._traced_read, input_signature=[GRID, IDS, GRID, IDS])
        self.rows = rows

    @contextlib.contextmanager
    def _on_device(self) -> Iterator[None]:
        try:
            with tf.device(self.device):
                yield
        except tf.errors.ResourceExhaustedError:
            raise OutOfMemory(
                f"the model and its texts do not fit the memory of {self.device}"
            ) from None

    def forward(
        self,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        """Rows that read equally many tokens share one call of the graph."""
        given = np.array([tokens, rows, positions], np.int32)  # [3, N]
        last = np.asarray(wanted, np.intp)
        logits = np.empty([len(last), self.hparams.n_vocab], np.float32)
        for places in alike(given[1]):  # [B, T]
            where = np.full(given.shape[1], -1)
            where[places.ravel()] = np.arange(places.size)
            here = np.flatnonzero(where[last] >= 0)
            of_tokens, of_rows, at = given[:, places]
            with self._on_device():
                found = self._read(of_tokens, of_rows[:, 0], at, where[last[here]].astype(np.int32))
                logits[here] = found.numpy()
        return logits

    def _traced_read(
        self, tokens: tf.Tensor, rows: tf.Tensor, positions: tf.Tensor, wanted: tf.Tensor
    ) -> tf.Tensor:
        """tokens, positions [B, T], rows [B], wanted [W] of the B T -> logits [W, V]"""
        shape = tf.shape(tokens)
        slots = tf.stack([tf.repeat(rows[:, None], shape[1], axis=1), positions], axis=-1)

        def remember(layer: int, key: tf.Tensor, value: tf.Tensor) -> model.KeysValues:
            for cache, new in zip(self.cache[layer], (key, value), strict=True):
                cache.scatter_nd_update(slots, new)
            keys, values = self.cache[layer]
            return tf.gather(keys, rows), tf.gather(values, rows)

        x = model.transform(self.params, self.hparams, tokens, positions, remember)
        states = tf.gather(tf.reshape(x, [-1, self.hparams.n_embd]), wanted)
        return model.unembed(self.params, self.hparams, states)

    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        with self._on_device():
            for layer in self.cache:
                for cache in layer:
                    row = tf.repeat(cache[source][None], len(targets), axis=0)
                    cache.scatter_nd_update(np.reshape(targets, [-1, 1]), row)


def alike(rows: npt.NDArray[np.int32]) -> list[npt.NDArray[np.intp]]:
    """The rows that N tokens belong to -> for each T, the tokens' numbers [B, T] in those rows that
    have T tokens."""
    of_row = [np.flatnonzero(rows == row) for row in dict.fromkeys(rows.tolist())]
    lengths = dict.fromkeys(len(places) for places in of_row)
    return [np.stack([p for p in of_row if len(p) == length]) for length in lengths]


def sees_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
