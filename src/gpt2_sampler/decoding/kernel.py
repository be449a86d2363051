"""What plain.py does, by the compiled draw.c: the same ids in a fraction of the time.

Knows arrays: no engines, no text.
"""

from __future__ import annotations

import ctypes
import functools
import math
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpt2_sampler.compiled import address, load_library
from gpt2_sampler.decoding.logits import COLDEST, Logits, Standing, check_numbers
from gpt2_sampler.decoding.noise import Doubles, Ids, Keys
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import UsageError

WORTH_A_THREAD = 4  # rows; fewer are done before a second thread has woken up
MOST_COUNT = 2**31 - 1  # as large as any vocabulary and any text
NO_TEXT = array("i")


class DrawSettings(ctypes.Structure):
    """As in draw.c."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("temperature", "top_p", "least")),
        *((name, ctypes.c_double) for name in ("repetition", "presence", "frequency")),
        *((name, ctypes.c_int64) for name in ("top_k", "ngram", "n_bias")),
        *((name, ctypes.c_void_p) for name in ("bias_tokens", "bias_values")),
    )


POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int64


class DrawCall(ctypes.Structure):
    """As in draw.c."""

    _fields_ = (
        *((name, POINTER) for name in ("logits", "asked", "keys", "ids", "scratch")),
        *((name, NUMBER) for name in ("scratch_size", "n_vocab", "version")),
        *((name, POINTER) for name in ("logprobs", "tops")),
        ("most", NUMBER),
        *((name, POINTER) for name in ("own_logprobs", "ranks", "top_ids", "top_logprobs")),
        *((name, POINTER) for name in ("own_filtered", "top_filtered")),
    )


@functools.lru_cache(maxsize=1024)
def pack_settings(sampling: Sampling) -> tuple[int, Any]:
    """Settings as draw.c reads them: their address, and what must live as long as that."""
    tokens = np.array([token for token in dict(sampling.logit_bias)], np.int32)
    values = np.array([value for value in dict(sampling.logit_bias).values()], np.float64)
    settings = DrawSettings(
        temperature=sampling.temperature and max(sampling.temperature, COLDEST),
        top_p=sampling.top_p,
        least=math.log(sampling.min_p) if sampling.min_p else -math.inf,
        repetition=sampling.repetition_penalty,
        presence=sampling.presence_penalty,
        frequency=sampling.frequency_penalty,
        top_k=min(sampling.top_k, MOST_COUNT),
        ngram=min(sampling.no_repeat_ngram, MOST_COUNT),
        n_bias=len(tokens),
        bias_tokens=tokens.ctypes.data,
        bias_values=values.ctypes.data,
    )
    return ctypes.addressof(settings), (settings, tokens, values)


def as_text(history: History, sampling: Sampling, n_vocab: int) -> array[int]:
    """The tokens of a history that a row's rules look at."""
    if not sampling.looks_back or not len(history.tokens):
        return NO_TEXT
    tokens: Any = history.tokens
    text = array("i", tokens.tolist() if isinstance(tokens, np.ndarray) else tokens)
    if min(text) < 0 or max(text) >= n_vocab:
        raise UsageError(f"a history has tokens 0 to {n_vocab - 1}, and others")
    return text


class DrawKernel:
    """draw.c, with the memory that it works in: one for each thread that calls it."""

    def __init__(self, library: ctypes.CDLL, version: int | None = None) -> None:
        """version is one of the kernel's versions for different processors, by default the last
        that this one can run."""
        self.library = library
        self.version = library.draw_versions() - 1 if version is None else version
        self._size = functools.cache(library.draw_scratch)
        self._local = threading.local()

    def choose(
        self,
        logits: Logits,
        histories: Sequence[History],
        samplings: Sequence[Sampling],
        keys: Keys,
        threads: int = 1,
    ) -> Ids:
        ids = np.empty(len(logits), np.int64)
        keys = np.ascontiguousarray(keys)
        self._run("choose", logits, ids, histories, samplings, threads, keys=address(keys))
        return ids.astype(np.intp, copy=False)

    def distribution(self, logits: Logits, history: History, sampling: Sampling) -> Doubles:
        logprobs = np.empty(len(logits))
        ids = np.empty(1, np.int64)
        self._run(
            "distribute", logits[None], ids, [history], [sampling], 1, logprobs=address(logprobs)
        )
        return logprobs

    def tell(
        self,
        logits: Logits,
        histories: Sequence[History],
        samplings: Sequence[Sampling],
        ids: Sequence[int],
        tops: Sequence[int],
        threads: int = 1,
    ) -> Standing:
        n_rows, n_vocab = logits.shape
        wanted = np.array([min(top, n_vocab) for top in tops], np.int64)
        shape = n_rows, int(wanted.max(initial=0))
        standing = Standing(
            np.empty(n_rows),
            np.empty(n_rows, np.int64),
            np.full(shape, -1),
            np.full(shape, -np.inf),
            np.empty(n_rows),
            np.full(shape, -np.inf),
        )
        results = dict(zip(Standing._fields, map(address, standing), strict=True))
        self._run(
            "tell", logits, np.array(ids, np.int64), histories, samplings, threads,
            tops=address(wanted), most=shape[1], **results,
        )  # fmt: skip
        return standing

    def _run(
        self,
        what: str,
        logits: Logits,
        ids: npt.NDArray[np.int64],
        histories: Sequence[History],
        samplings: Sequence[Sampling],
        threads: int,
        **pointers: int,
    ) -> None:
        n_rows, n_vocab = logits.shape
        rows = np.ascontiguousarray(logits)
        kept, asked, most_changes = [], array("q"), 0  # what is kept is pointed to
        for history, sampling in zip(histories, samplings, strict=True):
            text = as_text(history, sampling, n_vocab)
            settings = pack_settings(sampling)
            kept.append((text, settings))
            asked.extend((settings[0], *text.buffer_info(), history.n_drawn))
            most_changes = max(most_changes, len(text) + len(sampling.logit_bias))
        threads = threads if n_rows >= WORTH_A_THREAD else 1
        size, scratch = self._scratch(n_vocab, most_changes, threads)
        call = DrawCall(
            address(rows), asked.buffer_info()[0], 0, address(ids), scratch, size, n_vocab,
            self.version,
        )  # fmt: skip
        for name, pointer in pointers.items():
            setattr(call, name, pointer)
        if not getattr(self.library, f"draw_{what}")(ctypes.byref(call), n_rows, threads):
            check_numbers(logits)

    def _scratch(self, n_vocab: int, most_changes: int, threads: int) -> tuple[int, int]:
        """The size of a thread's part, and the address of all."""
        size = self._size(n_vocab, 1 << most_changes.bit_length())
        room = getattr(self._local, "room", None)
        if room is None or len(room) < size * threads:
            room = self._local.room = np.empty(size * threads, np.uint8)
        return size, address(room)


@functools.cache
def find_kernel() -> DrawKernel | None:
    """The compiled draw.c, if the installation has one."""
    library = load_library(Path(__file__).parent, "_draw")
    if library is None or not hasattr(library, "draw_layout"):
        return None
    if library.draw_layout() != ctypes.sizeof(DrawCall):  # compiled from an earlier checkout
        return None
    library.draw_scratch.argtypes = [ctypes.c_int64, ctypes.c_int64]
    library.draw_scratch.restype = ctypes.c_int64
    for function in (library.draw_choose, library.draw_distribute, library.draw_tell):
        function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        function.restype = ctypes.c_int
    return DrawKernel(library)
