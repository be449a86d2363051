"""A model's weights -> the transformer as a LiteRT model. Knows no files.

The mathematics of model.py, written for the kernels that run it on a CPU; a test holds every
logit of the two together. Axis letters as in model.py. What differs:

- Embedding is left to the caller, who gives x, a token's two embeddings added up, less their mean.
- Everything else written to the residual stream has its mean taken out in the weights
  (LN(x) = LN(x - mean x)), so that layer norm needs no mean.
- Layer norm's bias is folded into the bias of what follows, the scale of attention into the
  query's weights. The norm's gain stays: it evens out the range of values that int8 has to span.
- The cache lies as [B, H, K, S], so that the kernels run along S. One token's attention is
  products and sums, which read the cache once where a matrix product would first repack it.
- The new keys and values never join the past's: only the sums over them do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gpt2_sampler.engines.flatbuffer import DYNAMIC, Array, File, Graph
from gpt2_sampler.hparams import HParams

INT8_TOP = 127
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

    tokens [N], positions [N], past_mask [P, 1, 1, S], mask [1, 1, N, N] of who looks at whom
    among them, wanted [W] of the N, keys and values "k0", "v0", ... [P, H, K, S]
    -> queries, keys and values "new0", ... [N, 3 H, K, 1], logits [W, V].

    In int8 the cache is int8 too, with "scales" [P, 3 L H, 1, S] that its numbers are to be
    multiplied by: "new_scales" [N, 3 L H, 1, 1].

    It is one function for both uses because LiteRT packs the weights anew for each: two would
    double the memory and the time to start.
    """
    file = File()
    Builder(file, weights, hparams, precision).forward()
    return file


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
        self.matrices: dict[str, tuple[int, Array | None]] = {}

    def forward(self) -> None:
        g, h = self.graph, self.hparams
        tokens = g.input("tokens", [DYNAMIC], "int32")
        positions = g.input("positions", [DYNAMIC], "int32")
        past_mask = g.input("past_mask", [DYNAMIC, 1, 1, DYNAMIC])
        mask = g.input("mask", [1, 1, DYNAMIC, DYNAMIC])
        wanted = g.input("wanted", [DYNAMIC], "int32")
        x = g.add(self.embedding(tokens), g.gather(g.constant(self.weights["wpe"]), positions))
        x = g.subtract(x, g.mean(x, axis=1))
        scales, new_scales = self.past_scales(), []
        for layer in range(h.n_layer):
            attn = f"h{layer}/attn"
            qkv = self.dense(self.norm(x, f"h{layer}/ln_1"), f"{attn}/c_attn")
            qkv = g.reshape(qkv, [DYNAMIC, 3 * h.n_head, h.head_size, 1])
            past = self.past(f"k{layer}"), self.past(f"v{layer}")
            attended = self.attention(qkv, past, scales[3 * layer :], past_mask, mask)
            x = g.add(x, self.dense(attended, f"{attn}/c_proj"))
            x = g.add(x, self.mlp(self.norm(x, f"h{layer}/ln_2"), f"h{layer}/mlp"))
            if self.int8:
                # The largest number of each vector becomes 127.
                top = g.max(g.abs(qkv), axis=2)
                new_scales.append(g.maximum(g.multiply(top, scalar(g, 1 / INT8_TOP, 4)), scalar(g, TINY, 4)))
                qkv = g.quantize(g.divide(qkv, new_scales[-1]))
            g.output(f"new{layer}", qkv)
        if self.int8:
            g.output("new_scales", g.concatenate(new_scales, axis=1))
        g.output("logits", self.dense(self.norm(g.gather(x, wanted), "ln_f"), h.unembedding))

    def embedding(self, tokens: int) -> int:  # [N] -> [N, E]
        g = self.graph
        table, scales = self.matrix("wte")
        if scales is None:
            return g.gather(table, tokens)
        rows = g.gather(table, tokens, "int8")
        g.set_scales(rows, np.ones(1))
        return g.multiply(g.dequantize(rows), g.gather(g.constant(scales[:, None]), tokens))

    def past(self, name: str) -> int:  # -> [P, H, K, S]
        shape = [DYNAMIC, self.hparams.n_head, self.hparams.head_size, DYNAMIC]
        if self.int8:
            return self.graph.dequantize(self.graph.input(name, shape, "int8"))
        return self.graph.input(name, shape)

    def past_scales(self) -> list[int]:  # 3 L of [P, H, 1, S], of which the queries' mean nothing
        if not self.int8:
            return []
        parts = 3 * self.hparams.n_layer
        shape = [DYNAMIC, parts * self.hparams.n_head, 1, DYNAMIC]
        return self.graph.split(self.graph.input("scales", shape), parts, axis=1)

    def attention(
        self,
        qkv: int,
        past: tuple[int, int],
        scales: Sequence[int],
        past_mask: int,
        mask: int,
    ) -> int:
        """qkv [N, 3 H, K, 1], past [P, H, K, S] -> [N, E]"""
        g, h = self.graph, self.hparams
        query, key, value = g.split(qkv, 3, axis=1)  # [N, H, K, 1]

        def by_head(x: int) -> int:  # [N, H, K, 1] -> [1, H, N, K], and [N, H, 1, 1] likewise
            return g.transpose(x, [3, 1, 0, 2])

        # Along S: one product and one sum for each token. Among the N: matrix products by head.
        scores = g.sum(g.multiply(past[0], query), axis=2)  # [N, H, 1, S]
        if scales:
            scores = g.multiply(scores, scales[1])
        scores = g.add(scores, past_mask)
        new_scores = g.add(g.matmul(by_head(query), by_head(key), transpose_b=True), mask)
        new_top = g.transpose(g.max(new_scores, axis=3), [2, 1, 0, 3])
        top = g.maximum(g.max(scores, axis=3), new_top)  # [N, H, 1, 1]
        weights = g.exp(g.subtract(scores, top))
        new_weights = g.exp(g.subtract(new_scores, by_head(top)))  # [1, H, N, N]
        new_total = g.transpose(g.sum(new_weights, axis=3), [2, 1, 0, 3])
        total = g.add(g.sum(weights, axis=3), new_total)
        if scales:
            weights = g.multiply(weights, scales[2])

        attended = g.sum(g.multiply(past[1], weights), axis=3)  # [N, H, K, 1]
        new_attended = g.matmul(new_weights, by_head(value))  # [1, H, N, K]
        attended = g.add(attended, g.transpose(new_attended, [2, 1, 3, 0]))
        return g.reshape(g.divide(attended, total), [DYNAMIC, h.n_embd])

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
        return self.graph.dense(x, self.matrix(name)[0], bias)

    def matrix(self, name: str) -> tuple[int, Array | None]:
        """[O, I], in int8 with scales [O]. A table for both ends of the model is kept once."""
        if name not in self.matrices:
            shape = unfolded(self.weights, name).shape
            scales = None
            if self.int8:
                quantized, scales = quantize(self.folded(name))
                buffer = self.file.buffer(quantized.nbytes, lambda: quantized)
            else:
                buffer = self.file.buffer(4 * math.prod(shape), lambda: self.folded(name))
            self.matrices[name] = self.graph.weight(shape, buffer, scales), scales
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
            return bias * self.query_scale(name)
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
