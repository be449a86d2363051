"""A GGUF file of a GPT-2 -> its weights by OpenAI's names, and its vocabulary.

Knows the format (github.com/ggml-org/ggml/blob/master/docs/gguf.md) and how llama.cpp's converter
lays out a GPT-2 in it: matrices as PyTorch's Linear has them. Types beyond Q8_0 are dequantised by
the gguf package, an extra; its reader of files is not used, as it takes 1.6 s for a vocabulary of
50,257 names.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.errors import CheckpointError, brief
from gpt2_sampler.files import map_bytes
from gpt2_sampler.packages import require
from gpt2_sampler.tokenizer.ggml import ggml_tokenizer
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.format import find_file
from gpt2_sampler.weights.hparams import HParams, hparams_from
from gpt2_sampler.weights.named import NamedTensors
from gpt2_sampler.weights.storage import (
    FLOATS,
    STORED,
    Floats,
    Rows,
    Stored,
    crc32c,
    require_shape,
    size_of,
)  # fmt: skip

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEAD = 1 << 25  # bytes before the tensors; those of 250,000 tokens and their merges have 2^24
MAX_COUNT = 1 << 20  # of fields, and of tensors
SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
TEXT, ARRAY = 8, 9
TYPES = {0: "F32", 1: "F16", 30: "BF16", 28: "F64"}
"""Values of ggml_type whose numbers are stored as they are."""
Q8_0 = 8
Q8_0_NUMBERS, Q8_0_BYTES = 32, 34
"""The numbers and the bytes of a block, which has one scale. The gguf package knows those of the
other types."""
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
    """A tensor whose numbers are stored in blocks: blocks is [..., bytes], the last axis the blocks
    of a row; kind is a value of ggml_type."""

    blocks: np.ndarray
    kind: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        return self.blocks.nbytes

    def __getitem__(self, index: Any) -> Floats:
        """index chooses among rows."""
        taken = self.blocks[index]
        with np.errstate(all="ignore"):  # a damaged scale may be any number, or none
            if self.kind == Q8_0:
                return dequantize_q8_0(taken)
            from gguf import GGMLQuantizationType, dequantize

            numbers: Floats = dequantize(taken, GGMLQuantizationType(self.kind))
        return numbers

    def checksum(self) -> tuple[int, ...]:
        return (crc32c(self.blocks.reshape(-1)),)


def dequantize_q8_0(blocks: np.ndarray) -> Floats:  # uint8 [..., 34 B] -> [..., 32 B]
    """Each block is a scale, in half precision, and 32 whole numbers."""
    taken = np.ascontiguousarray(blocks).reshape(*blocks.shape[:-1], -1, Q8_0_BYTES)
    scales = np.ascontiguousarray(taken[..., :2]).view("<f2").astype(np.float32)
    return (taken[..., 2:].view(np.int8) * scales).reshape(*blocks.shape[:-1], -1)


class GGUF:
    """metadata has the file's fields: numbers, text, and lists of text or arrays of numbers.

    Raises CheckpointError for a file that is not whole and sound, or of types not read here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = map_bytes(path)
        try:
            self._head, self._at = file[:MAX_HEAD].tobytes(), 0
            self.metadata, self.tensors = self._read(file)
        except (ValueError, OverflowError, struct.error) as error:
            raise CheckpointError(
                f"{path} is damaged or no GGUF file ({error})", file=path
            ) from None
        del self._head

    def _read(self, file: np.ndarray) -> tuple[dict[str, Any], dict[str, Stored]]:
        if self._take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        if (version := self._number("<I")) not in VERSIONS:
            raise ValueError(f"it is of version {version}, not of 2 or 3")
        n_tensors, n_fields = self._number("<Q"), self._number("<Q")
        if max(n_tensors, n_fields) > MAX_COUNT:
            raise ValueError(f"it would have {n_tensors:,} tensors and {n_fields:,} fields")
        metadata = collect((self._text(), self._value(self._number("<I"))) for _ in range(n_fields))
        described = collect(self._tensor_info() for _ in range(n_tensors))
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment < 1 << 20:
            raise ValueError(f"its alignment is {brief(alignment)}")
        start = -(-self._at // alignment) * alignment
        return metadata, {
            name: self._tensor(file, name, shape, kind, start + offset)
            for name, (shape, kind, offset) in described.items()
        }

    def _take(self, size: int) -> bytes:
        taken = self._head[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("it is cut short, or more comes before its tensors than ever does")
        self._at += size
        return taken

    def _number(self, kind: str) -> Any:
        return struct.unpack(kind, self._take(struct.calcsize(kind)))[0]

    def _text(self) -> str:
        return self._take(self._number("<Q")).decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == TEXT:
            return self._text()
        if kind == ARRAY:
            kind, size = self._number("<I"), self._number("<Q")
            if kind == TEXT:
                self._take(8 * size)  # the lengths alone: no more than there are
                self._at -= 8 * size
                return [self._text() for _ in range(size)]
            dtype = np.dtype(scalar_format(kind))
            return np.frombuffer(self._take(size * dtype.itemsize), dtype)
        return self._number(scalar_format(kind))

    def _tensor_info(self) -> tuple[str, tuple[tuple[int, ...], int, int]]:
        """A tensor's name, shape, type and place; GGUF gives the last axis first."""
        name, n_axes = self._text(), self._number("<I")
        axes = [self._number("<Q") for _ in range(min(n_axes, MAX_COUNT))]
        return name, (require_shape(axes[::-1]), self._number("<I"), self._number("<Q"))

    def _tensor(
        self, file: np.ndarray, name: str, shape: tuple[int, ...], kind: int, begin: int
    ) -> Stored:
        if kind in TYPES:
            size = size_of(TYPES[kind], shape)
        else:
            dtype, n_numbers, n_bytes = self._blocks(name, kind)
            if not shape or shape[-1] % n_numbers:
                raise ValueError(f"{name!r:.80} of shape {shape} does not consist of blocks")
            row = shape[-1] // n_numbers * n_bytes
            size = math.prod(shape[:-1]) * row
        if begin + size > len(file):
            raise ValueError(f"it is cut short: {name!r:.80} goes on to byte {begin + size:,}")
        content = file[begin : begin + size]
        if kind in TYPES:
            return Rows(content.view(STORED[TYPES[kind]]).reshape(shape), TYPES[kind])
        return Quantised(content.reshape(*shape[:-1], row), kind, dtype, shape)

    def _blocks(self, name: str, kind: int) -> tuple[str, int, int]:
        """A quantised type's name, and a block's numbers and bytes. Raises CheckpointError."""
        if kind == Q8_0:
            return "Q8_0", Q8_0_NUMBERS, Q8_0_BYTES
        what = f"{self.path}: {name!r:.80} is of ggml's type {kind}, which can only be read with"
        require("gguf", what, CheckpointError)
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

        if kind not in GGML_QUANT_SIZES:
            raise ValueError(f"{name!r:.80} is of ggml's type {kind}, which is none")
        known = GGMLQuantizationType(kind)
        n_numbers, n_bytes = GGML_QUANT_SIZES[known]
        try:
            dequantize(np.zeros(n_bytes, np.uint8), known)
        except NotImplementedError:
            raise ValueError(f"{name!r:.80} is {known.name}, a type that no weights have") from None
        return known.name, n_numbers, n_bytes


def collect(fields: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError where a name is given twice."""
    found: dict[str, Any] = {}
    for name, value in fields:
        if name in found:
            raise ValueError(f"it has {name!r:.80} twice")
        found[name] = value
    return found


def scalar_format(kind: int) -> str:
    if kind not in SCALARS:
        raise ValueError(f"a field is of type {kind}, which is none")
    return SCALARS[kind]


class GGUFTensors(NamedTensors):
    kind, out_first = "gguf", True

    def __init__(self, path: Path) -> None:
        self.files = [path]
        file = GGUF(path)
        self.metadata = file.metadata
        kind = file.metadata.get("general.architecture")
        if not isinstance(kind, str) or kind != "gpt2":  # an array compares by its elements
            raise CheckpointError(
                f"{path} is a GGUF file of a {str(kind)!r:.40}, not of a gpt2, and cannot be "
                "sampled from here; llama.cpp runs it"
            )
        found = {translate_name(name): tensor for name, tensor in file.tensors.items()}
        self.dtypes = (*FLOATS, *sorted({t.dtype for t in found.values()} - {*STORED}))
        super().__init__(path, "its metadata", read_shape(path, file), found)

    @classmethod
    def find(cls, path: Path) -> Path | None:
        if path.is_dir():
            return find_file(path, "*.gguf")
        return path if path.suffix == ".gguf" and path.is_file() else None

    def tokenizer(self) -> Tokenizer:
        try:
            return ggml_tokenizer(self.metadata)
        except CheckpointError as error:
            raise CheckpointError(f"{self.files[0]}: {error}") from None


def translate_name(name: str) -> str:
    """ "blk.3.attn_qkv.weight" -> "h.3.attn.c_attn.weight"."""
    *path, part, kind = name.split(".") if name.count(".") else (name, "")
    layer = re.sub(r"^blk\.", "h.", ".".join(path))
    return ".".join(filter(None, (layer, NAMES.get(part, part), kind)))


def read_shape(path: Path, file: GGUF) -> HParams:
    """The fields of the file, with the vocabulary's size, which only the embedding tells."""
    given = {field: file.metadata[field] for field in FIELDS.values() if field in file.metadata}
    epsilon = FIELDS["layer_norm_epsilon"]
    if isinstance(given.get(epsilon), float):  # stored as float32: 1e-05, as it was before
        given[epsilon] = float(f"{given[epsilon]:.7g}")
    embedding = file.tensors.get("token_embd.weight")
    given["n_vocab"] = embedding.shape[0] if embedding is not None and embedding.shape else 0
    return hparams_from(path, given, FIELDS)
