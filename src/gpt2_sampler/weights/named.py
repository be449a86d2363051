"""Tensors by Hugging Face's names -> a GPT-2's weights by OpenAI's, checked against its shape.

Knows what each is called; not in what kind of file they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.hparams import HParams, require_shapes
from gpt2_sampler.weights.safetensors import Floats

PARTS = {"g": "weight", "b": "bias", "w": "weight"}
"""The end of OpenAI's name -> that of Hugging Face's."""
BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Attention masks, which older versions of transformers saved with the weights."""
FLOATS = ("F32", "F16", "BF16", "F64", "Q8_0")
"""Types whose numbers are taken as float32."""
HEAD = "lm_head.weight"
PARTS_OF_GPT2 = ("wte.", "wpe.", "h.", "ln_f.", "lm_head.")
"""How names begin. What else is stored are heads for other uses: to judge a text, to choose among
answers."""


class Stored(Protocol):
    """A tensor in a file. What is taken from it is float32."""

    @property
    def dtype(self) -> str:
        """As safetensors names it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, index: Any) -> Floats: ...

    def checksum(self) -> tuple[int, ...]:
        """Changes whenever a number does."""


class NamedTensors:
    """path is where the tensors were found, settings what says the shape, for errors.

    transposed: matrices are stored [out, in], as PyTorch's Linear has them. Where no bias is
    stored at all they are zeros: the model was trained without. Raises CheckpointError unless
    there is each weight of the right shape, and no more layers or other parts in them.
    """

    kind: str
    checksums = False
    files: list[Path]

    def __init__(
        self,
        path: Path,
        settings: str,
        hparams: HParams,
        found: Mapping[str, Stored],
        transposed: bool = False,
    ) -> None:
        self.found = {n: found[n] for n in found if n.startswith(PARTS_OF_GPT2)}
        self.transposed = transposed
        self.hparams = self.with_head(hparams)
        self.names = stored_names(self.hparams)
        biases = [name for name in self.names if name.endswith("/b")]
        self.absent = biases if not any(self.names[name] in found for name in biases) else []
        shapes = self.hparams.variable_shapes()
        require_shapes(
            path,
            {name: (tensor.dtype, tensor.shape) for name, tensor in self.found.items()},
            {self.names[n]: self.stored_shape(shapes[n]) for n in shapes if n not in self.absent},
            FLOATS,
            settings,
        )
        useless = self.found.keys() - {*self.names.values(), HEAD}
        if extra := sorted(n for n in useless if not n.endswith(BUFFERS)):
            raise CheckpointError(
                f"{path} has {len(extra)} tensors that are not of a GPT-2 that writes text, "
                f"such as {extra[0]!r:.80}; it cannot be sampled from"
            )

    def with_head(self, hparams: HParams) -> HParams:
        """The matrix that makes logits may be stored twice, or only by its second name."""
        if HEAD not in self.found:
            return hparams
        if "wte.weight" not in self.found and hparams.tie_word_embeddings:
            self.found["wte.weight"] = self.found[HEAD]
        if "wte.weight" not in self.found:
            return hparams
        same = equal(self.found[HEAD], self.found["wte.weight"])
        return dataclasses.replace(hparams, tie_word_embeddings=same)

    def stored_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) == 3 and self.transposed:
            return shape[:0:-1]
        return matrix(shape)

    def read(self, name: str) -> Floats:
        if name in self.absent:
            return np.zeros(self.hparams.variable_shapes()[name], np.float32)
        array = self.found[self.names[name]][...]
        if not name.endswith("/w"):
            return array
        return np.ascontiguousarray(array.T)[None] if self.transposed else array[None]

    def digest(self) -> bytes:
        """Of what the weights are, not of times and sizes, which stay the same where one
        fine-tuned model is unpacked over another."""
        used = {n: self.found[self.names[n]] for n in self.names if n not in self.absent}
        content = [(name, t.dtype, t.shape, t.checksum()) for name, t in used.items()]
        return hashlib.sha256(repr((content, self.transposed)).encode()).digest()


def equal(one: Stored, other: Stored) -> bool:
    return one.shape == other.shape and all(
        np.array_equal(one[start : start + 1024], other[start : start + 1024])
        for start in range(0, one.shape[0], 1024)
    )


def matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """OpenAI's shape -> Hugging Face's, which has no convolution's width of 1."""
    return shape[1:] if len(shape) == 3 else shape


def stored_names(hparams: HParams) -> dict[str, str]:
    """OpenAI's names -> Hugging Face's, without "transformer."."""
    names = {}
    for name in hparams.variable_shapes():
        if name in ("wte", "wpe", "lm_head"):
            names[name] = f"{name}.weight"
        else:
            *path, part = name.replace("/", ".").split(".")
            layer = path[0] if path[0] == "ln_f" else f"h.{path[0].removeprefix('h')}"
            names[name] = ".".join([layer, *path[1:], PARTS[part]])
    return names
