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

from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import EngineError, OutOfMemory
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import tensorflow as tf

from gpt2_sampler.engines.tensorflow import model

IDS = tf.TensorSpec([None], tf.int32)
NUMBER = tf.TensorSpec([], tf.int32)


class TensorFlowEngine(Engine):
    """Weights and cache stay on the device. The cache has all C slots from the start, so that
    shapes depend on the number of rows alone and a graph is traced once for it.

    device is "cpu" or "gpu"; raises EngineError where that GPU is not.
    """

    def __init__(self, model: Path | Checkpoint, device: str) -> None:
        checkpoint = open_checkpoint(model)
        self.hparams = checkpoint.hparams
        if device == "gpu" and not sees_gpu():
            raise EngineError(
                "TensorFlow finds no GPU on this machine; leave --device out to run on the CPU"
            )
        self.device = f"/{device.upper()}:0"
        self.rows = 0
        with self._on_device():
            self.params = {name: tf.constant(array) for name, array in checkpoint.items()}

    def reset(self, rows: int) -> None:
        if rows == self.rows:  # what the slots hold does not matter until it is written anew
            return
        h = self.hparams
        shape = [rows, h.n_head, h.n_ctx, h.head_size]
        self.rows, self.cache = 0, []
        with self._on_device():
            self.cache = [
                (tf.Variable(tf.zeros(shape)), tf.Variable(tf.zeros(shape)))
                for _ in range(h.n_layer)
            ]
        self._prefill = tf.function(self._traced_prefill, input_signature=[IDS, NUMBER, IDS, IDS])
        self._decode = tf.function(self._traced_decode, input_signature=[IDS, IDS])
        self.rows = rows

    @contextlib.contextmanager
    def _on_device(self) -> Iterator[None]:
        try:
            with tf.device(self.device):
                yield
        except tf.errors.ResourceExhaustedError:
            raise OutOfMemory(
                f"the model and its texts do not fit the memory of {self.device}; "
                "try a smaller --batch_size or --device cpu"
            ) from None

    def prefill(
        self,
        tokens: Sequence[int],
        start: int = 0,
        rows: Sequence[int] = (0,),
        every: bool = False,
    ) -> npt.NDArray[np.float32]:
        places = np.arange(len(tokens))[0 if every else -1 :]
        with self._on_device():
            return self._prefill(ids(tokens), start, ids(rows), ids(places)).numpy()

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> npt.NDArray[np.float32]:
        with self._on_device():
            return self._decode(ids(tokens), ids(positions)).numpy()

    def _traced_prefill(
        self, tokens: tf.Tensor, start: tf.Tensor, rows: tf.Tensor, wanted: tf.Tensor
    ) -> tf.Tensor:
        past = [
            (keys[rows[0]][None, :, :start], values[rows[0]][None, :, :start])
            for keys, values in self.cache
        ]
        logits, new = model.prefill(self.params, self.hparams, tokens, start, past, wanted)
        slots = start + tf.range(tf.shape(tokens)[0])
        row, slot = (tf.reshape(grid, [-1]) for grid in tf.meshgrid(rows, slots, indexing="ij"))
        self._write(row, slot, [self._rows_of(new_layer, rows) for new_layer in new])
        return logits

    def _traced_decode(self, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        past = [(keys.value(), values.value()) for keys, values in self.cache]
        logits, new = model.decode(self.params, self.hparams, tokens, positions, past)
        rows = tf.range(tf.shape(tokens)[0])
        self._write(rows, positions, [(k[:, :, 0], v[:, :, 0]) for k, v in new])
        return logits

    def _rows_of(self, new: model.KeysValues, rows: tf.Tensor) -> model.KeysValues:
        """A layer's [1, H, T, K] -> [rows x T, H, K], the same for every row."""
        flat = [tf.tile(tf.transpose(x[0], [1, 0, 2]), [tf.size(rows), 1, 1]) for x in new]
        return flat[0], flat[1]

    def _write(self, rows: tf.Tensor, slots: tf.Tensor, new: Sequence[model.KeysValues]) -> None:
        """Puts N keys and values, L x [N, H, K], where rows [N] and slots [N] say."""
        n, heads = tf.shape(rows)[0], self.hparams.n_head
        where = tf.stack(
            [
                tf.repeat(rows, heads),
                tf.tile(tf.range(heads), [n]),
                tf.repeat(slots, heads),
            ],
            axis=-1,
        )
        for layer, layer_new in zip(self.cache, new, strict=True):
            for variable, x in zip(layer, layer_new, strict=True):
                variable.scatter_nd_update(where, tf.reshape(x, [-1, self.hparams.head_size]))


def sees_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def ids(numbers: Sequence[int] | npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    return np.asarray(numbers, np.int32).reshape(-1)
