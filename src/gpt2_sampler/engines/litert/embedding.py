"""Tokens at positions -> the vectors that the first layer reads, looked up in an exported file.

Knows no LiteRT. Axis letters as in weights/hparams.py.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpt2_sampler.engines.engine import Floats
from gpt2_sampler.errors import EngineError

Numbers = npt.NDArray[np.int32]
Place = tuple[int, Sequence[int], str]
"""Where an array begins in a file, in bytes, its shape and its type."""


class Embedding:
    """The tables of tokens and of positions, of which a call reads a row for each token. Rows are
    read from the file: a map of it would keep sixteen pages of memory for each that was looked at,
    and take longer to find them."""

    def __init__(self, path: Path, places: Mapping[str, Place]) -> None:
        self._file = path.open("rb", buffering=0)
        self.close = weakref.finalize(self, self._file.close)
        """Whoever drops an engine need not close it."""
        self._places = places
        self._scales = None
        if "wte_scales" in places:
            self._scales = self._read_all("wte_scales"), self._read_all("wte_columns")

    def look_up(self, tokens: Numbers, positions: Numbers) -> Floats:
        """[N] each -> [N, E], with a mean of 0. Raises EngineError where the file has changed."""
        x = self._read_rows("wte", tokens).astype(np.float32, copy=False)
        if self._scales is not None:
            scales, columns = self._scales
            x *= scales[tokens, None] * columns
        x += self._read_rows("wpe", positions)
        x -= np.add.reduce(x, axis=1, keepdims=True) / np.float32(x.shape[1])
        return x

    def _read_all(self, name: str) -> npt.NDArray[Any]:
        start, shape, kind = self._places[name]
        array = np.empty(shape, kind)
        self._read(start, array)
        return array

    def _read_rows(self, name: str, numbers: Numbers) -> npt.NDArray[Any]:
        start, shape, kind = self._places[name]
        rows = np.empty([len(numbers), math.prod(shape[1:])], kind)
        for row, number in zip(rows, numbers.tolist(), strict=True):
            self._read(start + number * row.nbytes, row)
        return rows

    def _read(self, start: int, array: npt.NDArray[Any]) -> None:
        self._file.seek(start)
        if self._file.readinto(array.data) != array.nbytes:
            raise EngineError(f"{self._file.name} was cut short while it was in use; start again")
