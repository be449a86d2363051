"""A GGUF file of a GPT-2 -> its weights by OpenAI's names, and what it says of its vocabulary.

Knows the format (github.com/ggml-org/ggml/blob/master/docs/gguf.md) and how llama.cpp's converter
lays out a GPT-2 in it: matrices as PyTorch's Linear has them.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.files import map_bytes
from gpt2_sampler.weights.hparams import HParams
from gpt2_sampler.weights.named import NamedTensors, Stored
from gpt2_sampler.weights.safetensors import STORED, Floats, Rows, crc32c

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEAD = 1 << 25  # bytes before the tensors; those of 250,000 tokens and their merges have 2^24
MAX_AXES = 4
MAX_COUNT = 1 << 20  # of fields, of tensors, and of numbers of an axis
SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
TEXT, ARRAY = 8, 9
TYPES = {0: "F32", 1: "F16", 30: "BF16", 28: "F64", 8: "Q8_0"}
OTHER_TYPES = {
    2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
    13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M",
}  # fmt: skip
"""The names of values of ggml_type."""
BLOCK = 32  # numbers of Q8_0 that share a scale
BLOCK_BYTES = 2 + BLOCK
NAMES = {
    "token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f", "output": "lm_head",
    "attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj",
}  # fmt: skip
"""llama.cpp's names -> Hugging Face's."""
FIELDS = {
    "n_ctx": "gpt2.context_length",
    "n_embd": "gpt2.embedding_length",
    "n_head": "gpt2.attention.head_count",
    "n_layer": "gpt2.block_count",
    "n_inner": "gpt2.feed_forward_length",
    "layer_norm_epsilon": "gpt2.attention.layer_norm_epsilon",
}


@dataclasses.dataclass(frozen=True)
class Quantised:
    """Q8_0: blocks of 32 bytes in a row share a scale. blocks is [..., blocks, 34] bytes."""

    blocks: np.ndarray
    dtype: str = "Q8_0"

    @property
    def shape(self) -> tuple[int, ...]:
        *axes, blocks, _ = self.blocks.shape
        return (*axes, blocks * BLOCK)

    def __getitem__(self, index: Any) -> Floats:
        """index chooses among rows."""
        taken = self.blocks[index]
        scales = np.ascontiguousarray(taken[..., :2]).view("<f2").astype(np.float32)
        with np.errstate(invalid="ignore"):  # a damaged scale may be no number
            numbers = taken[..., 2:].view(np.int8) * scales
        return numbers.reshape(*taken.shape[:-2], -1)

    def checksum(self) -> tuple[int, ...]:
        return (crc32c(self.blocks.reshape(-1)),)


class GGUF:
    """metadata has the file's fields: numbers, text, and lists of text or arrays of numbers.

    Raises CheckpointError for a file that is not whole and sound, or of types not read here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = map_bytes(path)
        try:
            self.head = file[:MAX_HEAD].tobytes()
            self.at = 0
            self.metadata, self.tensors = self.read(file)
        except (ValueError, OverflowError, struct.error) as error:
            raise CheckpointError(
                f"{path} is damaged or no GGUF file ({error})", file=path
            ) from None
        del self.head

    def read(self, file: np.ndarray) -> tuple[dict[str, Any], dict[str, Stored]]:
        if self.take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        if (version := self.number("<I")) not in VERSIONS:
            raise ValueError(f"it is of version {version}, not of 2 or 3")
        n_tensors, n_fields = self.number("<Q"), self.number("<Q")
        if max(n_tensors, n_fields) > MAX_COUNT:
            raise ValueError(f"it would have {n_tensors:,} tensors and {n_fields:,} fields")
        metadata = {self.text(): self.value(self.number("<I")) for _ in range(n_fields)}
        described = [self.described() for _ in range(n_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment < 1 << 20:
            raise ValueError(f"its alignment is {alignment!r:.40}")
        start = -(-self.at // alignment) * alignment
        tensors = {
            name: self.tensor(file, name, shape, kind, start + offset)
            for name, shape, kind, offset in described
        }
        if len(tensors) < n_tensors:
            raise ValueError("a tensor has the name of another")
        return metadata, tensors

    def take(self, size: int) -> bytes:
        taken = self.head[self.at : self.at + size]
        if len(taken) < size:
            raise ValueError("it is cut short, or more comes before its tensors than ever does")
        self.at += size
        return taken

    def number(self, kind: str) -> Any:
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def text(self) -> str:
        return self.take(self.number("<Q")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            kind, size = self.number("<I"), self.number("<Q")
            if kind == TEXT:
                self.take(min(8 * size, 1 << 40))  # the lengths alone: no more than there are
                self.at -= 8 * size
                return [self.text() for _ in range(size)]
            dtype = np.dtype(self.scalar(kind))
            return np.frombuffer(self.take(min(size, 1 << 40) * dtype.itemsize), dtype)
        return self.number(self.scalar(kind))

    def scalar(self, kind: int) -> str:
        if kind not in SCALARS:
            raise ValueError(f"a field is of type {kind}, which is none")
        return SCALARS[kind]

    def described(self) -> tuple[str, tuple[int, ...], int, int]:
        """A tensor's name, shape, type and place; GGUF gives the last axis first."""
        name, n_axes = self.text(), self.number("<I")
        if n_axes > MAX_AXES:
            raise ValueError(f"{name!r:.80} has {n_axes} axes")
        shape = tuple(self.number("<Q") for _ in range(n_axes))[::-1]
        if any(n > MAX_COUNT for n in shape):
            raise ValueError(f"{name!r:.80} has the shape {shape}")
        return name, shape, self.number("<I"), self.number("<Q")

    def tensor(
        self, file: np.ndarray, name: str, shape: tuple[int, ...], kind: int, begin: int
    ) -> Stored:
        if kind not in TYPES:
            raise CheckpointError(
                f"{self.path}: {name!r:.80} is {OTHER_TYPES.get(kind, f'of type {kind}')}; "
                f"{', '.join(TYPES.values())} can be read: quantize it to Q8_0 or convert it anew"
            )
        quantised = TYPES[kind] == "Q8_0"
        if quantised and (not shape or shape[-1] % BLOCK):
            raise ValueError(f"{name!r:.80} of shape {shape} does not consist of blocks")
        count = math.prod(shape)
        dtype = np.dtype("u1" if quantised else STORED[TYPES[kind]])
        size = count // BLOCK * BLOCK_BYTES if quantised else count * dtype.itemsize
        if begin + size > len(file):
            raise ValueError(f"it is cut short: {name!r:.80} goes on to byte {begin + size:,}")
        content = file[begin : begin + size].view(dtype)
        if quantised:
            return Quantised(content.reshape(*shape[:-1], shape[-1] // BLOCK, BLOCK_BYTES))
        return Rows(content.reshape(shape), TYPES[kind])


class GGUFTensors(NamedTensors):
    """metadata is the file's."""

    kind = "gguf"

    def __init__(self, path: Path) -> None:
        self.files = [path]
        file = GGUF(path)
        self.metadata = file.metadata
        kind = file.metadata.get("general.architecture")
        if not isinstance(kind, str) or kind != "gpt2":
            raise CheckpointError(
                f"{path} is a GGUF file of a {str(kind)!r:.40}, not of a gpt2, and cannot be "
                "sampled from here; llama.cpp runs it"
            )
        found = {their_name(name): tensor for name, tensor in file.tensors.items()}
        super().__init__(path, "its metadata", shape(path, file), found, transposed=True)


def their_name(name: str) -> str:
    """ "blk.3.attn_qkv.weight" -> "h.3.attn.c_attn.weight"."""
    *path, part, kind = name.split(".") if name.count(".") else (name, "")
    layer = re.sub(r"^blk\.", "h.", ".".join(path))
    return ".".join(filter(None, (layer, NAMES.get(part, part), kind)))


def shape(path: Path, file: GGUF) -> HParams:
    fields = {name: file.metadata[key] for name, key in FIELDS.items() if key in file.metadata}
    for name, value in fields.items():
        if not isinstance(value, (int, float)):
            raise CheckpointError(f"{path} is damaged: {FIELDS[name]} is no number", file=path)
    missing = [
        FIELDS[name] for name in ("n_ctx", "n_embd", "n_head", "n_layer") if name not in fields
    ]
    if missing:
        raise CheckpointError(f"{path} is damaged: it has no {missing[0]}", file=path)
    if fields.get("n_inner") == 4 * fields["n_embd"]:
        del fields["n_inner"]
    epsilon = fields.get("layer_norm_epsilon", 1e-5)
    fields["layer_norm_epsilon"] = float(str(np.float32(epsilon)))  # 1e-05, as before it was stored
    embedding = file.tensors.get("token_embd.weight")
    n_vocab = embedding.shape[0] if embedding is not None and embedding.shape else 0
    try:
        return HParams(n_vocab=n_vocab, **fields)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
