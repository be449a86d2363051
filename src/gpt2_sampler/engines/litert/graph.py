"""A model's weights -> everything but its attention as a LiteRT model. Knows no files.

The mathematics of tensorflow/model.py, written for the kernels that run it on a CPU; a test
compares every logit of the two. Axis letters as there; a call reads N tokens. What differs:

- Attention is left out, because LiteRT's operations would read the cache several times for it. A
  function ends before each attention, and the next function goes on after it.
- Whatever is added to the residual stream has mean 0, which is folded into the weights except
  for the embedding (LN(x) = LN(x - mean x)). So layer norm does not have to compute the mean.
- Layer norm's bias is folded into the bias of what follows, the scale of attention into the
  query's weights. The norm's gain stays: it evens out the range of values that int8 has to span.
- The key's bias is left out, since it adds the same to all scores of a query.
- In int8 the columns of the embedding are evened out first; see even_columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from gpt2_sampler.engines.litert.flatbuffer import DYNAMIC, Array, ArrayPlace, Graph, ModelFile
from gpt2_sampler.weights.hparams import HParams

INT8_TOP, TINY = 127, 1e-30
LARGE = 3  # times the usual size of a column, above which it is scaled down
EMBEDDINGS = ("wte", "lm_head")
NORM_BEFORE = {"c_attn": "ln_1", "c_fc": "ln_2"}

ACTIVATIONS: Mapping[str, Callable[[Graph, int], int]] = {
    "gelu_new": lambda g, x: g.gelu(x, approximate=True),
    "gelu": lambda g, x: g.gelu(x, approximate=False),
    "quick_gelu": lambda g, x: g.multiply(x, g.sigmoid(g.multiply(x, scalar(g, 1.702)))),
    "relu": lambda g, x: g.relu(x),
    "silu": lambda g, x: g.multiply(x, g.sigmoid(x)),
    "tanh": lambda g, x: g.tanh(x),
}


def build(weights: Mapping[str, Array], hparams: HParams, precision: str) -> ModelFile:
    """L + 1 functions, "f0" to "fL", for N tokens; x is the residual stream:

    f0: x [N, E] -> qkv [N, 3 E] of layer 0;
    fl: x [N, E], attended [N, E] by layer l - 1 -> new_x [N, E], qkv [N, 3 E] of layer l;
    fL: x, attended -> logits [N, V].

    The file's places hold what is needed before f0: "wte" [V, E], which in int8 has to be
    multiplied by "wte_scales" [V] and "wte_columns" [E], and "wpe" [C, E].
    """
    file = ModelFile()
    matrices: dict[str, Matrix] = {}
    for layer in range(hparams.n_layer + 1):
        Builder(file, weights, hparams, precision, matrices, f"f{layer}").add_function(layer)
    table = matrices.get("wte") or Builder(file, weights, hparams, precision, matrices).store("wte")
    file.places["wte"] = table.numbers
    if table.scales is not None and table.columns is not None:
        file.place("wte_scales", table.scales.astype(np.float32))
        file.place("wte_columns", table.columns)
    file.place("wpe", weights["wpe"])
    return file


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A matrix [O, I] in the file, and its bias [O]. In int8 its rows have scales [O], and the
    columns of an embedding have been divided by columns [I]."""

    numbers: ArrayPlace
    bias: ArrayPlace
    scales: Array | None = None
    columns: Array | None = None


