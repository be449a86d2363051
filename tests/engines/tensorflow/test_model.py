"""The graph in TensorFlow equals the same formulas in NumPy, one operation at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("tensorflow")
import tensorflow as tf

from gpt2_sampler.engines.litert import graph
from gpt2_sampler.engines.tensorflow import model
from gpt2_sampler.weights.hparams import ACTIVATIONS
from tests.checkpoints import PRIMES, random_weights

H = PRIMES
WEIGHTS = random_weights(H)
RANDOM = np.random.default_rng(3)


def x_of(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def close(a: tf.Tensor, b: np.ndarray) -> None:
    np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=1e-4)


def plain_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def plain_attention(x: np.ndarray, name: str) -> np.ndarray:  # [T, E] -> [T, E]
    """Head by head, token by token."""
    qkv = x @ WEIGHTS[f"{name}/c_attn/w"] + WEIGHTS[f"{name}/c_attn/b"]
    query, key, value = np.split(qkv, 3, axis=-1)
    out = np.zeros_like(x)
    k = H.head_size
    for head in range(H.n_head):
        part = slice(head * k, (head + 1) * k)
        for t in range(len(x)):
            scores = key[: t + 1, part] @ query[t, part] / math.sqrt(k)
            out[t, part] = plain_softmax(scores) @ value[: t + 1, part]
    return out @ WEIGHTS[f"{name}/c_proj/w"] + WEIGHTS[f"{name}/c_proj/b"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("gelu_new", lambda x: x / 2 * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))),
        ("gelu", lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))),
        ("quick_gelu", lambda x: x * sigmoid(1.702 * x)),
        ("relu", lambda x: np.maximum(x, 0)),
        ("silu", lambda x: x * sigmoid(x)),
        ("tanh", np.tanh),
    ],
)
def test_activations(name: str, formula: Callable[[np.ndarray], np.ndarray]) -> None:
    x = x_of(7, 11)
    close(model.ACTIVATIONS[name](tf.constant(x)), formula(x))


def test_there_is_a_formula_for_every_activation_a_model_may_have() -> None:
    assert set(model.ACTIVATIONS) == set(graph.ACTIVATIONS) == set(ACTIVATIONS)


def test_layer_norm_is_over_the_last_axis() -> None:
    x = x_of(3, 5, H.n_embd)
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    expected = scaled * WEIGHTS["ln_f/g"] + WEIGHTS["ln_f/b"]
    close(model.layer_norm(WEIGHTS, H, "ln_f", tf.constant(x)), expected)


def test_attention_looks_back_only() -> None:
    x = x_of(2, 13, H.n_embd)
    positions = tf.repeat(tf.range(13)[None], 2, axis=0)
    out = model.attention(WEIGHTS, H, 1, tf.constant(x), positions, lambda layer, k, v: (k, v))
    for row in range(2):
        close(out[row], plain_attention(x[row], "h1/attn"))


def test_slots_beyond_a_token_are_not_seen() -> None:
    tokens, positions = tf.constant([[3], [5]]), tf.constant([[0], [0]])
    others = tf.constant(x_of(2, 19, H.n_head, H.head_size) * 9)
    slots = {1: (), 20: (others,)}

    def states(n: int) -> tf.Tensor:
        def remember(layer: int, key: tf.Tensor, value: tf.Tensor) -> model.KeysValues:
            return tf.concat([key, *slots[n]], axis=1), tf.concat([value, *slots[n]], axis=1)

        return model.transform(WEIGHTS, H, tokens, positions, remember)

    close(states(20), states(1).numpy())
