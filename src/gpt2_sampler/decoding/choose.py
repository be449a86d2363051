"""Logits -> next tokens, and what is told of tokens: by the compiled draw.c, or else in NumPy.

Knows arrays: no engines, no text. Both give the same ids; probabilities agree to the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpt2_sampler.decoding import plain
from gpt2_sampler.decoding.kernel import DrawKernel, find_kernel
from gpt2_sampler.decoding.logits import Logits, Standing
from gpt2_sampler.decoding.noise import Doubles, Ids, Keys
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling, check_bias


def choose(
    logits: Logits,
    histories: Sequence[History],
    samplings: Sequence[Sampling],
    keys: Keys,
    threads: int = 1,
) -> Ids:
    """[B, V], a history, a Sampling and a key for each row -> B tokens. Each row's token is what
    it would be alone. Raises CheckpointError for logits that are not numbers, UsageError for a
    logit_bias of a token that there is none of."""
    for sampling in samplings:
        check_bias(sampling, logits.shape[-1])
    if kernel := kernel_for(logits):
        return kernel.choose(logits, histories, samplings, keys, threads)
    return plain.choose(logits, histories, samplings, keys)


def distribution(logits: Logits, history: History, sampling: Sampling) -> Doubles:
    """The log-probability with which each token is drawn: [V] -> [V], -inf for those left out.
    Raises as choose does."""
    check_bias(sampling, len(logits))
    if kernel := kernel_for(logits):
        return kernel.distribution(logits, history, sampling)
    return plain.distribution(logits, history, sampling)


def tell(
    logits: Logits,
    histories: Sequence[History],
    samplings: Sequence[Sampling],
    ids: Sequence[int],
    tops: Sequence[int],
    threads: int = 1,
) -> Standing:
    """[W, V], and for each row a history, a Sampling, a token and how many of its likeliest tokens
    it wants -> where those stand for the model, and how likely each is to be drawn. N is the most
    that any row wants, or V if that is less. Raises as choose does."""
    for sampling in samplings:
        check_bias(sampling, logits.shape[-1])
    if kernel := kernel_for(logits):
        return kernel.tell(logits, histories, samplings, ids, tops, threads)
    return plain.tell(logits, histories, samplings, ids, tops)


def kernel_for(logits: Logits) -> DrawKernel | None:
    return find_kernel() if logits.dtype == np.float32 else None
