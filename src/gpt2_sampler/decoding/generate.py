"""Prompts, as text or as tokens -> how they go on, in one call. Texts does the work."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import cast

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import Request, as_ends, as_seed, check_tokens, stream_of
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.scheduler import Texts, write_in_order
from gpt2_sampler.decoding.text import Piece, Text, encode_prompt
from gpt2_sampler.engines.engine import Engine, require_engine
from gpt2_sampler.errors import UsageError, brief, iterate, require_kind
from gpt2_sampler.limits import LIMITS, Limits, check_limits, is_whole
from gpt2_sampler.tokenizer.load import Tokenizer

PLAIN = Sampling()
ROWS = 8


def continue_text(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    length: int | None = None,
    stop: Sequence[str] = (),
    seed: int | None = None,
    sample: int = 0,
    sampling: Sampling = PLAIN,
    top: int | None = None,
    ignore_eot: bool = False,
    special_tokens: bool | None = None,
    draft: Engine | Future[Engine] | None = None,
) -> Iterator[Piece]:
    """Continues a prompt -> pieces of its text as they are written, in whole characters.

    Without a prompt a text is written out of nothing. It has length tokens, by default half of the
    model's window after a prompt and the whole window out of nothing; or it ends before one of the
    texts in stop, or where the model ends it, unless ignore_eot. The text is the one that the
    commands write with the same model, prompt, settings, seed and number of the sample; without a
    seed it is another one each time. top asks for log-probabilities: of each token that is drawn
    and of so many of the likeliest. special_tokens is that of Tokenizer.encode, draft that of
    Batch. Raises UsageError at once for what cannot be continued, a prompt that is longer than the
    window included, and later what Batch.step raises.

    >>> for piece in continue_text(engine, tokenizer, "Once upon a time", length=40, stop=["."]):
    ...     print(piece.characters, end="", flush=True)
    """
    [text] = _texts_of(
        engine, tokenizer, [prompt], [sample], length, stop, _seed(seed), sampling, top, ignore_eot,
        special_tokens,
    )  # fmt: skip
    written = write_in_order(Texts(Batch(engine, 1, draft)), [text])
    return (piece for pieces in written for piece in pieces)  # chain does not survive two threads


def continue_texts(
    engine: Engine,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    samples: int = 1,
    *,
    length: int | None = None,
    stop: Sequence[str] = (),
    seed: int | None = None,
    sampling: Sampling = PLAIN,
    top: int | None = None,
    ignore_eot: bool = False,
    special_tokens: bool | None = None,
    rows: int = ROWS,
    draft: Engine | Future[Engine] | None = None,
) -> Iterator[Text]:
    """Continues many prompts, samples times each -> whole texts, in the order of the prompts.

    Each is the text that continue_text writes with the same seed and the number of the sample, 0 to
    samples - 1. rows is how many are written at the same time, which changes only the speed.
    Raises UsageError as continue_text does, for a prompt when it is its turn.

    >>> for text in continue_texts(engine, tokenizer, ["Once", "There was"], length=40, seed=7):
    ...     print(text.characters)
    """
    numbers = range(check_limits("samples", samples, Limits(1)))
    given = iterate("prompts", prompts, "several texts; continue_text takes one")
    to_write = _texts_of(
        engine, tokenizer, given, numbers, length, stop, _seed(seed), sampling, top,
        ignore_eot, special_tokens,
    )  # fmt: skip
    written = write_in_order(Texts(Batch(engine, rows, draft)), to_write)
    return (piece.text for pieces in written for piece in pieces if piece.ended)


def _texts_of(
    engine: Engine,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    samples: Iterable[int],
    length: int | None,
    stop: Sequence[str],
    seed: int,
    sampling: Sampling,
    top: int | None,
    ignore_eot: bool,
    special_tokens: bool | None,
) -> Iterator[Text]:
    """Those samples of each prompt, to be written."""
    require_engine(engine)
    require_kind("tokenizer", tokenizer, Tokenizer, "a Tokenizer, which load_tokenizer gives")
    require_kind("ignore_eot", ignore_eot, bool, "True or False")
    stops, window, ids = _stops(stop), engine.hparams.n_ctx, itertools.count()
    for prompt in prompts:
        tokens = _encode(engine, tokenizer, prompt, special_tokens)
        for sample in samples:
            request = Request(
                id=next(ids),
                tokens=tokens,
                stream=stream_of(seed, sample, tokens if prompt else ()),
                sampling=sampling,
                length=_length(length, window, prompt),
                ends=frozenset() if ignore_eot else tokenizer.ends,
                top=top,
            )
            yield Text(request, tokenizer, stops)


def generate(
    engine: Engine,
    tokens: Sequence[int],
    samples: int | Iterable[int] = 1,
    *,
    length: int,
    seed: int = 0,
    sampling: Sampling = PLAIN,
    ends: Collection[int] = (),
    rows: int = ROWS,
) -> Iterator[list[int]]:
    """Continues a text of 1 token or more, once for each sample -> the new tokens of each sample,
    in order, as soon as it is complete.

    samples is how many, or their numbers: sample k of a seed is the same whichever others there
    are. Each has length tokens, or ends before one of ends. rows is how many are written at the
    same time, which changes only the speed. Raises UsageError at once for an impossible text or
    number, and later what Batch.step raises.

    >>> for sample in generate(engine, [464, 3290], 2, length=20, seed=7):
    ...     print(sample)
    """
    require_engine(engine)
    prompt = check_tokens(tokens, engine.hparams.n_vocab)
    _require_window(len(prompt), engine.hparams.n_ctx)
    seed = _seed(seed)
    if is_whole(samples):
        numbers: Iterable[int] = range(check_limits("samples", samples, Limits(0)))
    else:
        numbers = iterate("samples", cast(Iterable[int], samples), "how many, or their numbers")

    def text_of(number: int) -> Text:
        stream = stream_of(seed, as_seed(number), prompt)
        return Text(Request(number, prompt, stream, sampling, length, as_ends(ends)))

    text_of(0)  # raises at once what any of them would
    written = write_in_order(Texts(Batch(engine, rows)), map(text_of, numbers))
    return (piece.text.tokens for pieces in written for piece in pieces if piece.ended)


def _encode(
    engine: Engine, tokenizer: Tokenizer, prompt: str, special_tokens: bool | None
) -> list[int]:
    require_kind("a prompt", prompt, str, "text")
    if not prompt:
        if tokenizer.start_of_text is None:
            raise UsageError("this vocabulary has no token to start a text from; give a prompt")
        return [tokenizer.start_of_text]
    tokens = encode_prompt(prompt, tokenizer, engine.hparams.n_vocab, special_tokens)
    _require_window(len(tokens), engine.hparams.n_ctx)
    return tokens


def _require_window(n_tokens: int, window: int) -> None:
    if n_tokens > window:
        raise UsageError(
            f"the prompt has {n_tokens} tokens, more than the model's window of {window}; "
            "continue the end of it"
        )


def _length(length: int | None, window: int, prompt: str) -> int:
    if length is None:
        return max(1, window // 2) if prompt else window
    return check_limits("length", length)


def _seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(LIMITS["seed"].highest + 1)
    if not is_whole(seed, 0):
        raise UsageError(f"seed must be a whole number from 0 on, not {brief(seed)}")
    return int(seed)


def _stops(stop: Sequence[str]) -> tuple[str, ...]:
    what = "texts of a character or more"
    stops = tuple(iterate("stop", stop, what))
    for one in stops:
        if not isinstance(one, str) or not one:
            raise UsageError(f"stop must be {what}, not {brief(one)}")
    return stops
