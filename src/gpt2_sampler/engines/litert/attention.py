"""Queries, keys and values of tokens of any rows -> the output of attention, with a cache per row.

There are two implementations with the same results: Kernel, compiled from attention.c if there was
a C compiler when the package was installed, and Plain, in NumPy. Knows no model and no LiteRT.
Axis letters as in weights/hparams.py; a call reads N tokens.
"""

from __future__ import annotations

import abc
import ctypes
import itertools
import logging
import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpt2_sampler.compiled import address, load_library
from gpt2_sampler.engines.engine import Cache

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]

LANES, CHUNK, HEAD_MAX = 16, 64, 512
"""As in attention.c."""
WORTH_A_THREAD = 4096
"""Cached vectors that a call has to look at; fewer are done before a second thread has woken up."""
INT8_TOP, TINY = np.float32(127), np.float32(1e-30)

PRIVATE: dict[str, int] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)
"""Memory that is not shared with child processes; on Windows it never is."""

log = logging.getLogger(__name__)


class Attention(Cache):
    """The caches of L layers for B rows of C slots, and the attention over them.

    begin says which tokens come next; then attend is called for each layer. The content of slots
    that were never written does not matter.
    """

    @abc.abstractmethod
    def begin(self, rows: Numbers, positions: Numbers, qkv: Floats, out: Floats) -> None:
        """N tokens, those of one row in ascending order, and where each layer's queries, keys and
        values will be, [N, 3 E], and what attention finds is to be, [N, E]. Both are contiguous."""

    @abc.abstractmethod
    def attend(self, layer: int) -> None:
        """Reads what is in qkv by now, with scaled queries, and writes out."""

    @abc.abstractmethod
    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        """Copies the first slots of one row, as many as there are tokens, to other rows."""


def new_attention(
    layers: int, rows: int, slots: int, heads: int, head_size: int, int8: bool, threads: int
) -> Attention:
    """The fastest one available. In int8 each vector of the cache has a scale of its own. Raises
    MemoryError."""
    kernel = find_kernel() if head_size <= HEAD_MAX else None
    if kernel is None:
        return Plain(layers, rows, slots, heads, head_size, int8)
    return Kernel(kernel, layers, rows, slots, heads, head_size, int8, threads)


class Plain(Attention):
    """Matrix products, row by row, over a float32 cache [L, B, 2, H, C, K]. For int8 it holds the
    rounded numbers that the kernel's cache represents."""

    def __init__(
        self, layers: int, rows: int, slots: int, heads: int, head_size: int, int8: bool
    ) -> None:
        super().__init__(rows)
        self.cache = reserve([layers, rows, 2, heads, slots, head_size], np.float32)
        self.int8 = int8

    def begin(self, rows: Numbers, positions: Numbers, qkv: Floats, out: Floats) -> None:
        self.qkv, self.out = qkv, out
        ends = runs(rows, positions)
        self.runs = [
            (slice(first, last), int(rows[first]), int(positions[first]))
            for first, last in itertools.pairwise(ends)
        ]

    def attend(self, layer: int) -> None:
        heads, size = self.cache.shape[3], self.cache.shape[5]
        parts = self.qkv.reshape(-1, 3, heads, size).transpose(1, 2, 0, 3)  # [3, H, N, K]
        for tokens, row, first in self.runs:
            query, key, value = parts[:, :, tokens]
            end = first + query.shape[1]
            keys, values = self.cache[layer, row, :, :, :end]
            keys[:, first:] = round_to_int8(key) if self.int8 else key
            values[:, first:] = round_to_int8(value) if self.int8 else value
            scores = query @ keys.transpose(0, 2, 1)  # [H, T, S]
            later = np.arange(end) > np.arange(first, end)[:, None]
            scores[:, later] = -np.inf
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            attended = weights @ values / weights.sum(axis=-1, keepdims=True)
            self.out[tokens] = attended.transpose(1, 0, 2).reshape(end - first, heads * size)

    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        for target in targets:
            self.cache[:, target, ..., :tokens, :] = self.cache[:, source, ..., :tokens, :]


