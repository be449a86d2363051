"""An exported file -> its functions, run on N tokens in place.

Everything that knows LiteRT's interpreter is here. Its signature runners copy every input and
output, so the calls below go to its private handle; a test fails if a new version moves them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from gpt2_sampler.errors import EngineError, OutOfMemory

Floats = npt.NDArray[np.float32]
NO_ROOM = "failed to reshape"
"""What LiteRT says where it finds no memory, and for nothing else once it has taken a model."""


class Function:
    """One function of the file. memory has its inputs and outputs by name, [N, width], which stay
    where they are until N changes."""

    def __init__(self, interpreter: Interpreter, name: str) -> None:
        runner = interpreter.get_signature_runner(name)
        self._interpreter = interpreter
        self._handle = interpreter._interpreter
        self._number = runner._subgraph_index
        self._inputs = {d["name"]: d for d in runner.get_input_details().values()}
        self._tensors = {
            name: details["index"]
            for part in (runner.get_input_details(), runner.get_output_details())
            for name, details in part.items()
        }
        self.size = 0  # N
        self.memory: dict[str, Floats] = {}

    def resize(self, n_tokens: int) -> None:
        """Sets N. Raises OutOfMemory, or EngineError for what LiteRT does not take; it then has no
        size."""
        if n_tokens == self.size:
            return
        self.size, self.memory = 0, {}
        try:
            for details in self._inputs.values():
                shape = np.array([n_tokens, *details["shape"][1:]], np.int32)
                self._handle.ResizeInputTensor(details["index"], shape, False, self._number)
            self._handle.AllocateTensors(self._number)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or NO_ROOM in str(error):
                raise OutOfMemory(f"LiteRT has no room for {n_tokens} tokens ({error})") from None
            raise EngineError(f"LiteRT cannot prepare the model ({error})") from None
        self.size = n_tokens
        self.memory = {name: self._map(index) for name, index in self._tensors.items()}

    def run(self) -> None:
        """Raises EngineError."""
        try:
            self._handle.Invoke(self._number)
        except (MemoryError, RuntimeError) as error:
            raise EngineError(f"LiteRT fails ({error})") from None

    def _map(self, tensor: int) -> Floats:
        """LiteRT refuses to run while one of its arrays is in use, so only the memory is kept."""
        array = self._handle.tensor(self._interpreter, tensor, self._number)
        return np.asarray(Unowned(array))


class Unowned:
    """The memory of an array without the array."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.__array_interface__ = array.__array_interface__


def load_functions(path: Path, count: int, threads: int) -> list[Function]:
    """The functions "f0", "f1", ... of the file."""
    interpreter = Interpreter(str(path), num_threads=threads)
    functions = [Function(interpreter, f"f{n}") for n in range(count)]
    for function in functions:
        function.resize(1)
        give_back(path)  # the kernels have copies of the weights now, in an order of their own
    return functions


def give_back(path: Path) -> None:
    """On Linux, drops a mapped file's pages from the process's memory. If they are read again, they
    come from the system's cache."""
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    mapped = os.path.realpath(path)
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        addresses, *_, name = line.split(maxsplit=5)
        if name == mapped:
            start, end = (int(address, 16) for address in addresses.split("-"))
            madvise(start, end - start, mmap.MADV_DONTNEED)
