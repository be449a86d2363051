"""Token ids, cached keys and values -> logits: GPT-2's transformer in TensorFlow operations.

Knows tensors only: no files, no text, no sampling, no device.

Axis letters, here and in every other module:
V n_vocab, C n_ctx, E n_embd, H n_head, L n_layer, K = E / H;
B rows, T tokens read in this call, S cache slots.

Formulas: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3,
on Vaswani et al. 2017; GELU is the tanh approximation of Hendrycks and Gimpel 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from gpt2_sampler.weights.hparams import HParams

Params = Mapping[str, tf.Tensor]
KeysValues = tuple[tf.Tensor, tf.Tensor]
"""One layer's keys and values, each [B, H, S, K]."""

ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "quick_gelu": lambda x: x * tf.sigmoid(1.702 * x),
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "tanh": tf.tanh,
}
MASKED = -1e10
"""Added to a score that must not count; far below any real score, and finite, so that a row
in which nothing counts yet is no NaN."""


def prefill(
    params: Params,
    hparams: HParams,
    tokens: tf.Tensor,
    start: tf.Tensor,
    past: Sequence[KeysValues],
    wanted: tf.Tensor,
) -> tuple[tf.Tensor, list[KeysValues]]:
    """Reads T tokens of one text at positions start, start + 1, ...

    tokens [T], start [], past L x [1, H, S, K] of which slots 0 .. start - 1 count,
    wanted [W] indices into tokens -> logits [W, V], the new keys and values L x [1, H, T, K].
    """
    positions = start + tf.range(tf.shape(tokens)[0])
    valid = tf.range(slots(past)) < start
    x, new = transform(params, hparams, tokens[None], positions[None], past, valid[None])
    return unembed(params, hparams, tf.gather(x[0], wanted)), new


def decode(
    params: Params,
    hparams: HParams,
    tokens: tf.Tensor,
    positions: tf.Tensor,
    past: Sequence[KeysValues],
) -> tuple[tf.Tensor, list[KeysValues]]:
    """Reads the next token of each of B texts.

    tokens [B], positions [B], past L x [B, H, S, K] of which row b's first positions[b] slots
    count -> logits [B, V], the new keys and values L x [B, H, 1, K].
    """
    valid = tf.range(slots(past))[None] < positions[:, None]
    x, new = transform(params, hparams, tokens[:, None], positions[:, None], past, valid)
    return unembed(params, hparams, x[:, 0]), new


def transform(
    params: Params,
    hparams: HParams,
    tokens: tf.Tensor,
    positions: tf.Tensor,
    past: Sequence[KeysValues],
    valid: tf.Tensor,
) -> tuple[tf.Tensor, list[KeysValues]]:
    """tokens, positions [B, T], past L x [B, H, S, K], valid [B, S] of its slots
    -> the final layer-normed states [B, T, E], the new keys and values L x [B, H, T, K]."""
    x = tf.gather(params["wte"], tokens) + tf.gather(params["wpe"], positions)
    mask = attention_mask(valid, tf.shape(tokens)[1])
    new = []
    for layer in range(hparams.n_layer):
        h = f"h{layer}"
        normed = layer_norm(params, hparams, f"{h}/ln_1", x)
        a, keys_values = attention(params, hparams, layer, normed, past[layer], mask)
        x += a
        x += mlp(params, hparams, f"{h}/mlp", layer_norm(params, hparams, f"{h}/ln_2", x))
        new.append(keys_values)
    return layer_norm(params, hparams, "ln_f", x), new


def slots(past: Sequence[KeysValues]) -> tf.Tensor:
    """L x [B, H, S, K] -> S"""
    return tf.shape(past[0][0])[2]


def attention_mask(valid: tf.Tensor, n_tokens: tf.Tensor) -> tf.Tensor:
    """valid [B, S], T -> [B, 1, T, S + T], 0 where token t may look, MASKED elsewhere:
    at the valid slots of the past, at itself, and at the tokens before it."""
    rows = tf.shape(valid)[0]
    past = tf.repeat(valid[:, None], n_tokens, axis=1)
    present = tf.linalg.band_part(tf.ones([rows, n_tokens, n_tokens], tf.bool), -1, 0)
    return tf.where(tf.concat([past, present], axis=-1), 0.0, MASKED)[:, None]


def attention(
    params: Params,
    hparams: HParams,
    layer: int,
    x: tf.Tensor,
    past: KeysValues,
    mask: tf.Tensor,
) -> tuple[tf.Tensor, KeysValues]:
    """x [B, T, E], past [B, H, S, K], mask [B, 1, T, S + T] -> [B, T, E], new [B, H, T, K]"""
    name, shape = f"h{layer}/attn", tf.shape(x)
    heads = [shape[0], shape[1], 3, hparams.n_head, hparams.head_size]
    qkv = tf.reshape(dense(params, f"{name}/c_attn", x), heads)
    query, key, value = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
    keys = tf.concat([past[0], key], axis=2)
    values = tf.concat([past[1], value], axis=2)
    scores = tf.matmul(query, keys, transpose_b=True) * hparams.attention_scale(layer)
    weighted = tf.matmul(tf.nn.softmax(scores + mask), values)  # [B, H, T, K]
    merged = tf.reshape(tf.transpose(weighted, [0, 2, 1, 3]), shape)
    return dense(params, f"{name}/c_proj", merged), (key, value)


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
    weights = params[f"{name}/w"][0]  # [1, I, O] stored, as a convolution of width 1
    flat = tf.matmul(tf.reshape(x, [-1, weights.shape[0]]), weights)
    flat = tf.nn.bias_add(flat, params[f"{name}/b"])
    return tf.reshape(flat, tf.concat([tf.shape(x)[:-1], weights.shape[-1:]], axis=0))


def unembed(params: Params, hparams: HParams, x: tf.Tensor) -> tf.Tensor:  # [N, E] -> [N, V]
    return tf.matmul(x, params[hparams.unembedding], transpose_b=True)
