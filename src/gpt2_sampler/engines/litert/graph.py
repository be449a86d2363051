"""A model's weights -> the transformer as a LiteRT model. Knows no files.

The mathematics of model.py, written for the kernels that run it on a CPU; a test holds every
logit of the two together. Axis letters as in model.py. What differs:

- Whatever is written to the residual stream has its mean taken out, after embedding in the weights
  (LN(x) = LN(x - mean x)), so that layer norm needs no mean.
- Layer norm's bias is folded into the bias of what follows, the scale of attention into the
  query's weights. The norm's gain stays: it evens out the range of values that int8 has to span.
- The cache lies as [H, B, K, S], so that the kernels run along S and heads need no transposing.
  One token's attention is products and sums, which read the cache once where a matrix product
  would first repack it.
- The key's bias is left out: it adds the same to all scores of a query.
- The new keys and values never join the past's: only the sums over them do.
- In int8 so are the cache and the rows of the embedding, each vector with a scale of its own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from gpt2_sampler.engines.litert.flatbuffer import DYNAMIC, Array, File, Graph
from gpt2_sampler.weights.hparams import HParams

INT8_TOP = 127
UNIT_SCALE = np.array([1 / INT8_TOP])
"""Of int8 numbers that stand for -1 to 1."""
TINY = 1e-30
NORM_BEFORE = {"c_attn": "ln_1", "c_fc": "ln_2"}

ACTIVATIONS: Mapping[str, Callable[[Graph, int], int]] = {
    "gelu_new": lambda g, x: g.gelu(x, approximate=True),
    "gelu": lambda g, x: g.gelu(x, approximate=False),
    "quick_gelu": lambda g, x: g.multiply(x, g.sigmoid(g.multiply(x, scalar(g, 1.702)))),
    "relu": lambda g, x: g.relu(x),
    "silu": lambda g, x: g.multiply(x, g.sigmoid(x)),
    "tanh": lambda g, x: g.tanh(x),
}


def build(weights: Mapping[str, Array], hparams: HParams, precision: str) -> File:
    """One function, "forward", for N tokens that are read together: one of each of B texts, or
    T of one text. With P = N caches, or P = 1 that all of them share:

    tokens [N], positions [N], past_mask [1, P, 1, S], mask [1, N, N] of who looks at whom among
    them, wanted [W] of the N, keys and values "k0", "v0", ... [H, P, K, S]
    -> queries, keys and values "new" [3 L H, N, K], logits [W, V].

    In int8 the cache is int8 too, with "k0_scale", "v0_scale", ... [H, P, 1, S] that its numbers
    are to be multiplied by, and "new_scales" [3 L H, N, 1].

    It is one function for both uses because LiteRT packs the weights anew for each: two would
    double the memory and the time to start.
    """
    file = File()
    Builder(file, weights, hparams, precision).forward()
    return file


@dataclasses.dataclass(frozen=True)
class Past:
    """Cached keys or values: numbers [H, P, K, S], scales [H, P, 1, S] if they still want any."""

    numbers: int
    scales: int | None = None

    def scaled(self, graph: Graph, x: int) -> int:
        """What has been summed over their K, or will be multiplied with them: [H, N, 1, S]."""
        return x if self.scales is None else graph.multiply(x, self.scales)


class Builder:
    """precision is "float32" or "int8"."""

    def __init__(
        self, file: File, weights: Mapping[str, Array], hparams: HParams, precision: str
    ) -> None:
        self.graph = Graph(file, "forward")
        self.file = file
        self.weights = weights
        self.hparams = hparams
        self.int8 = precision == "int8"
        self.matrices: dict[str, int] = {}

    def forward(self) -> None:
        g, h = self.graph, self.hparams
        tokens = g.input("tokens", [DYNAMIC], "int32")
        positions = g.input("positions", [DYNAMIC], "int32")
        past_mask = g.input("past_mask", [1, DYNAMIC, 1, DYNAMIC])
        mask = g.input("mask", [1, DYNAMIC, DYNAMIC])
        wanted = g.input("wanted", [DYNAMIC], "int32")
        x = g.add(self.embedding(tokens), g.gather(g.constant(self.weights["wpe"]), positions))
        x = g.subtract(x, g.mean(x, axis=1))
        new, new_scales = [], []
        for layer in range(h.n_layer):
            attn = f"h{layer}/attn"
            qkv = self.dense(self.norm(x, f"h{layer}/ln_1"), f"{attn}/c_attn")
            qkv = g.reshape(qkv, [DYNAMIC, 3 * h.n_head, h.head_size])
            qkv = g.transpose(qkv, [1, 0, 2])  # [3 H, N, K]
            past = self.past(f"k{layer}"), self.past(f"v{layer}")
            attended = self.attention(qkv, past, past_mask, mask)
            x = g.add(x, self.dense(attended, f"{attn}/c_proj"))
            x = g.add(x, self.mlp(self.norm(x, f"h{layer}/ln_2"), f"h{layer}/mlp"))
            if self.int8:
                # The largest number of each vector becomes 127.
                new_scales.append(g.maximum(g.max(g.abs(qkv), axis=2), scalar(g, TINY, 3)))
                qkv = g.quantize(g.divide(qkv, new_scales[-1]), UNIT_SCALE)
            new.append(qkv)
        g.output("new", g.concatenate(new, axis=0))
        if self.int8:
            g.output("new_scales", g.concatenate(new_scales, axis=0))
        g.output("logits", self.dense(self.norm(g.gather(x, wanted), "ln_f"), h.unembedding))

    def embedding(self, tokens: int) -> int:  # [N] -> [N, E]
        g = self.graph
        table = self.matrix("wte")
        rows, scales = g.gather(table, tokens), g.scales[table]
        if scales is None:
            return rows
        return g.multiply(g.dequantize(rows), g.gather(g.constant(scales[:, None]), tokens))

    def past(self, name: str) -> Past:
        g, h = self.graph, self.hparams
        shape = [h.n_head, DYNAMIC, h.head_size, DYNAMIC]
        if not self.int8:
            return Past(g.input(name, shape))
        stored = g.input(name, shape, scales=UNIT_SCALE)
        return Past(g.dequantize(stored), g.input(f"{name}_scale", [h.n_head, DYNAMIC, 1, DYNAMIC]))

    def attention(self, qkv: int, past: tuple[Past, Past], past_mask: int, mask: int) -> int:
        """qkv [3 H, N, K] -> [N, E]"""
        g, h = self.graph, self.hparams
        query, key, value = g.split(qkv, 3, axis=0)  # [H, N, K]

        # Along S: one product and one sum for each token. Among the N: matrix products by head.
        past_key, past_value = past
        of_query = g.reshape(query, [h.n_head, DYNAMIC, h.head_size, 1])
        scores = past_key.scaled(g, g.sum(g.multiply(past_key.numbers, of_query), axis=2))
        scores = g.add(scores, past_mask)  # [H, N, 1, S]
        new_scores = g.add(g.matmul(query, key, transpose_b=True), mask)  # [H, N, N]
        top = g.maximum(g.max(scores, axis=3), self.in_4d(g.max(new_scores, axis=2)))
        weights = g.exp(g.subtract(scores, top))
        new_weights = g.exp(g.subtract(new_scores, g.reshape(top, [h.n_head, DYNAMIC, 1])))
        total = g.add(g.sum(weights, axis=3), self.in_4d(g.sum(new_weights, axis=2)))

        weights = past_value.scaled(g, weights)
        attended = g.sum(g.multiply(past_value.numbers, weights), axis=3)  # [H, N, K, 1]
        attended = g.add(attended, self.in_4d(g.matmul(new_weights, value)))
        merged = g.transpose(g.divide(attended, total), [1, 0, 2, 3])
        return g.reshape(merged, [DYNAMIC, h.n_embd])

    def in_4d(self, x: int) -> int:  # [H, N, I] -> [H, N, I, 1]
        return self.graph.reshape(x, [*self.graph.shapes[x], 1])

    def mlp(self, x: int, name: str) -> int:  # [N, E] -> [N, E]
        activation = ACTIVATIONS[self.hparams.activation_function]
        return self.dense(activation(self.graph, self.dense(x, f"{name}/c_fc")), f"{name}/c_proj")

    def norm(self, x: int, name: str) -> int:  # [N, E] -> [N, E]
        """Layer norm of what has mean 0, without its bias."""
        g = self.graph
        variance = g.mean(g.multiply(x, x), axis=1)
        epsilon = scalar(g, self.hparams.layer_norm_epsilon)
        scaled = g.multiply(x, g.rsqrt(g.add(variance, epsilon)))
        return g.multiply(scaled, g.constant(self.weights[f"{name}/g"][None]))

    def dense(self, x: int, name: str) -> int:  # [N, I] -> [N, O]
        bias = self.graph.constant(self.folded_bias(name).astype(np.float32))
        return self.graph.dense(x, self.matrix(name), bias)

    def matrix(self, name: str) -> int:
        """[O, I], in int8 with scales [O]. A table for both ends of the model is kept once."""
        if name not in self.matrices:
            shape = unfolded(self.weights, name).shape
            scales = None
            if self.int8:
                quantized, scales = quantize(self.folded(name))
                buffer = self.file.buffer(quantized.nbytes, lambda: quantized)
            else:
                buffer = self.file.buffer(4 * math.prod(shape), lambda: self.folded(name))
            self.matrices[name] = self.graph.tensor(shape, buffer=buffer, scales=scales)
        return self.matrices[name]

    def folded(self, name: str) -> Array:  # -> [O, I]
        matrix = unfolded(self.weights, name)
        if name.endswith("c_attn"):
            return matrix * self.query_scale(name)[:, None]
        return matrix - matrix.mean(axis=0) if name.endswith("c_proj") else matrix

    def folded_bias(self, name: str) -> Array:  # -> [O]
        matrix = unfolded(self.weights, name)
        if name == self.hparams.unembedding:
            return matrix @ self.weights["ln_f/b"]
        layer, _, kind = name.split("/")
        bias = self.weights[f"{name}/b"]
        if kind in NORM_BEFORE:
            bias = bias + matrix @ self.weights[f"{layer}/{NORM_BEFORE[kind]}/b"]
        if kind == "c_attn":
            query, _, value = np.split(bias * self.query_scale(name), 3)
            return np.concatenate([query, np.zeros_like(query), value])
        return bias - bias.mean() if kind == "c_proj" else bias

    def query_scale(self, name: str) -> Array:  # [3 E]
        """The attention's scale for the query, 1 for the key and the value."""
        layer = int(name.split("/", 1)[0].removeprefix("h"))
        scale = np.ones([3, self.hparams.n_embd], np.float32)
        scale[0] = self.hparams.attention_scale(layer)
        return scale.reshape(-1)


def scalar(graph: Graph, value: float, rank: int = 2) -> int:
    return graph.constant(np.full([1] * rank, value, np.float32))


def unfolded(weights: Mapping[str, Array], name: str) -> Array:  # -> [O, I]
    return weights[name] if name in ("wte", "lm_head") else weights[f"{name}/w"][0].T


def quantize(matrix: Array) -> tuple[Array, Array]:
    """[O, I] -> int8 [O, I], scales [O]: each output's largest weight becomes 127."""
    scales = np.maximum(np.abs(matrix).max(axis=1), TINY) / INT8_TOP
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales
