"""A text's tokens -> how likely the model finds each of them.

Reads the text in pieces, so that [T, V] is never in memory. Knows an engine, no text, no files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpt2_sampler.decoding.logits import check_numbers, logsumexp, ordered, rank
from gpt2_sampler.decoding.window import checked
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import UsageError

PIECE = 64  # tokens; their logits take 13 MB where V is GPT-2's


class Place(NamedTuple):
    """How likely the model found a token, given those before it."""

    token: int
    logprob: float
    rank: int
    """From 1 for the likeliest; of equals the first one is ahead."""
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens and their log-probabilities, the likeliest first."""


def score(
    engine: Engine, tokens: Sequence[int], *, stride: int | None = None
) -> npt.NDArray[np.float64]:
    """The log-probability of each token after the first, in nats: T tokens -> [T - 1].

    A text longer than the window of C tokens is read in windows, each of which begins stride tokens
    after the one before (by default C // 2). A token in two windows is scored in the earlier one,
    so that every token follows at least C - stride others, if there are that many. Raises
    UsageError for a stride that is not 1 to C - 1, for an empty text and for a token that the model
    does not have.
    """
    scores = [np.zeros(0)]
    for targets, logits in read(engine, tokens, stride):
        scores.append(logits[np.arange(len(targets)), targets] - logsumexp(logits))
    return np.concatenate(scores)


def places(
    engine: Engine, tokens: Sequence[int], top: int = 0, *, stride: int | None = None
) -> Iterator[Place]:
    """As score, token by token, with ranks and the likeliest tokens at each place."""
    for targets, logits in read(engine, tokens, stride):
        for token, row in zip(targets, logits, strict=True):
            best = ordered(row, top)
            own, *others = (row[[token, *best]] - logsumexp(row)).tolist()
            yield Place(token, own, rank(row, token), tuple(zip(best, others, strict=True)))


def next_logits(engine: Engine, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
    """The logits after a text of 1 token or more, at most the window: T tokens -> [V]. Raises
    UsageError as score does, CheckpointError for logits that are not numbers."""
    text, n = checked(tokens, engine.hparams.n_vocab), len(tokens)
    logits = engine.forward(engine.new_cache(1), text, [0] * n, range(n), [n - 1])
    check_numbers(logits)
    return logits[0]


def read(
    engine: Engine, tokens: Sequence[int], stride: int | None
) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
    """The tokens after the first, up to PIECE at a time, and the logits for each of them."""
    window = engine.hparams.n_ctx
    text = checked(tokens, engine.hparams.n_vocab)
    step = window // 2 if stride is None else stride
    if not 0 < step < window:
        raise UsageError(f"the stride must be 1 to {window - 1} tokens, not {step}")
    cache = engine.new_cache(1)
    scored = 1  # tokens
    for start in range(0, len(text), step):
        end = min(start + window, len(text))
        at = start
        while at < end - 1:
            first = max(at, scored - 1)
            last = min(first + PIECE, end - 1)
            n = last - at
            logits = engine.forward(
                cache, text[at:last], [0] * n, range(at - start, last - start), range(first - at, n)
            )
            check_numbers(logits)
            yield text[first + 1 : last + 1], logits
            at = last
        scored = end
        if end == len(text):
            return
