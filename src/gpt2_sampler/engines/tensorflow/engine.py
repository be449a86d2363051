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

from gpt2_sampler.engines.engine import Cache, Engine, Floats
from gpt2_sampler.errors import EngineError, OutOfMemory
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint
from gpt2_sampler.weights.hparams import HParams

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import tensorflow as tf

from gpt2_sampler.engines.tensorflow import model

IDS = tf.TensorSpec([None], tf.int32)
GRID = tf.TensorSpec([None, None], tf.int32)
HANDLE = tf.TensorSpec(None, tf.resource)
"""Stands for a variable of any shape: a graph that took the variables themselves would be traced
again for each cache."""


class Variables(Cache):
    """A cache on the device: for each layer its keys and its values, [B, C, H, K]."""

    def __init__(self, rows: int, hparams: HParams) -> None:
        super().__init__(rows)
        shape = [rows, hparams.n_ctx, hparams.n_head, hparams.head_size]
        self.layers = [
            (tf.Variable(tf.zeros(shape)), tf.Variable(tf.zeros(shape)))
            for _ in range(hparams.n_layer)
        ]
        self.handles = [(keys.handle, values.handle) for keys, values in self.layers]


class TensorFlowEngine(Engine):
    """Weights and caches stay on the device. A cache has all C slots from the start, so that no
    graph has to be traced again for another length.

    device is "cpu" or "gpu". threads are those of the CPU; the first engine decides them for all
    of the process. Raises EngineError if there is no GPU.
    """

    def __init__(self, model: Path | Checkpoint, device: str, threads: int | None = None) -> None:
        checkpoint = open_checkpoint(model)
        super().__init__(checkpoint.hparams)
        if device == "gpu" and not sees_gpu():
            raise EngineError("TensorFlow finds no GPU on this machine")
        if threads is not None:
            set_threads(threads)
        self.device = f"/{device.upper()}:0"
        with self._on_device():
            self.params = {name: tf.constant(array) for name, array in checkpoint.items()}
        caches = [(HANDLE, HANDLE)] * self.hparams.n_layer
        self._read = tf.function(self._traced_read, input_signature=[caches, GRID, IDS, GRID, IDS])

    def new_cache(self, rows: int) -> Variables:
        with self._turn(), self._on_device():
            return Variables(rows, self.hparams)

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
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        """Rows that read equally many tokens share one call of the graph."""
        assert isinstance(cache, Variables), "a cache of this engine's own"
        given = np.array([tokens, rows, positions], np.int32)  # [3, N]
        last = np.asarray(wanted, np.intp)
        logits = np.empty([len(last), self.hparams.n_vocab], np.float32)
        for places in alike(given[1]):  # [B, T]
            where = np.full(given.shape[1], -1)
            where[places.ravel()] = np.arange(places.size)
            here = np.flatnonzero(where[last] >= 0)
            of_tokens, of_rows, at = given[:, places]
            places_wanted = where[last[here]].astype(np.int32)
            with self._turn(), self._on_device():
                found = self._read(cache.handles, of_tokens, of_rows[:, 0], at, places_wanted)
                logits[here] = found.numpy()
        return logits

    def _traced_read(
        self,
        caches: Sequence[tuple[tf.Tensor, tf.Tensor]],
        tokens: tf.Tensor,
        rows: tf.Tensor,
        positions: tf.Tensor,
        wanted: tf.Tensor,
    ) -> tf.Tensor:
        """A cache's handles, tokens and positions [B, T], rows [B], wanted [W] of the B T
        -> logits [W, V]"""
        h, shape = self.hparams, tf.shape(tokens)
        slots = tf.stack([tf.repeat(rows[:, None], shape[1], axis=1), positions], axis=-1)

        def remember(layer: int, key: tf.Tensor, value: tf.Tensor) -> model.KeysValues:
            return exchange(caches[layer][0], key), exchange(caches[layer][1], value)

        def exchange(cache: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
            tf.raw_ops.ResourceScatterNdUpdate(ref=cache, indices=slots, updates=new)
            held = tf.raw_ops.ResourceGather(resource=cache, indices=rows, dtype=tf.float32)
            return tf.ensure_shape(held, [None, h.n_ctx, h.n_head, h.head_size])

        x = model.transform(self.params, h, tokens, positions, remember)
        states = tf.gather(tf.reshape(x, [-1, h.n_embd]), wanted)
        return model.unembed(self.params, h, states)

    def copy(self, cache: Cache, source: int, targets: Sequence[int], tokens: int) -> None:
        assert isinstance(cache, Variables), "a cache of this engine's own"
        with self._turn(), self._on_device():
            for layer in cache.layers:
                for slots in layer:
                    row = tf.repeat(slots[source][None], len(targets), axis=0)
                    slots.scatter_nd_update(np.reshape(targets, [-1, 1]), row)

    def _free(self) -> None:
        del self.params, self._read


def alike(rows: npt.NDArray[np.int32]) -> list[npt.NDArray[np.intp]]:
    """The rows that N tokens belong to -> for each T, the tokens' numbers [B, T] in those rows that
    have T tokens."""
    of_row = [np.flatnonzero(rows == row) for row in dict.fromkeys(rows.tolist())]
    lengths = dict.fromkeys(len(places) for places in of_row)
    return [np.stack([p for p in of_row if len(p) == length]) for length in lengths]


def set_threads(threads: int) -> None:
    with contextlib.suppress(RuntimeError):  # TensorFlow has begun to run, and keeps what it has
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def sees_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
