"""An exported file -> its functions, run on N tokens in place.

Everything that knows LiteRT's compiled models is here. What runs a function is given buffers of
LiteRT's own, whose memory NumPy shows: one function's output is the next one's input, and nothing
is copied. A test fails if a new version moves the private calls that this needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import logging
import math
import mmap
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import ai_edge_litert
import numpy as np
import numpy.typing as npt
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.cpu_options import CpuOptions
from ai_edge_litert.environment import Environment
from ai_edge_litert.options import Options
from ai_edge_litert.tensor_buffer import TensorBuffer

from gpt2_sampler.errors import EngineError, OutOfMemory

Floats = npt.NDArray[np.float32]
KEPT = 8
"""Sizes N whose buffers are kept: a batch goes back and forth between a few."""
ERRORS = MemoryError, RuntimeError, ValueError
"""What LiteRT raises."""
NO_ROOM = ("reshape", "allocate", "memory")
"""What LiteRT's messages have in them where it finds no memory."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """A chain's buffers for N tokens."""

    x: Floats
    """[N, E], the residual stream before the first function."""
    attended: Floats
    """[N, E], what attention has found, before each function that takes it."""
    out: Floats
    """After each function: queries, keys and values [N, 3 E], or logits [N, V]."""
    state: Floats
    """[N, E], the residual stream after the last function."""
    calls: Sequence[tuple[int, list[object], list[object]]]
    """For each function its number and what LiteRT calls its buffers."""
    buffers: Sequence[TensorBuffer]
    """What all of them belong to."""


class Chain:
    """Functions that run one after another on the same N tokens."""

    def __init__(self, model: CompiledModel, names: Sequence[str]) -> None:
        self._model, self._run = model, model._model.RunByIndex
        self._signatures = [
            (name, model.get_signature_index(name), *inputs_and_outputs(model, name))
            for name in names
        ]
        self._size = 0  # N
        self._plans: OrderedDict[int, StepPlan] = OrderedDict()

    def prepare(self, n_tokens: int) -> StepPlan:
        """Sets N. Raises OutOfMemory, or EngineError for what LiteRT does not take."""
        if n_tokens != self._size:
            self._size = 0
            with explain_errors(f"{n_tokens} tokens"):
                self._resize(n_tokens)
            self._size = n_tokens
        return self._plans[n_tokens]

    def _resize(self, n_tokens: int) -> None:
        for _, number, inputs, _ in self._signatures:
            for place, width in enumerate(inputs.values()):
                shape = [n_tokens, width]
                self._model.resize_input_tensor(place, shape, number, strict=False)
        if n_tokens not in self._plans:
            self._plans[n_tokens] = self._new_plan(n_tokens)
        self._plans.move_to_end(n_tokens)
        while len(self._plans) > KEPT:
            self._plans.popitem(last=False)

    def run(self, plan: StepPlan, number: int) -> None:
        """Runs one function of the plan that was prepared last. Raises as prepare does."""
        try:
            self._run(*plan.calls[number])
        except ERRORS as error:
            raise translate_error(error, f"{self._size} tokens") from None

    def _new_plan(self, n_tokens: int) -> StepPlan:
        buffers, memory, calls = dict[str, TensorBuffer](), dict[str, Floats](), []
        for signature, number, inputs, outputs in self._signatures:
            for name in {**inputs, **outputs}.keys() - buffers.keys():
                buffers[name] = self._new_buffer(signature, name, name in inputs)
                width = {**inputs, **outputs}[name]
                memory[name] = memory_of(buffers[name], [n_tokens, width])
            capsules = [[buffers[name].capsule for name in part] for part in (inputs, outputs)]
            calls.append((number, *capsules))
            if "new_x" in outputs:  # the next function reads what this one has written
                buffers["x"], buffers["new_x"] = buffers["new_x"], buffers["x"]
        x = memory["x"]
        return StepPlan(
            x,
            memory.get("attended", np.empty_like(x)),  # a model of one layer has it in no function
            memory["logits" if "logits" in memory else "qkv"],
            memory_of(buffers["x"], x.shape),
            calls,
            tuple(buffers.values()),
        )

    def _new_buffer(self, signature: str, name: str, is_input: bool) -> TensorBuffer:
        if is_input:
            return self._model.create_input_buffer_by_name(signature, name)
        return self._model.create_output_buffer_by_name(signature, name)


def load_functions(
    path: Path, n_layer: int, threads: int, packed: Path | None
) -> tuple[Chain, Chain]:
    """The file's layers, and what makes logits of the last one's state. Raises as load_model."""
    model = load_model(path, threads, packed)
    *layers, last = [f"f{n}" for n in range(n_layer + 1)]
    with explain_errors("the model"), mute_stderr():  # the first run of all is remarked on
        chains = Chain(model, layers), Chain(model, [last])
        chains[0].run(chains[0].prepare(1), 0)
    return chains


def inputs_and_outputs(model: CompiledModel, name: str) -> tuple[dict[str, int], dict[str, int]]:
    """A function's inputs and outputs in LiteRT's order: each one's name and width."""
    inputs, outputs = model.get_input_tensor_details(name), model.get_output_tensor_details(name)
    order = model.get_signature_list()[name]
    return (
        {key: int(inputs[key]["shape"][-1]) for key in order["inputs"]},
        {key: int(outputs[key]["shape"][-1]) for key in order["outputs"]},
    )


