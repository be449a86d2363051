"""A model folder -> an engine that runs its exported LiteRT model on a CPU.

Never imports TensorFlow.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from gpt2_sampler.engines.engine import Engine, cache_slots
from gpt2_sampler.engines.litert.export import exported
from gpt2_sampler.errors import OutOfMemory
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint

BROADCAST = 1 << 24
"""Numbers in the largest tensor of reading tokens after others: one cache times the tokens."""
MASKED = np.float32(-1e10)

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]


class LiteRTEngine(Engine):
    """While decoding, the cache is the model's own inputs, written in place. A prefill gives the
    inputs another shape, so for that time the cache is held outside."""

    def __init__(self, model: Path | Checkpoint, precision: str, threads: int) -> None:
        checkpoint = open_checkpoint(model)
        self.hparams = checkpoint.hparams
        path = exported(checkpoint.folder, checkpoint, precision)
        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.inputs = {d["name"]: d["index"] for d in self.interpreter.get_input_details()}
        self.outputs = [d["index"] for d in self.interpreter.get_output_details()]
        # The largest cache first: LiteRT keeps the room, and growing does not move everything.
        self._allocate(1, 1, self.hparams.n_ctx, 1)
        give_back(path)  # the kernels have copies of the weights, in an order of their own
        self.reset(1)

    def reset(self, rows: int) -> None:
        self.rows = rows
        self.slots = 0  # S
        self.held: list[Array] | None = self._room(self.caches, 0)

    def prefill(
        self,
        tokens: Sequence[int],
        start: int = 0,
        rows: Sequence[int] = (0,),
        every: bool = False,
    ) -> Floats:
        most = max(1, BROADCAST // (start * self.hparams.n_embd)) if start else len(tokens)
        logits = [
            self._read(tokens[first : first + most], start + first, list(rows), every)
            for first in range(0, len(tokens), most)
        ]
        return np.concatenate(logits) if every else logits[-1]

    def _read(self, tokens: Sequence[int], start: int, rows: list[int], every: bool) -> Floats:
        order = np.arange(len(tokens))
        end = start + len(tokens)
        held = self._hold(max(cache_slots(end, self.hparams.n_ctx), self.slots))
        self._allocate(len(tokens), 1, max(start, 1), len(tokens) if every else 1)
        for cache, layer in zip(self.caches, held, strict=True):
            cache[0] = layer[rows[0], ..., :start] if start else 0
        self.views["past_mask"][...] = 0 if start else MASKED
        self._see_each_other(order <= order[:, None])
        self.views["wanted"][...] = order if every else order[-1]
        logits = self._run(tokens, start + order)
        for layer, new in zip(held, self.news, strict=True):
            layer[rows, ..., start:end] = np.moveaxis(new, 0, -1)
        return logits

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Floats:
        self._place(cache_slots(max(positions) + 1, self.hparams.n_ctx))
        mask = self.views["past_mask"][0, :, 0]
        mask[...] = MASKED
        for row, position in enumerate(positions):
            mask[row, :position] = 0
        logits = self._run(tokens, positions)
        for cache, new in zip(self.caches, self.news, strict=True):
            for row, position in enumerate(positions):  # slices are faster than index arrays
                cache[row, ..., position] = new[row]
        return logits

    def _run(self, tokens: Sequence[int], positions: Sequence[int] | Array) -> Floats:
        """Reads N tokens at N positions; the other inputs are in place."""
        self.views["tokens"][...] = tokens
        self.views["positions"][...] = positions
        self.interpreter.invoke()
        return self.new_logits.copy()

    def _hold(self, slots: int) -> list[Array]:
        """Takes the cache out of the model, with room for so many slots."""
        old = self.caches if self.held is None else self.held
        if self.held is None or self.slots != slots:
            self.held = self._room(old, slots)
            kept = min(self.slots, slots)
            for layer, old_layer in zip(self.held, old, strict=True):
                layer[..., :kept] = old_layer[..., :kept]
            self.slots = slots
        return self.held

    def _place(self, slots: int) -> None:
        """Puts the cache into the model's inputs, with room for so many slots."""
        if self.held is None and self.slots == slots:
            return
        held = self._hold(min(self.slots, slots))
        kept, self.slots = self.slots, slots
        self._allocate(self.rows, self.rows, slots, self.rows)
        for cache, layer in zip(self.caches, held, strict=True):
            cache[..., :kept] = layer
            cache[..., kept:] = 0
        self.held = None
        self._see_each_other(np.eye(self.rows, dtype=bool))
        self.views["wanted"][...] = np.arange(self.rows)

    def _room(self, like: Sequence[Array], slots: int) -> list[Array]:
        """Arrays like these for the rows and so many slots. They hold 0: rubbish may be no number,
        which stays none times a weight of 0."""
        return [np.zeros((self.rows, *array.shape[1:-1], slots), array.dtype) for array in like]

    def _see_each_other(self, who: npt.NDArray[np.bool_]) -> None:  # [N, N]
        self.views["mask"][...] = np.where(who, np.float32(0), MASKED)

    def _allocate(self, n: int, caches: int, slots: int, wanted: int) -> None:
        h = self.hparams
        shapes: dict[str, tuple[int, ...]] = {
            "tokens": (n,),
            "positions": (n,),
            "mask": (1, n, n),
            "past_mask": (1, caches, 1, slots),
            "wanted": (wanted,),
        }
        for name in self.inputs.keys() - shapes.keys():
            width = 1 if name.endswith("_scale") else h.head_size
            shapes[name] = h.n_head, caches, width, slots
        try:
            for name, shape in shapes.items():
                self.interpreter.resize_tensor_input(self.inputs[name], shape)
            self.interpreter.allocate_tensors()
        except (MemoryError, RuntimeError) as error:
            raise OutOfMemory(
                f"LiteRT has no room for {caches} x {slots} tokens ({error}); "
                "try a smaller --batch_size, a shorter --length or --precision int8"
            ) from None
        self._map(n)

    def _map(self, n: int) -> None:
        """Finds the tensors' memory, which stays where it is until the next allocation."""
        h = self.hparams
        self.views = {name: self._memory(index) for name, index in self.inputs.items()}
        *outputs, self.new_logits = (self._memory(index) for index in self.outputs)
        self.caches: list[Array] = []  # [P, L, 2, H, K, S], in int8 also the scales, with K = 1
        self.news: list[Array] = []  # what goes into each of them next, [N, L, 2, H, K]
        for output, suffix in zip(outputs, ("", "_scale"), strict=False):  # float32 has no scales
            inputs = [
                self.views[f"{kind}{layer}{suffix}"] for layer in range(h.n_layer) for kind in "kv"
            ]
            new = output.reshape(h.n_layer, 3, h.n_head, n, -1)[:, 1:]
            for cache, part in together(inputs, new):
                self.caches.append(np.moveaxis(cache, 3, 0))
                self.news.append(np.moveaxis(part, 3, 0))

    def _memory(self, index: int) -> Array:
        return np.asarray(Unowned(self.interpreter.tensor(index)()))


