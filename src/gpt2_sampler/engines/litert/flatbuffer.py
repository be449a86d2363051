"""Operations and weights -> a LiteRT model file. Knows LiteRT's schema, nothing of GPT-2.

Writing the file directly takes a second where TensorFlow's converter takes most of a minute and
several copies of the weights. The weights lie behind the FlatBuffer, which refers to them by
offset, so that they are streamed to disk and may be larger than a FlatBuffer's 2 GB.

Format: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

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
ALIGNMENT = 64  # bytes: a cache line, more than any vector instruction asks for
INLINE = 1024  # bytes: smaller constants lie in the FlatBuffer itself
DYNAMIC = -1
"""A dimension that is known when the model runs."""

Shape = Sequence[int]
Array = np.ndarray


class File:
    """A model in the making."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes = []
        self.model.subgraphs = []
        self.model.signatureDefs = []
        self.model.buffers = [schema.BufferT()]  # buffer 0 means "no data"
        self.weights: list[tuple[schema.BufferT, Callable[[], Array]]] = []
        self.codes: dict[tuple[int, int], int] = {}

    def buffer(self, size: int, make: Callable[[], Array]) -> int:
        """Room for an array of so many bytes, made when the file is written."""
        buffer = schema.BufferT()
        if size <= INLINE:
            buffer.data = np.frombuffer(make().tobytes(), np.uint8)
        else:
            buffer.size = size
            self.weights.append((buffer, make))
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

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
        """Writes the FlatBuffer and then the weights. Raises OSError."""
        at = aligned(len(self.packed()) + ALIGNMENT * len(self.weights))
        for buffer, _ in self.weights:
            buffer.offset = at
            at = aligned(at + buffer.size)
        file.write(self.packed())
        for buffer, make in self.weights:
            file.write(b"\0" * (buffer.offset - file.tell()))
            file.write(np.ascontiguousarray(make()).data)
        file.write(b"\0" * (at - file.tell()))

    def packed(self) -> bytes:
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def aligned(at: int) -> int:
    return -(-at // ALIGNMENT) * ALIGNMENT


class Graph:
    """One of the file's functions, by the name under which it can be called.

    Methods named for an operation add it and give the tensor that it makes, a number.
    """

    def __init__(self, file: File, name: str) -> None:
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
        """With scales it is int8: one for all its numbers, or one for each of its first axis."""
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
        buffer = self.file.buffer(array.nbytes, lambda: array)
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

    def subtract(self, a: int, b: int) -> int:
        return self.elementwise(Op.SUB, a, b, schema.SubOptionsT())

    def multiply(self, a: int, b: int) -> int:
        return self.elementwise(Op.MUL, a, b, schema.MulOptionsT())

    def divide(self, a: int, b: int) -> int:
        return self.elementwise(Op.DIV, a, b, schema.DivOptionsT())

    def maximum(self, a: int, b: int) -> int:
        return self.elementwise(Op.MAXIMUM, a, b, schema.MaximumMinimumOptionsT())

    def unary(self, op: int, x: int, options: object = None) -> int:
        return self.add_op(op, [x], [self.shapes[x]], options)[0]

    def rsqrt(self, x: int) -> int:
        return self.unary(Op.RSQRT, x)

    def abs(self, x: int) -> int:
        return self.unary(Op.ABS, x, schema.AbsOptionsT())

    def quantize(self, x: int, scales: Array) -> int:
        """To int8: the nearest multiple of the only scale."""
        return self.add_op(Op.QUANTIZE, [x], [self.shapes[x]], version=2, scales=scales)[0]

    def dequantize(self, x: int) -> int:
        return self.add_op(Op.DEQUANTIZE, [x], [self.shapes[x]], version=2)[0]

    def exp(self, x: int) -> int:
        return self.unary(Op.EXP, x, schema.ExpOptionsT())

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

    def reduce(self, op: int, x: int, axis: int) -> int:
        """Over one axis, which stays with size 1."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = list(self.shapes[x])
        shape[axis] = 1
        axes = self.constant(np.array([axis % len(shape)], np.int32))
        return self.add_op(op, [x, axes], [shape], options)[0]

    def mean(self, x: int, axis: int) -> int:
        return self.reduce(Op.MEAN, x, axis)

    def sum(self, x: int, axis: int) -> int:
        return self.reduce(Op.SUM, x, axis)

    def max(self, x: int, axis: int) -> int:
        return self.reduce(Op.REDUCE_MAX, x, axis)

    def reshape(self, x: int, shape: Shape) -> int:
        """At most one dimension may be DYNAMIC."""
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        new_shape = self.constant(options.newShape)
        return self.add_op(Op.RESHAPE, [x, new_shape], [shape], options)[0]

    def transpose(self, x: int, order: Sequence[int]) -> int:
        shape = [self.shapes[x][axis] for axis in order]
        axes = self.constant(np.array(order, np.int32))
        return self.add_op(Op.TRANSPOSE, [x, axes], [shape], schema.TransposeOptionsT())[0]

    def split(self, x: int, parts: int, axis: int) -> list[int]:
        options = schema.SplitOptionsT()
        options.numSplits = parts
        shape = list(self.shapes[x])
        shape[axis] //= parts
        return self.add_op(
            Op.SPLIT, [self.constant(np.array(axis, np.int32)), x], [shape] * parts, options
        )

    def gather(self, x: int, indices: int) -> int:
        """Rows of x. Those of int8 count in ones, whatever the scales of x are."""
        shape = (*self.shapes[indices], *self.shapes[x][1:])
        options = schema.GatherOptionsT()
        ones = None if self.scales[x] is None else np.ones(1)
        return self.add_op(Op.GATHER, [x, indices], [shape], options, scales=ones)[0]

    def concatenate(self, parts: Sequence[int], axis: int) -> int:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = list(self.shapes[parts[0]])
        shape[axis] = sum(self.shapes[part][axis] for part in parts)
        scales = self.scales[parts[0]]
        return self.add_op(Op.CONCATENATION, parts, [shape], options, scales=scales)[0]

    def matmul(self, a: int, b: int, transpose_b: bool = False) -> int:
        options = schema.BatchMatMulOptionsT()
        options.adjY = transpose_b
        columns = self.shapes[b][-2 if transpose_b else -1]
        shape = (*self.shapes[a][:-1], columns)
        return self.add_op(Op.BATCH_MATMUL, [a, b], [shape], options)[0]

    def dense(self, x: int, weight: int, bias: int) -> int:  # [N, I], [O, I], [O] -> [N, O]
        """With int8 weights x is quantised on the fly, each row by its own range."""
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
