"""A checkpoint -> an engine that runs it on a CPU, alternating LiteRT's kernels and our attention.

Never imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpt2_sampler.engines.engine import Cache, Engine, Floats
from gpt2_sampler.engines.litert.attention import Attention, new_attention
from gpt2_sampler.engines.litert.embedding import Embedding
from gpt2_sampler.engines.litert.export import export_model
from gpt2_sampler.engines.litert.functions import load_functions, load_model
from gpt2_sampler.engines.litert.packed import packed_weights
from gpt2_sampler.engines.memory import LITERT_PIECE
from gpt2_sampler.errors import OutOfMemory
from gpt2_sampler.weights.checkpoint import Checkpoint, open_checkpoint


class LiteRTEngine(Engine):
    """precision, "float32" or "int8", is that of the weights and of the cache."""

    def __init__(self, model: Path | Checkpoint, precision: str, threads: int) -> None:
        checkpoint = open_checkpoint(model)
        super().__init__(checkpoint.hparams)
        self.int8 = precision == "int8"
        if self.int8:
            self.weight_bytes //= 4
        self.threads = threads
        file = export_model(checkpoint, precision)
        self.embedding = Embedding(file.path, file.places)
        packed = None
        if file.is_kept:
            packed = packed_weights(file.path, lambda part: load_model(file.path, threads, part))
        self.layers, self.last = load_functions(file.path, self.hparams.n_layer, threads, packed)
        file.loaded()

    def new_cache(self, rows: int) -> Attention:
        h = self.hparams
        with self._turn():
            try:
                return new_attention(
                    h.n_layer, rows, h.n_ctx, h.n_head, h.head_size, self.int8, self.threads
                )
            except MemoryError:
                raise OutOfMemory(f"there is no room for the cache of {rows} texts") from None

    def forward(
        self,
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        assert isinstance(cache, Attention), "a cache of this engine's own"
        given = np.array([tokens, rows, positions], np.int32)  # [3, N]
        last = np.asarray(wanted, np.intp)
        with self._turn():
            if given.shape[1] <= LITERT_PIECE:
                return self._read(cache, given, last).copy()
            logits = np.empty([len(last), self.hparams.n_vocab], np.float32)
            for start in range(0, given.shape[1], LITERT_PIECE):
                here = (last >= start) & (last < start + LITERT_PIECE)
                piece = given[:, start : start + LITERT_PIECE]
                logits[here] = self._read(cache, piece, last[here] - start)
        return logits

    def _read(self, attention: Attention, given: np.ndarray, wanted: np.ndarray) -> Floats:
        """given is tokens, rows and positions [3, N], N at most LITERT_PIECE. The logits are
        LiteRT's own memory, which the next call overwrites."""
        tokens, rows, positions = given
        plan = self.layers.prepare(len(tokens))
        attention.begin(rows, positions, plan.out, plan.attended)
        plan.x[...] = self.embedding.look_up(tokens, positions)
        for layer in range(self.hparams.n_layer):
            self.layers.run(plan, layer)
            attention.attend(layer)
        if not len(wanted):
            return np.empty([0, self.hparams.n_vocab], np.float32)
        last = self.last.prepare(len(wanted))
        which: np.ndarray | slice = wanted if len(tokens) > 1 else slice(None)
        last.x[...], last.attended[...] = plan.state[which], plan.attended[which]
        self.last.run(last, 0)
        return last.out

    def copy(self, cache: Cache, source: int, targets: Sequence[int], tokens: int) -> None:
        assert isinstance(cache, Attention), "a cache of this engine's own"
        with self._turn():
            cache.copy(source, targets, tokens)

    def _free(self) -> None:
        self.embedding.close()
        del self.layers, self.last
