"""Tensors by Hugging Face's names -> a GPT-2's weights by OpenAI's, checked against its shape.

Knows what each is called; not in what kind of file they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.format import Tensors
from gpt2_sampler.weights.hparams import HParams, require_room, require_shapes
from gpt2_sampler.weights.storage import FLOATS, Floats, Stored

PARTS = {"g": "weight", "b": "bias", "w": "weight"}
"""The end of OpenAI's name -> that of Hugging Face's."""
BUFFERS = (".attn.bias", ".attn.masked_bias")
"""Attention masks, which older versions of transformers saved with the weights."""
EMBEDDING, HEAD = "wte.weight", "lm_head.weight"
PARTS_OF_GPT2 = ("wte.", "wpe.", "h.", "ln_f.", "lm_head.")
"""How names begin. What else is stored are heads for other uses: to judge a text, to choose among
answers."""
ROWS = 1024  # of an embedding, compared at a time


class NamedTensors(Tensors):
    """path is where the tensors were found, settings the name of what says their shape.

    Where no bias is stored at all they are zeros: the model was trained without. Raises
    CheckpointError unless there is each weight of the right shape, and no more layers or other
    parts in them.
    """

    out_first: ClassVar[bool] = False
    """Whether matrices are stored [out, in], as PyTorch's Linear has them."""
    dtypes: Sequence[str] = FLOATS

    def __init__(
        self, path: Path, settings: str, hparams: HParams, found: Mapping[str, Stored]
    ) -> None:
        self.found = {name: found[name] for name in found if name.startswith(PARTS_OF_GPT2)}
        if HEAD in found:
            if hparams.tie_word_embeddings:  # by this name alone it serves both ends
                self.found.setdefault(EMBEDDING, found[HEAD])
            hparams = dataclasses.replace(hparams, tie_word_embeddings=False)
        self.names = stored_names(hparams)
        biases = [name for name in self.names if name.endswith("/b")]
        self.absent = biases if not any(self.names[name] in found for name in biases) else []
        require_shapes(path, self.found, self.stored_shapes(hparams), self.dtypes, settings)
        if HEAD in found:
            same = have_same_rows(self.found[HEAD], self.found[EMBEDDING])
            hparams = dataclasses.replace(hparams, tie_word_embeddings=same)
        self.hparams, self.names = hparams, stored_names(hparams)
        require_room(path, self.files, self.stored_weights().values())
        useless = self.found.keys() - {*self.names.values(), HEAD}
        if extra := sorted(n for n in useless if not n.endswith(BUFFERS)):
            raise CheckpointError(
                f"{path} has {len(extra)} tensors that are not of a GPT-2 that writes text, "
                f"such as {extra[0]!r:.80}; it cannot be sampled from"
            )

    def stored_shapes(self, hparams: HParams) -> dict[str, tuple[int, ...]]:
        return {
            self.names[name]: shape[::-1] if name.endswith("/w") and self.out_first else shape
            for name, shape in hparams.variable_shapes().items()
            if name not in self.absent
        }

    def stored_weights(self) -> dict[str, Stored]:
        """What is stored of the weights, by OpenAI's names."""
        return {n: self.found[self.names[n]] for n in self.names if n not in self.absent}

    def read(self, name: str) -> Floats:
        if name in self.absent:
            return np.zeros(self.hparams.variable_shapes()[name], np.float32)
        array = self.found[self.names[name]][...]
        return array.T if name.endswith("/w") and self.out_first else array

    def digest(self) -> bytes:
        """Of what the weights are, not of times and sizes, which stay the same where one
        fine-tuned model is unpacked over another."""
        content = [
            (name, t.dtype, t.shape, t.checksum()) for name, t in self.stored_weights().items()
        ]
        return hashlib.sha256(repr((content, self.out_first)).encode()).digest()


def have_same_rows(one: Stored, other: Stored) -> bool:  # both [V, E]
    return all(
        np.array_equal(one[start : start + ROWS], other[start : start + ROWS])
        for start in range(0, one.shape[0], ROWS)
    )


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
