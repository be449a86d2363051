"""Token ids -> logits: GPT-2's transformer in TensorFlow operations.

Knows tensors only: no files, no text, no sampling, no device, no cache.

Axis letters as in weights/hparams.py.

Formulas: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3,
on Vaswani et al. 2017; GELU is the tanh approximation of Hendrycks and Gimpel 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from gpt2_sampler.weights.hparams import HParams

Params = Mapping[str, tf.Tensor]
KeysValues = tuple[tf.Tensor, tf.Tensor]
"""One layer's keys and values, each [B, S, H, K]."""
Remember = Callable[[int, tf.Tensor, tf.Tensor], KeysValues]
"""A layer's number, the keys and values of the new tokens [B, T, H, K] -> those of all slots that
they may attend to; slot s of a row holds its token at position s."""

ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "quick_gelu": lambda x: x * tf.sigmoid(1.702 * x),
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "tanh": tf.tanh,
}
MASKED = -1e10
"""Replaces a score that must not count; it is far below any real one."""


def transform(
    params: Params,
    hparams: HParams,
    tokens: tf.Tensor,
    positions: tf.Tensor,
    remember: Remember,
) -> tf.Tensor:
    """tokens, positions [B, T] -> the final layer-normed states [B, T, E]."""
    x = tf.gather(params["wte"], tokens) + tf.gather(params["wpe"], positions)
    for layer in range(hparams.n_layer):
        h = f"h{layer}"
        normed = layer_norm(params, hparams, f"{h}/ln_1", x)
        x += attention(params, hparams, layer, normed, positions, remember)
        x += mlp(params, hparams, f"{h}/mlp", layer_norm(params, hparams, f"{h}/ln_2", x))
    return layer_norm(params, hparams, "ln_f", x)


def attention(
    params: Params,
    hparams: HParams,
    layer: int,
    x: tf.Tensor,
    positions: tf.Tensor,
    remember: Remember,
) -> tf.Tensor:
    """x [B, T, E], positions [B, T] -> [B, T, E]. A token attends to the slots up to its own."""
    name, shape = f"h{layer}/attn", tf.shape(x)
    heads = [shape[0], shape[1], 3, hparams.n_head, hparams.head_size]
    qkv = tf.reshape(dense(params, f"{name}/c_attn", x), heads)
    query, key, value = tf.unstack(qkv, axis=2)
    keys, values = remember(layer, key, value)
    scores = tf.einsum("bthk,bshk->bhts", query, keys) * hparams.attention_scale(layer)
    seen = tf.range(tf.shape(keys)[1]) <= positions[..., None]  # [B, T, S]
    weights = tf.nn.softmax(tf.where(seen[:, None], scores, MASKED))
    attended = tf.reshape(tf.einsum("bhts,bshk->bthk", weights, values), shape)
    return dense(params, f"{name}/c_proj", attended)


def mlp(  # [B, T, E] -> [B, T, E]
    params: Params, hparams: HParams, name: str, x: tf.Tensor
) -> tf.Tensor:
    activation = ACTIVATIONS[hparams.activation_function]
    return dense(params, f"{name}/c_proj", activation(dense(params, f"{name}/c_fc", x)))


def layer_norm(  # [..., E] -> [..., E]
    params: Params, hparams: HParams, name: str, x: tf.Tensor
) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    scaled = (x - mean) * tf.math.rsqrt(variance + hparams.layer_norm_epsilon)
    return scaled * params[f"{name}/g"] + params[f"{name}/b"]


def dense(params: Params, name: str, x: tf.Tensor) -> tf.Tensor:  # [..., I] -> [..., O]
    weights = params[f"{name}/w"]  # [I, O]
    flat = tf.matmul(tf.reshape(x, [-1, weights.shape[0]]), weights)
    flat = tf.nn.bias_add(flat, params[f"{name}/b"])
    return tf.reshape(flat, tf.concat([tf.shape(x)[:-1], weights.shape[-1:]], axis=0))


def unembed(params: Params, hparams: HParams, x: tf.Tensor) -> tf.Tensor:  # [N, E] -> [N, V]
    return tf.matmul(x, params[hparams.unembedding], transpose_b=True)
