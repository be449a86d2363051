"""A program that samples from GPT-2, behind the few verbs that the benchmarks measure.

Knows no program. A prompt is as many end-of-text tokens as asked for: what a token costs does not
depend on which it is.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

TOP_K, TEMPERATURE, SEED = 40, 0.7, 1
END_OF_TEXT = 50256
BYTES = {"float32": 4, "f32": 4, "f16": 2, "q8_0": 34 / 32, "int8": 1}
"""Of a weight. q8_0 has a scale of 2 bytes for every 32 weights."""

Step = Callable[[], None]
Texts = Sequence[tuple[Sequence[int], int]]
"""Prompts, and how many tokens are to follow each."""


class Peer(abc.ABC):
    """A program with the weights in one precision."""

    module: str
    """What its Python package is imported as."""
    program: str
    sampler: str
    """What its own sampler runs in."""
    starts_slowly = False
    cache_bytes: float = 4
    """Of a number in the cache of keys and values."""
    engine_seconds: float | None = None
    """How long the model's part of generating took so far, where it can be told apart."""

    def __init__(self, precision: str = "float32") -> None:
        self.precision = precision

    @property
    def name(self) -> str:
        return f"{self.program} {self.precision}"

    def convert(self, folder: Path, target: Path) -> None:
        """Writes what load() needs of an OpenAI checkpoint folder at target, a path that is not
        there yet. A program that needs nothing of its own writes nothing."""
        return

    @abc.abstractmethod
    def load(self, folder: Path, target: Path, threads: int) -> None: ...

    @abc.abstractmethod
    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """After the last of some tokens -> [V]."""

    @abc.abstractmethod
    def generate(
        self, n_prompt: int, length: int, rows: int, step: Step, top_k: int = TOP_K
    ) -> list[int]:
        """Reads the prompt, then samples length tokens for each row; calls step whenever all rows
        have their next token. -> the first row's. A top_k of 0 keeps all tokens."""

    def continue_all(self, texts: Texts, rows: int) -> int:
        """Goes on with each text, so many at once -> how many tokens it sampled."""
        raise NotImplementedError

    def read(self, n_prompt: int) -> None:
        """Reads the prompt, up to the next token's choice."""
        self.generate(n_prompt, 1, 1, lambda: None)