def memory_of(buffer: TensorBuffer, shape: Sequence[int]) -> Floats:
    """A buffer's own memory. It is valid as long as the buffer is."""
    library, python = litert(), ctypes.pythonapi
    python.PyCapsule_GetName.restype = ctypes.c_char_p
    python.PyCapsule_GetName.argtypes = [ctypes.py_object]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = python.PyCapsule_GetName(buffer.capsule)
    handle = ctypes.c_void_p(python.PyCapsule_GetPointer(buffer.capsule, name))
    address = ctypes.c_void_p()
    failed = library.LiteRtGetTensorBufferHostMemory(handle, ctypes.byref(address))
    if failed or not address.value:
        raise EngineError(f"LiteRT does not say where its buffers are (status {failed})")
    numbers = (ctypes.c_float * math.prod(shape)).from_address(address.value)
    return np.ctypeslib.as_array(numbers).reshape(shape)


def litert_version() -> str:
    package = Path(ai_edge_litert.__path__[0])
    for info in package.parent.glob(f"{package.name}-*.dist-info"):
        return info.name.split("-")[1].removesuffix(".dist")
    from importlib.metadata import version  # it takes a tenth of the time that a model needs

    return version("ai-edge-litert")


@functools.cache
def litert() -> ctypes.CDLL:
    suffix = {"win32": "dll", "darwin": "dylib"}.get(sys.platform, "so")
    return ctypes.CDLL(str(Path(ai_edge_litert.__path__[0]) / f"libLiteRt.{suffix}"))


@functools.cache
def environment() -> Environment:
    """One for all models, for ever: LiteRT remarks on its end."""
    made = Environment.create()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made.capsule))
    return made


class Silence:
    """Closes stderr at the very end of the process, after which LiteRT has a last remark."""

    def __init__(self) -> None:
        self._nothing, self._dup2 = os.open(os.devnull, os.O_WRONLY), os.dup2

    def __del__(self) -> None:
        try:  # noqa: SIM105, by now Python has taken contextlib away
            self._dup2(self._nothing, 2)
        except OSError:
            pass


AT_THE_END = Silence()  # goes with this module, when Python has said everything


def load_model(path: Path, threads: int, packed: Path | None = None) -> CompiledModel:
    """The file, ready to run. packed is that of its weights as the kernels read them: mapped if it
    is there, else made. Raises EngineError."""
    cpu = CpuOptions(num_threads=threads, xnnpack_weight_cache_path=native(packed) or "")
    options, name = Options(cpu_options=cpu), native(path)
    with explain_errors("the model"), mute_stderr():
        if name is None:
            data = path.read_bytes()
            return CompiledModel.from_buffer(data, environment=environment(), options=options)
        model = CompiledModel.from_file(name, environment=environment(), options=options)
    give_back(path)  # the kernels have the weights in an order of their own now
    return model


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


@contextlib.contextmanager
def explain_errors(what: str) -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        raise translate_error(error, what) from None


def translate_error(error: Exception, what: str) -> EngineError:
    """What LiteRT raised, in our words."""
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(word in said.lower() for word in NO_ROOM):
        return OutOfMemory(f"LiteRT has no room for {what} ({said})")
    return EngineError(f"LiteRT cannot run {what} ({said})")


@contextlib.contextmanager
def mute_stderr() -> Iterator[None]:
    """Nothing of what LiteRT remarks on stderr, in C and without a switch, unless somebody debugs.
    What else the process writes there meanwhile is lost as well."""
    if log.isEnabledFor(logging.DEBUG):
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)


def native(path: Path | None) -> str | None:
    """A path as LiteRT opens it: on Windows in ASCII, by its short name. None if it has none."""
    if path is None:
        return None
    name = str(path)
    if sys.platform != "win32" or name.isascii():
        return name
    short = ctypes.create_unicode_buffer(32768)
    ctypes.windll.kernel32.GetShortPathNameW(name, short, len(short))
    return short.value if short.value and short.value.isascii() else None