class Builder:
    """Builds one function of the file. precision is "float32" or "int8"; matrices are those that
    are in the file already."""

    def __init__(
        self,
        file: ModelFile,
        weights: Mapping[str, Array],
        hparams: HParams,
        precision: str,
        matrices: dict[str, Matrix],
        name: str = "",
    ) -> None:
        self.file = file
        self.weights = weights
        self.hparams = hparams
        self.int8 = precision == "int8"
        self.matrices = matrices
        if name:  # without a name it only stores matrices
            self.graph = Graph(file, name)

    def add_function(self, layer: int) -> None:
        """From the attention of the previous layer, if there is one, to that of this layer or, if
        there is no such layer, to the logits."""
        g, h = self.graph, self.hparams
        x = g.input("x", [DYNAMIC, h.n_embd])
        if layer > 0:
            before = f"h{layer - 1}"
            attended = g.input("attended", [DYNAMIC, h.n_embd])
            x = g.add(x, self.dense(attended, f"{before}/attn/c_proj"))
            x = g.add(x, self.mlp(self.norm(x, f"{before}/ln_2"), f"{before}/mlp"))
        if layer == h.n_layer:
            g.output("logits", self.dense(self.norm(x, "ln_f"), h.unembedding))
            return
        if layer > 0:
            g.output("new_x", x)
        g.output("qkv", self.dense(self.norm(x, f"h{layer}/ln_1"), f"h{layer}/attn/c_attn"))

    def mlp(self, x: int, name: str) -> int:  # [N, E] -> [N, E]
        activation = ACTIVATIONS[self.hparams.activation_function]
        return self.dense(activation(self.graph, self.dense(x, f"{name}/c_fc")), f"{name}/c_proj")

    def norm(self, x: int, name: str) -> int:  # [N, E] -> [N, E]
        """Layer norm of a vector with mean 0, without the bias."""
        g = self.graph
        variance = g.mean(g.multiply(x, x), axis=1)
        epsilon = scalar(g, self.hparams.layer_norm_epsilon)
        scaled = g.multiply(x, g.rsqrt(g.add(variance, epsilon)))
        return g.multiply(scaled, g.constant(self.gain(name)[None]))

    def gain(self, name: str) -> Array:  # [E]
        gain = self.weights[f"{name}/g"]
        columns = self.store(self.hparams.unembedding).columns if name == "ln_f" else None
        return gain if columns is None else gain * columns

    def dense(self, x: int, name: str) -> int:  # [N, I] -> [N, O]
        g, matrix = self.graph, self.store(name)
        numbers, bias = matrix.numbers, matrix.bias
        weight = g.tensor(numbers.shape, buffer=numbers.buffer, scales=matrix.scales)
        return g.dense(x, weight, g.tensor(bias.shape, buffer=bias.buffer))

    def store(self, name: str) -> Matrix:
        """Puts a matrix and its bias into the file, once, since an embedding may serve both ends.
        In float32 it is read only when the file is written, so that none stays in memory."""
        if name not in self.matrices:
            file = self.file
            if self.int8:
                matrix, bias = self.fold(name)
                columns = even_columns(matrix) if name in EMBEDDINGS else None
                numbers, scales = quantize(matrix if columns is None else matrix / columns)
                stored = Matrix(file.keep(numbers), file.keep(bias), scales, columns)
            else:
                rows, columns_ = self.shape(name)
                later = Later(lambda: self.fold(name))
                numbers_place = file.keep_later((rows, columns_), "float32", later.matrix)
                stored = Matrix(numbers_place, file.keep_later((rows,), "float32", later.bias))
            self.matrices[name] = stored
        return self.matrices[name]

    def shape(self, name: str) -> tuple[int, int]:
        """[O, I]"""
        shapes = self.hparams.variable_shapes()
        rows, columns = shapes[name] if name in EMBEDDINGS else shapes[f"{name}/w"][::-1]
        return rows, columns

    def fold(self, name: str) -> tuple[Array, Array]:
        """A matrix [O, I] and its bias [O], with everything that can be computed in advance."""
        if name in EMBEDDINGS:
            matrix = self.weights[name]
            used = name == self.hparams.unembedding
            bias = matrix @ self.weights["ln_f/b"] if used else np.zeros(len(matrix), np.float32)
            return matrix, bias
        layer, _, kind = name.split("/")
        matrix, bias = self.weights[f"{name}/w"].T, self.weights[f"{name}/b"]
        if kind in NORM_BEFORE:
            bias = bias + matrix @ self.weights[f"{layer}/{NORM_BEFORE[kind]}/b"]
        if kind == "c_attn":
            scale = self.query_scale(name)
            query, _, value = np.split(bias * scale, 3)
            return matrix * scale[:, None], np.concatenate([query, np.zeros_like(query), value])
        if kind == "c_proj":
            return matrix - matrix.mean(axis=0), bias - bias.mean()
        return matrix, bias

    def query_scale(self, name: str) -> Array:  # [3 E]
        """The scale of attention for the query, 1 for the key and the value."""
        layer = int(name.split("/", 1)[0].removeprefix("h"))
        scale = np.ones([3, self.hparams.n_embd], np.float32)
        scale[0] = self.hparams.attention_scale(layer)
        return scale.reshape(-1)


class Later:
    """A matrix and its bias, made together when the matrix, which comes first, is asked for."""

    def __init__(self, make: Callable[[], tuple[Array, Array]]) -> None:
        self._make = make

    def matrix(self) -> Array:
        matrix, self._bias = self._make()
        return matrix

    def bias(self) -> Array:
        return self._bias


def scalar(graph: Graph, value: float) -> int:
    return graph.constant(np.full([1, 1], value, np.float32))


def even_columns(matrix: Array) -> Array:  # [V, E] -> [E]
    """What to divide an embedding's columns by so that none is far larger than the others. A row
    in int8 has one scale, which a few such columns would spoil for all the rest. In return the gain
    before the matrix, or the sum after it, is multiplied by the same.

    It is 1 for columns of the usual size, which are more exact without scaling.
    """
    sizes = np.sqrt(np.mean(np.square(matrix, dtype=np.float32), axis=0))
    usual = LARGE * max(float(np.median(sizes)), TINY)
    return np.maximum(sizes / usual, 1).astype(np.float32)


def quantize(matrix: Array) -> tuple[Array, Array]:
    """[O, I] -> int8 [O, I], scales [O]; the largest weight of each row becomes 127."""
    scales = np.maximum(np.abs(matrix).max(axis=1), TINY) / INT8_TOP
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales
