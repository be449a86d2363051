"""Texts -> their probability under a model: the command gpt2-score."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import groupby
from operator import itemgetter

from tqdm import tqdm

from gpt2_sampler.cli.commands.figures import (
    TITLES,
    explain_paint,
    figure_lines,
    paint,
    row,
    say,
    token_lines,
    word_lines,
)
from gpt2_sampler.cli.flags.inputs import sources, texts
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.score_settings import TOP, ScoreSettings
from gpt2_sampler.cli.session.loading import LOADER, Loader, Model, Models
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.cli.session.quiet import quiet, quiet_at_first
from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.decoding.score import Place, next_logprobs, score_texts
from gpt2_sampler.decoding.text import encode_prompt
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import require_apart, require_place, user_path
from gpt2_sampler.seeing.bars import can_show_blocks
from gpt2_sampler.seeing.compare import as_json, effects, format_effects
from gpt2_sampler.seeing.pieces import look, pieces, quote
from gpt2_sampler.seeing.plot import plot, require_matplotlib
from gpt2_sampler.seeing.report import as_text, report
from gpt2_sampler.seeing.score_page import page
from gpt2_sampler.seeing.scored import Scored
from gpt2_sampler.seeing.spans import find_spans
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.writing import write_whole

LARGE = 5_000_000  # bytes of a file, of which it is said how many before it is written
PATIENCE = 1  # seconds, before a bar is shown


def score_named_texts(argv: Sequence[str], program: str, loader: Loader = LOADER) -> None:
    settings = parse(ScoreSettings, argv, program, positional="files")
    named = list(texts(settings.text, settings.files, settings.lines))
    for name, text in named:
        if not text:
            raise UsageError(f"{name} is empty; there is nothing to score")
    if not named:
        raise UsageError("there is no text; give --text TEXT, files, or lines on stdin")
    outputs = [user_path(file) for file in (settings.html, settings.png) if file is not None]
    for path in outputs:
        require_place(path)
    require_apart(outputs, sources(settings.text, settings.files))
    if settings.png is not None:
        require_matplotlib(len(named))
    model = Models(settings, loader).answering("".join(text for _, text in named))
    if settings.compare_settings:
        for name, text in named:
            compare(name, text, model, settings)
        return
    scored: Iterable[Scored] = scored_texts(named, model, settings)
    if settings.sort:
        scored = in_order(list(scored), settings.sort)
    if settings.html is not None or settings.png is not None:
        scored = list(scored)
    print_scores(scored, len(named), settings)
    if settings.html is not None:
        save(settings.html, page(list(scored), model.name).encode("utf-8", "replace"))
    if settings.png is not None:
        save(settings.png, plot(list(scored)))


def print_scores(scored: Iterable[Scored], n_texts: int, settings: ScoreSettings) -> None:
    """On stdout, each text as soon as it is scored."""
    full = settings.tokens or settings.words or settings.show
    if settings.show:
        explain_paint()
    if n_texts > 1 and not (full or settings.json):
        say(TITLES)
    for text in scored:
        if settings.json:
            say(json.dumps(report(text, settings.words)))
        elif n_texts > 1 and not full:
            say(row(text))
        else:
            if n_texts > 1:
                say(f"== {text.name}")
            if settings.show:
                paint(text, wrapped=not settings.nowrap)
            tokens = token_lines(text) if settings.tokens else ()
            words = word_lines(text) if settings.words else ()
            for line in (*tokens, *words, *figure_lines(text)):
                say(line)


def compare(name: str, text: str, model: Model, settings: ScoreSettings) -> None:
    tokens = [*tokens_before(model, settings), *tokens_of(name, text, model, settings)]
    tokens = tokens[-model.window :]
    with quiet(settings.verbose):
        logprobs = next_logprobs(model.engine, tokens)
    table = effects(logprobs, tokens)

    def look_at(token: int) -> str:
        return look(model.tokenizer, token)

    if settings.json:
        say(json.dumps({"name": as_text(name), "settings": as_json(table, look_at, TOP)}))
        return
    say(f"the token after {quote(text[-50:])}")
    blocks = can_show_blocks(sys.stdout.encoding)
    for line in format_effects(table, lambda token: quote(look_at(token)), TOP, blocks):
        say(line)


def tokens_before(model: Model, settings: ScoreSettings) -> list[int]:
    """What each text stands after: what the vocabulary puts there or else, with --bos, the start of
    text."""
    before, start = model.tokenizer.before, model.tokenizer.start_of_text
    if before or not settings.bos:
        return list(before)
    if start is None:
        raise UsageError("the model's vocabulary has no start of text; leave out --bos")
    return [start]


def tokens_of(name: str, text: str, model: Model, settings: ScoreSettings) -> list[int]:
    n_vocab, tokenizer = model.engine.hparams.n_vocab, model.tokenizer
    with quiet(settings.verbose):
        tokens = encode_prompt(text, tokenizer, n_vocab, settings.special_tokens, source=name)
    if len(tokens) == len(tokenizer.before):
        raise UsageError(f"nothing of {name} is in the model's vocabulary")
    return tokens[len(tokenizer.before) :]


def scored_texts(
    named: Sequence[tuple[str, str]], model: Model, settings: ScoreSettings
) -> Iterator[Scored]:
    """Texts are read side by side, and come in order."""
    before = tokens_before(model, settings)
    encoded = [[*before, *tokens_of(name, text, model, settings)] for name, text in named]
    found = quiet_at_first(
        score_texts(model.engine, encoded, settings.alternatives, stride=settings.stride),
        settings.verbose,
    )
    look_of = cache(partial(look, model.tokenizer))
    with tqdm(
        total=sum(map(len, encoded)) - len(encoded),
        unit=" tokens",
        unit_scale=True,
        delay=PATIENCE,
        leave=False,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    ) as bar:
        for number, steps in groupby(found, key=itemgetter(0)):
            of_text = list[Place]()
            for _, places in steps:
                of_text += places
                bar.update(len(places))
            name, text = named[number]
            tokens, places = encoded[number][len(before) :], of_text[max(0, len(before) - 1) :]
            yield scored_text(name, text, tokens, places, model.tokenizer, look_of, settings)


def scored_text(
    name: str,
    text: str,
    tokens: Sequence[int],
    places: Sequence[Place],
    tokenizer: Tokenizer,
    look_of: Callable[[int], str],
    settings: ScoreSettings,
) -> Scored:
    unscored = tokens[: len(tokens) - len(places)]
    return Scored(
        name,
        tokens,
        list(pieces(tokenizer, tokens)),
        places,
        [[look_of(token) for token, _ in place.top] for place in places],
        max(0, len(text.encode()) - len(tokenizer.decode_bytes(unscored))),
        from_line=settings.lines,
        spans=find_spans(tokenizer, tokens) if settings.json or settings.words else (),
    )


def in_order(scored: list[Scored], by: str) -> list[Scored]:
    """The lowest first or, with "-" before the column, the highest; texts without a figure last."""
    column, descending = by.removeprefix("-"), by.startswith("-")
    figures = [(text.name if column == "name" else text.figures()[column]) for text in scored]
    known = [n for n, figure in enumerate(figures) if figure is not None]
    known.sort(key=lambda n: figures[n], reverse=descending)
    return [scored[n] for n in [*known, *(n for n, f in enumerate(figures) if f is None)]]


def save(file: str, content: bytes) -> None:
    """Raises SamplerError."""
    path = user_path(file)
    if len(content) >= LARGE:
        notice(f"writing {len(content) / 1e6:.0f} MB to {path}")
    with write_whole(path) as new:
        new.write_bytes(content)
    notice(f"written to {path}")


def main(argv: Sequence[str] | None = None, loader: Loader = LOADER) -> int:
    return run(partial(score_named_texts, loader=loader), argv)
