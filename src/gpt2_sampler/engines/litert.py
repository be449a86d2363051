"""A model folder -> an engine that runs its exported LiteRT model on a CPU.

Never imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from gpt2_sampler.checkpoint import Checkpoint, open_checkpoint
from gpt2_sampler.engines import Engine, cache_slots
from gpt2_sampler.engines.export import exported
from gpt2_sampler.errors import OutOfMemory

BROADCAST = 1 << 24
"""Numbers in the largest tensor of reading tokens after others: one cache times the tokens."""
MASKED = np.float32(-1e10)

Floats = npt.NDArray[np.float32]


class LiteRTEngine(Engine):
    """While decoding, the cache is the model's own input, 2 L of [B, H, K, S], written in place.
    A prefill gives the inputs another shape, so for that time the cache is held outside."""

    def __init__(self, model: Path | Checkpoint, precision: str, threads: int) -> None:
        checkpoint = open_checkpoint(model)
        self.hparams = checkpoint.hparams
        self.wte, self.wpe = checkpoint.rows_of("wte"), checkpoint.rows_of("wpe")
        path = exported(checkpoint.folder, checkpoint, precision)
        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.inputs = {d["name"]: d["index"] for d in self.interpreter.get_input_details()}
        layers = range(self.hparams.n_layer)
        self.cache_names = [f"{kind}{layer}" for layer in layers for kind in "kv"]
        outputs = self.interpreter.get_output_details()
        *self.new_indices, self.logits_index = (output["index"] for output in outputs)
        # The largest cache first: LiteRT keeps the room, and growing does not move everything.
        self._allocate(1, 1, self.hparams.n_ctx, 1)
        self.reset(1)

    def reset(self, rows: int) -> None:
        h = self.hparams
        self.rows = rows
        self.slots = 0  # S
        self.held: Floats | None = np.empty([2 * h.n_layer, rows, h.n_head, h.head_size, 0], "f4")

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
        self._hold(max(cache_slots(end, self.hparams.n_ctx), self.slots))
        assert self.held is not None
        self._allocate(len(tokens), 1, max(start, 1), len(tokens) if every else 1)
        for name, layer in zip(self.cache_names, self.held, strict=True):
            self._view(name)[0] = layer[rows[0], :, :, :start] if start else 0
        self._view("past_mask")[...] = 0 if start else MASKED
        self._see_each_other(order <= order[:, None])
        self._view("wanted")[...] = order if every else order[-1]
        self._run(tokens, start + order)
        for layer, new in zip(self.held, self.new_indices, strict=True):
            layer[rows, :, :, start:end] = self._tensor(new)[..., 0].transpose(1, 2, 0)
        return self.interpreter.get_tensor(self.logits_index)

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Floats:
        at = np.asarray(positions)
        self._place(cache_slots(int(at.max()) + 1, self.hparams.n_ctx))
        mask = self._view("past_mask")
        mask[...] = MASKED
        for row, position in enumerate(positions):
            mask[row, ..., :position] = 0
        del mask
        self._run(tokens, at)
        # One row is written through a slice, which is several times faster.
        rows, slot = (0, at[0]) if self.rows == 1 else (np.arange(self.rows), at)
        for name, new in zip(self.cache_names, self.new_indices, strict=True):
            self._view(name)[rows, :, :, slot] = self._tensor(new)[rows, ..., 0]
        return self.interpreter.get_tensor(self.logits_index)

    def _run(self, tokens: Sequence[int], positions: npt.NDArray[np.intp]) -> None:
        """Reads N tokens at N positions; the other inputs are in place."""
        x = self.wte[np.asarray(tokens)] + self.wpe[positions]
        self._view("x")[...] = x - x.mean(axis=-1, keepdims=True)
        self.interpreter.invoke()

    def _hold(self, slots: int) -> None:
        """Takes the cache out of the model, with room for so many slots."""
        old = [self._view(n) for n in self.cache_names] if self.held is None else self.held
        if self.held is not None and self.slots == slots:
            return
        # One array, so that the system gives it in huge pages. New slots are 0: rubbish may be
        # no number, which stays none times a weight of 0.
        self.held = np.zeros([len(old), *old[0].shape[:3], slots], np.float32)
        kept = min(self.slots, slots)
        for layer, old_layer in zip(self.held, old, strict=True):
            layer[..., :kept] = old_layer[..., :kept]
        self.slots = slots

    def _place(self, slots: int) -> None:
        """Puts the cache into the model's inputs, with room for so many slots."""
        if self.held is None and self.slots == slots:
            return
        self._hold(min(self.slots, slots))
        assert self.held is not None
        kept, self.slots = self.slots, slots
        self._allocate(self.rows, self.rows, slots, self.rows)
        for name, layer in zip(self.cache_names, self.held, strict=True):
            self._view(name)[..., :kept] = layer
            self._view(name)[..., kept:] = 0
        self.held = None
        self._see_each_other(np.eye(self.rows, dtype=bool))
        self._view("wanted")[...] = np.arange(self.rows)

    def _see_each_other(self, who: npt.NDArray[np.bool_]) -> None:  # [N, N]
        self._view("mask")[...] = np.where(who, np.float32(0), MASKED)

    def _allocate(self, n: int, caches: int, slots: int, wanted: int) -> None:
        h = self.hparams
        shapes: dict[str, tuple[int, ...]] = {
            "x": (n, h.n_embd),
            "mask": (1, 1, n, n),
            "past_mask": (caches, 1, 1, slots),
            "wanted": (wanted,),
        }
        shapes |= dict.fromkeys(self.cache_names, (caches, h.n_head, h.head_size, slots))
        try:
            for name, shape in shapes.items():
                self.interpreter.resize_tensor_input(self.inputs[name], shape)
            self.interpreter.allocate_tensors()
        except (MemoryError, RuntimeError) as error:
            raise OutOfMemory(
                f"LiteRT has no room for {caches} x {slots} tokens ({error}); "
                "try a smaller --batch_size, a shorter --length or --precision int8"
            ) from None

    def _view(self, name: str) -> Floats:
        return self._tensor(self.inputs[name])

    def _tensor(self, index: int) -> Floats:
        """A tensor's memory. Not to be kept: LiteRT refuses to run while such a view is held."""
        return self.interpreter.tensor(index)()