def give_back(path: Path) -> None:
    """Takes a mapped file out of the process's memory, on Linux. What is read of it after that
    comes from the system's cache again."""
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    mapped = os.path.realpath(path)
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        addresses, *_, name = line.split(maxsplit=5)
        if name == mapped:
            start, end = (int(address, 16) for address in addresses.split("-"))
            madvise(start, end - start, mmap.MADV_DONTNEED)


def together(inputs: Sequence[Array], new: Array) -> list[tuple[Array, Array]]:
    """The cache's 2 L inputs [H, P, K, S] as one array [L, 2, H, P, K, S], and what belongs into
    it: one assignment then writes all layers. LiteRT lays them out at even distances; should
    another version not do so, each stands alone."""
    first, step = inputs[0], even_distance(inputs)
    if step is not None:
        shape, strides = (*new.shape[:2], *first.shape), (2 * step, step, *first.strides)
        return [(np.lib.stride_tricks.as_strided(first, shape, strides), new)]
    parts = (part[None, None] for layer in new for part in layer)
    return [(array[None, None], part) for array, part in zip(inputs, parts, strict=True)]


def even_distance(arrays: Sequence[Array]) -> int | None:
    """Bytes from each array to the next, if they are the same from each."""
    steps = set(np.diff([array.__array_interface__["data"][0] for array in arrays]).tolist())
    return steps.pop() if len(steps) == 1 else None


class Unowned:
    """The memory of an array without the array: LiteRT does not run while one that it gave is
    kept, and to ask for all of them at each step takes a fiftieth of it."""

    def __init__(self, array: Array) -> None:
        self.__array_interface__ = array.__array_interface__