def round_to_int8(vectors: Floats) -> Floats:  # [..., K] -> [..., K]
    """The nearest numbers that int8 can represent, the largest of each vector being 127 steps."""
    top = np.maximum(np.abs(vectors).max(axis=-1, keepdims=True), TINY)
    return np.rint(vectors * (INT8_TOP / top)) * (top / INT8_TOP)


def runs(rows: Numbers, positions: Numbers) -> npt.NDArray[np.intp]:
    """Where each run of tokens of one row at consecutive positions begins, and N at the end."""
    goes_on = (rows[1:] == rows[:-1]) & (positions[1:] == positions[:-1] + 1)
    return np.flatnonzero(np.r_[True, ~goes_on, True])


def reserve(shape: Sequence[int], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Zeros that the system provides page by page when they are touched, and takes back when they
    are dropped. np.zeros may reuse memory, and then touches all of it."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        room = mmap.mmap(-1, max(1, size), **PRIVATE)
    except OSError as error:
        raise MemoryError(str(error)) from None
    return np.frombuffer(room, dtype, math.prod(shape)).reshape(shape)


class Call(ctypes.Structure):
    """As in attention.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("qkv", "out", "cache")),
        *((name, ctypes.c_void_p) for name in ("rows", "positions", "groups")),
        *((name, ctypes.c_int32) for name in ("n_groups", "heads", "head_size", "chunks", "int8")),
    )


class Kernel(Attention):
    """Runs attention.c, which describes how the caches are laid out in memory.

    Their memory costs nothing until it is used, and is never moved.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        layers: int,
        rows: int,
        slots: int,
        heads: int,
        head_size: int,
        int8: bool,
        threads: int,
    ) -> None:
        super().__init__(rows)
        chunks = -(-slots // CHUNK)
        wide, fours = -(-head_size // LANES) * LANES, -(-head_size // 4) * 4
        a_slot = fours + wide + 2 * 4 if int8 else 4 * (head_size + wide)  # bytes
        self.library, self.threads = library, threads
        self.version = library.attention_versions() - 1
        self.cache = reserve([layers, rows, heads, chunks, CHUNK * a_slot], np.int8)
        self.layers = [address(layer) for layer in self.cache]
        self.call = Call(heads=heads, head_size=head_size, chunks=chunks, int8=int8)
        self.call_address = ctypes.addressof(self.call)

    def begin(self, rows: Numbers, positions: Numbers, qkv: Floats, out: Floats) -> None:
        call, groups = self.call, np.empty(len(rows) + 1, np.int32)
        self.kept = qkv, out, rows, positions, groups  # the call points to them
        call.qkv, call.out, call.rows, call.positions, call.groups = map(address, self.kept)
        seen = self.library.attention_begin(self.call_address, len(rows))
        self.helped = self.threads if seen >= WORTH_A_THREAD else 1

    def attend(self, layer: int) -> None:
        self.call.cache = self.layers[layer]
        self.library.attention(self.call_address, self.version, self.helped)

    def copy(self, source: int, targets: Sequence[int], tokens: int) -> None:
        filled = -(-tokens // CHUNK)
        for target in targets:
            self.cache[:, target, :, :filled] = self.cache[:, source, :, :filled]


def implementation() -> str:
    """What runs attention here: the kernel's version for this processor, or "NumPy"."""
    kernel = find_kernel()
    if kernel is None:
        return "NumPy"
    kernel.attention_name.restype = ctypes.c_char_p
    name: bytes = kernel.attention_name(kernel.attention_versions() - 1)
    return name.decode()


def find_kernel() -> ctypes.CDLL | None:
    """The compiled attention.c, if the installation has one."""
    library = load_library(Path(__file__).parent, "_attention")
    if library is None or not hasattr(library, "attention_begin"):  # or of an earlier checkout
        log.debug("attention runs in NumPy: there was no C compiler when this was installed")
        return None
    library.attention.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.attention.restype = None
    library.attention_begin.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.attention_begin.restype = ctypes.c_int64
    return library
