"""Operations and weights -> a LiteRT model file. Knows LiteRT's schema, nothing of GPT-2.

Writing the file directly takes a second; TensorFlow's converter takes most of a minute, and several
copies of the weights. The weights follow the FlatBuffer, which refers to them by offset, so that
they can be streamed to disk and exceed the 2 GB of a FlatBuffer.

Format: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import BinaryIO

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Op = schema.BuiltinOperator
Options = schema.BuiltinOptions
TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
}
ALIGNMENT = 64  # bytes: a cache line, and enough for any vector instruction
INLINE = 1024  # bytes; smaller constants are stored in the FlatBuffer itself
DYNAMIC = -1
"""A dimension that becomes known when the model runs."""

Shape = Sequence[int]
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class ArrayPlace:
    """An array in the file: the number of its buffer, its shape and its type."""

    buffer: int
    shape: tuple[int, ...]
    dtype: str


class ModelFile:
    """A model that is being built.

    places are arrays that readers of the file look up by name; offset says where one is, once the
    file is written.
    """

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes = []
        self.model.subgraphs = []
        self.model.signatureDefs = []
        self.model.buffers = [schema.BufferT()]  # buffer 0 means "no data"
        self.weights: list[tuple[schema.BufferT, Callable[[], Array]]] = []
        self.codes: dict[tuple[int, int], int] = {}
        self.places: dict[str, ArrayPlace] = {}

    def keep(self, array: Array) -> ArrayPlace:
        """Reserves a place for an array after the FlatBuffer."""
        return self.keep_later(array.shape, array.dtype.name, lambda: array)

    def keep_later(self, shape: Shape, dtype: str, make: Callable[[], Array]) -> ArrayPlace:
        """The same for an array that is made only when the file is written."""
        buffer = schema.BufferT()
        buffer.size = math.prod(shape) * np.dtype(dtype).itemsize
        self.weights.append((buffer, make))
        self.model.buffers.append(buffer)
        return ArrayPlace(len(self.model.buffers) - 1, tuple(shape), dtype)

    def place(self, name: str, array: Array) -> None:
        self.places[name] = self.keep(array)

    def inline(self, array: Array) -> int:
        """A buffer inside the FlatBuffer, for a small array."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def offset(self, place: ArrayPlace) -> int:
        """In bytes from the beginning of the written file."""
        return int(self.model.buffers[place.buffer].offset)

    def code(self, op: int, version: int) -> int:
        if (op, version) not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = op
            code.deprecatedBuiltinCode = min(op, 127)
            code.version = version
            self.model.operatorCodes.append(code)
            self.codes[op, version] = len(self.codes)
        return self.codes[op, version]

    def write(self, file: BinaryIO) -> None:
        """Writes the FlatBuffer and then the weights, and lets go of what makes them, to which the
        model's own files belong. Raises OSError."""
        at = align(len(self.pack()) + ALIGNMENT * len(self.weights))
        for buffer, _ in self.weights:
            buffer.offset = at
            at = align(at + buffer.size)
        file.write(self.pack())
        for buffer, make in self.weights:
            file.write(b"\0" * (buffer.offset - file.tell()))
            file.write(np.ascontiguousarray(make()).data)
        file.write(b"\0" * (at - file.tell()))
        self.weights.clear()

    def pack(self) -> bytes:
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def align(at: int) -> int:
    return -(-at // ALIGNMENT) * ALIGNMENT


class Graph:
    """One of the file's functions, with the name under which it can be called.

    A method named after an operation adds it and returns the number of the tensor that it makes.
    """

    def __init__(self, file: ModelFile, name: str) -> None:
        self.file = file
        self.subgraph = schema.SubGraphT()
        self.subgraph.name = name
        self.subgraph.tensors = []
        self.subgraph.operators = []
        self.subgraph.inputs = []
        self.subgraph.outputs = []
        self.shapes: list[tuple[int, ...]] = []
        self.scales: list[Array | None] = []
        self.signature = schema.SignatureDefT()
        self.signature.signatureKey = name
        self.signature.subgraphIndex = len(file.model.subgraphs)
        self.signature.inputs = []
        self.signature.outputs = []
        file.model.subgraphs.append(self.subgraph)
        file.model.signatureDefs.append(self.signature)

    def tensor(
        self,
        shape: Shape,
        dtype: str = "float32",
        buffer: int = 0,
        name: str = "",
        scales: Array | None = None,
    ) -> int:
        """With scales it is int8: one scale for all its numbers, or one for each along axis 0."""
        tensor = schema.TensorT()
        tensor.name = name or f"t{len(self.shapes)}"
        tensor.type = TYPES[dtype if scales is None else "int8"]
        tensor.buffer = buffer
        tensor.hasRank = True
        tensor.shape = np.array([1 if d == DYNAMIC else d for d in shape], np.int32)
        if DYNAMIC in shape:
            tensor.shapeSignature = np.array(shape, np.int32)
        if scales is not None:
            quantization = tensor.quantization = schema.QuantizationParametersT()
            quantization.scale = scales.astype(np.float32)
            quantization.zeroPoint = np.zeros(len(scales), np.int64)
            quantization.quantizedDimension = 0
        self.subgraph.tensors.append(tensor)
        self.shapes.append(tuple(shape))
        self.scales.append(scales)
        return len(self.shapes) - 1

    def constant(self, array: Array) -> int:
        small = array.nbytes <= INLINE
        buffer = self.file.inline(array) if small else self.file.keep(array).buffer
        return self.tensor(array.shape, array.dtype.name, buffer)

    def input(
        self, name: str, shape: Shape, dtype: str = "float32", scales: Array | None = None
    ) -> int:
        tensor = self.tensor(shape, dtype, name=name, scales=scales)
        self.subgraph.inputs.append(tensor)
        self.signature.inputs.append(tensor_map(name, tensor))
        return tensor

    def output(self, name: str, tensor: int) -> None:
        self.subgraph.outputs.append(tensor)
        self.signature.outputs.append(tensor_map(name, tensor))

    def add_op(
        self,
        op: int,
        inputs: Sequence[int],
        shapes: Sequence[Shape],
        options: object = None,
        version: int = 1,
        scales: Array | None = None,
    ) -> list[int]:
        operator = schema.OperatorT()
        operator.opcodeIndex = self.file.code(op, version)
        operator.inputs = np.array(inputs, np.int32)
        outputs = [self.tensor(shape, scales=scales) for shape in shapes]
        operator.outputs = np.array(outputs, np.int32)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(Options, type(options).__name__[:-1])
        self.subgraph.operators.append(operator)
        return outputs

    def elementwise(self, op: int, a: int, b: int, options: object) -> int:
        return self.add_op(op, [a, b], [broadcast(self.shapes[a], self.shapes[b])], options)[0]

    def add(self, a: int, b: int) -> int:
        return self.elementwise(Op.ADD, a, b, schema.AddOptionsT())

    def multiply(self, a: int, b: int) -> int:
        return self.elementwise(Op.MUL, a, b, schema.MulOptionsT())

    def unary(self, op: int, x: int, options: object = None) -> int:
        return self.add_op(op, [x], [self.shapes[x]], options)[0]

    def rsqrt(self, x: int) -> int:
        return self.unary(Op.RSQRT, x)

    def relu(self, x: int) -> int:
        return self.unary(Op.RELU, x)

    def tanh(self, x: int) -> int:
        return self.unary(Op.TANH, x)

    def sigmoid(self, x: int) -> int:
        return self.unary(Op.LOGISTIC, x)

    def gelu(self, x: int, approximate: bool) -> int:
        options = schema.GeluOptionsT()
        options.approximate = approximate
        return self.unary(Op.GELU, x, options)

    def mean(self, x: int, axis: int) -> int:
        """Over one axis, which is kept with size 1."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = list(self.shapes[x])
        shape[axis] = 1
        axes = self.constant(np.array([axis % len(shape)], np.int32))
        return self.add_op(Op.MEAN, [x, axes], [shape], options)[0]

    def dense(self, x: int, weight: int, bias: int) -> int:  # [N, I], [O, I], [O] -> [N, O]
        """If the weights are int8, x is quantised on the fly, each row by its own range."""
        options = schema.FullyConnectedOptionsT()
        options.asymmetricQuantizeInputs = True
        shape = (self.shapes[x][0], self.shapes[weight][0])
        return self.add_op(Op.FULLY_CONNECTED, [x, weight, bias], [shape], options, version=9)[0]


def broadcast(a: Shape, b: Shape) -> tuple[int, ...]:
    return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))


def tensor_map(name: str, tensor: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name = name
    entry.tensorIndex = tensor
    return entry
