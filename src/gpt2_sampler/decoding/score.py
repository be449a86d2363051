"""A text's tokens -> how likely the model finds each of them.

Knows an engine, no text, no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import Request, Token, check_tokens
from gpt2_sampler.decoding.scheduler import Texts, write_in_order
from gpt2_sampler.decoding.text import Text
from gpt2_sampler.engines.engine import Engine, require_engine
from gpt2_sampler.errors import UsageError, brief, iterate
from gpt2_sampler.limits import is_whole

ROWS = 32
"""Texts that are read side by side: enough for short ones to fill the pieces that are read."""


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
    """The log-probability of each token after the first, in nats: T tokens -> [T - 1]. After a
    start of text all tokens of a text are scored.

    A text longer than the window of C tokens is read in windows, each of which begins stride tokens
    after the one before (by default C // 2). A token in two windows is scored in the earlier one,
    so that every token follows at least C - stride others, if there are that many. Raises
    UsageError for a stride that is not 1 to C - 1, for an empty text and for a token that the model
    does not have.

    >>> score(engine, [tokenizer.start_of_text, *tokenizer.encode("Once upon a time")]).sum()
    """
    return np.array([place.logprob for place in places(engine, tokens, stride=stride)], np.float64)


def places(
    engine: Engine, tokens: Sequence[int], top: int = 0, *, stride: int | None = None
) -> Iterator[Place]:
    """As score, token by token, with ranks and the likeliest tokens at each place."""
    for _, found in score_texts(engine, [tokens], top, stride=stride):
        yield from found


def score_texts(
    engine: Engine,
    texts: Iterable[Sequence[int]],
    top: int = 0,
    *,
    stride: int | None = None,
    rows: int = ROWS,
) -> Iterator[tuple[int, list[Place]]]:
    """As places, for many texts that are read side by side: text by text and in order, the number
    of the text (0, 1, ...) and the next of its places. A text of one token has none."""
    require_engine(engine)
    window, n_vocab = engine.hparams.n_ctx, engine.hparams.n_vocab
    step = window // 2 if stride is None else stride
    if not is_whole(step, 1) or step >= window:
        raise UsageError(f"the stride must be 1 to {window - 1} tokens, not {brief(step)}")
    to_read = (
        part
        for number, tokens in enumerate(iterate("texts", texts, "several lists of tokens"))
        for part in windows(number, check_tokens(tokens, n_vocab), window, step, top)
    )
    for pieces in write_in_order(Texts(Batch(engine, rows)), to_read):
        for piece in pieces:
            number, _ = cast(tuple[int, int], piece.text.id)
            yield number, [place_of(token) for token, _ in piece.tokens if token is not None]


def windows(number: int, tokens: list[int], window: int, stride: int, top: int) -> Iterator[Text]:
    """What has to be read to score a text: each of its tokens after the first is told once."""
    if len(tokens) == 1:
        nothing = Text(Request((number, 0), tokens, (0,), length=1))
        nothing.end()
        yield nothing
    scored = 1  # tokens
    for start in range(0, len(tokens), stride):
        if scored < len(tokens):
            part = tokens[start : start + window]
            yield Text(Request((number, start), part, tell_from=scored - start, top=top))
            scored = start + len(part)


def place_of(token: Token) -> Place:
    assert token.choice is not None
    top = tuple((choice.id, choice.logprob) for choice in token.top)
    return Place(token.id, token.choice.logprob, token.choice.rank, top)


def tell(texts: Texts, request: Request) -> Iterator[Token]:
    """A request's own tokens, as Request.tell_from has it, from a batch that has other work too:
    what its rows hold of the text is not read again. Past the window the model sees what it saw
    when the text was drawn. Raises what Batch.add and Batch.step raise."""
    for pieces in write_in_order(texts, [Text(request)]):
        for piece in pieces:
            yield from (token for token, _ in piece.tokens if token is not None)


def next_logprobs(engine: Engine, tokens: Sequence[int]) -> npt.NDArray[np.float64]:
    """The model's log-probability of each token after a text, in nats: T tokens -> [V]. Raises
    UsageError and CheckpointError as score does."""
    n_vocab = engine.hparams.n_vocab
    texts = Texts(Batch(engine, 1))
    texts.add(Text(Request(0, tokens, (0,), length=1, top=n_vocab)))
    while not (pieces := texts.step()):
        pass
    [(token, _)] = pieces[0].tokens
    assert token is not None
    found = np.empty(n_vocab)
    found[[choice.id for choice in token.top]] = [choice.logprob for choice in token.top]
    return found
