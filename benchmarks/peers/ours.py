"""This project's engines and decoding loop, as a peer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from benchmarks.peers.peer import END_OF_TEXT, SEED, TEMPERATURE, TOP_K, Peer, Step, Texts

if TYPE_CHECKING:
    from gpt2_sampler import Engine


class LiteRT(Peer):
    module, program, sampler = "ai_edge_litert", "gpt2-sampler", "C"

    def load(self, folder: Path, target: Path, threads: int) -> None:
        from gpt2_sampler import load_engine
        from gpt2_sampler.engines.litert.attention import implementation

        if implementation() == "NumPy":
            raise SystemExit("attention.c is not compiled here; type: pip install -e .")
        if self.precision == "int8":
            self.cache_bytes = 1 + 4 / 64  # a scale for the 64 numbers of a head
        self.folder = folder
        self.take(load_engine(folder, "cpu", self.precision, threads))

    def take(self, engine: Engine) -> None:
        """With a stopwatch on its forward()."""
        forward = engine.forward
        self.engine_seconds = 0.0

        def measure(*args: Any) -> Any:
            start = time.perf_counter()
            logits = forward(*args)
            self.engine_seconds = (self.engine_seconds or 0) + time.perf_counter() - start
            return logits

        engine.forward = measure  # type: ignore[method-assign, assignment]
        self.engine = engine

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        return self.engine.logits(tokens)[-1]

    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        from gpt2_sampler import Batch, Request, Sampling

        prompt, sampling = [END_OF_TEXT] * n_prompt, Sampling(TEMPERATURE, top_k)
        batch = Batch(self.engine, rows)
        for row in range(rows):
            batch.add(Request(row, prompt, (SEED, row), sampling, length))
        tokens = []
        while len(batch):
            drawn = batch.step()
            tokens += [token.id for token in drawn if token.request.id == 0]
            if len(drawn) == rows:  # fewer where the prompt is copied, when the first row has it
                step()
        return tokens

    def continue_all(self, texts: Texts, rows: int) -> int:
        """As the commands that write files do, but for the files."""
        from gpt2_sampler import Batch, Sampling
        from gpt2_sampler.corpus.jobs import Job, Plan
        from gpt2_sampler.corpus.write import write
        from gpt2_sampler.tokenizer.byte_level import load_encoder

        plan = Plan(SEED, 0, 1, 1, Sampling(TEMPERATURE, TOP_K))
        jobs = [Job(k, k, SEED, *text, plan.sampling) for k, text in enumerate(texts)]
        pieces = write(Batch(self.engine, rows), load_encoder(self.folder), jobs, plan)
        return sum(piece.tokens for piece in pieces)

    def draw_all(self, texts: Texts, rows: int) -> int:
        """The decoding loop alone."""
        from gpt2_sampler import Batch, Request, Sampling

        batch, sampling = Batch(self.engine, rows), Sampling(TEMPERATURE, TOP_K)
        for k, (prompt, length) in enumerate(texts):
            batch.add(Request(k, prompt, (SEED, k), sampling, length))
        n_tokens = 0
        while len(batch):
            n_tokens += len(batch.step())
        return n_tokens

    def read(self, n_prompt: int) -> None:
        tokens, places = [END_OF_TEXT] * n_prompt, range(n_prompt)
        cache = self.engine.new_cache(1)
        self.engine.forward(cache, tokens, [0] * n_prompt, places, [n_prompt - 1])


class TensorFlow(LiteRT):
    module, program = "tensorflow", "gpt2-sampler TensorFlow"
    starts_slowly = True

    def load(self, folder: Path, target: Path, threads: int) -> None:
        from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

        self.take(TensorFlowEngine(folder, "cpu", threads))
