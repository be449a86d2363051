"""Texts -> their probability under a model: the command gpt2-score."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
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
)
from gpt2_sampler.cli.flags.inputs import sources, texts
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.score_settings import TOP, ScoreSettings
from gpt2_sampler.cli.session.loading import LOADER, Loader, Model, Models
from gpt2_sampler.cli.session.quiet import quiet, quiet_at_first
from gpt2_sampler.cli.session.terminal import notice, run
from gpt2_sampler.decoding.score import Place, next_logprobs, score_texts
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import require_apart, require_place, user_path
from gpt2_sampler.seeing.bars import can_show_blocks
from gpt2_sampler.seeing.compare import as_json, compared, effects
from gpt2_sampler.seeing.pieces import look, pieces, quoted
from gpt2_sampler.seeing.plot import plot, require_matplotlib
from gpt2_sampler.seeing.score_page import page
from gpt2_sampler.seeing.scored import Scored
from gpt2_sampler.writing import written

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
    full = settings.tokens or settings.show
    if settings.show:
        explain_paint()
    if n_texts > 1 and not (full or settings.json):
        say(TITLES)
    for text in scored:
        if settings.json:
            say(json.dumps(text.as_json(), ensure_ascii=False))
        elif n_texts > 1 and not full:
            say(row(text))
        else:
            if n_texts > 1:
                say(f"== {text.name}")
            if settings.show:
                paint(text, wrapped=not settings.nowrap)
            for line in [*(token_lines(text) if settings.tokens else []), *figure_lines(text)]:
                say(line)


def compare(name: str, text: str, model: Model, settings: ScoreSettings) -> None:
    tokens = model.tokenizer.encode(text)[-model.window :]
    require_tokens(name, tokens)
    with quiet(settings.verbose):
        logprobs = next_logprobs(model.engine, tokens)
    table = effects(logprobs, tokens)

    def shown(token: int) -> str:
        return look(model.tokenizer, token)

    if settings.json:
        say(json.dumps({"name": name, "settings": as_json(table, shown, TOP)}, ensure_ascii=False))
        return
    say(f"the token after {quoted(text[-50:])}")
    blocks = can_show_blocks(sys.stdout.encoding)
    for line in compared(table, lambda token: quoted(shown(token)), TOP, blocks):
        say(line)


def require_tokens(name: str, tokens: Sequence[int]) -> None:
    if not tokens:
        raise UsageError(f"nothing of {name} is in the model's vocabulary")


def scored_texts(
    named: Sequence[tuple[str, str]], model: Model, settings: ScoreSettings
) -> Iterator[Scored]:
    """Texts are read side by side, and come in order."""
    encoded = [model.tokenizer.encode(text) for _, text in named]
    for (name, _), tokens in zip(named, encoded, strict=True):
        require_tokens(name, tokens)
    found = quiet_at_first(
        score_texts(model.engine, encoded, settings.alternatives, stride=settings.stride),
        settings.verbose,
    )
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
            yield scored_text(name, text, encoded[number], of_text, model, settings)


def scored_text(
    name: str,
    text: str,
    tokens: Sequence[int],
    found: Sequence[Place],
    model: Model,
    settings: ScoreSettings,
) -> Scored:
    tokenizer = model.tokenizer
    looks: dict[int, str] = {}
    for place in found:
        for token, _ in place.top:
            looks.setdefault(token, look(tokenizer, token))
    n_bytes = len(text.encode("utf-8", "surrogateescape"))
    return Scored(
        name,
        tokens,
        list(pieces(tokenizer, tokens)),
        found,
        [[looks[token] for token, _ in place.top] for place in found],
        max(0, n_bytes - len(tokenizer.decode_bytes(tokens[:1]))),
        from_line=settings.lines,
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
    with written(path) as new:
        new.write_bytes(content)
    notice(f"written to {path}")


def main(argv: Sequence[str] | None = None, loader: Loader = LOADER) -> int:
    return run(partial(score_named_texts, loader=loader), argv)
