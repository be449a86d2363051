"""Texts -> how likely a model finds them: the command gpt2-score."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from gpt2_sampler.cli.figures import (
    TITLES,
    explain_paint,
    figure_lines,
    paint,
    row,
    say,
    token_lines,
)
from gpt2_sampler.cli.flags import flag, parse
from gpt2_sampler.cli.loading import Model, load
from gpt2_sampler.cli.quiet import quiet
from gpt2_sampler.cli.settings import ModelSettings
from gpt2_sampler.cli.terminal import notice, run
from gpt2_sampler.cli.texts import texts
from gpt2_sampler.decoding.sampling import Logits
from gpt2_sampler.decoding.score import places
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import reason, user_path, written
from gpt2_sampler.seeing.bars import can_show_blocks
from gpt2_sampler.seeing.compare import as_json, effects, lines
from gpt2_sampler.seeing.page import page
from gpt2_sampler.seeing.pieces import look, pieces, quoted
from gpt2_sampler.seeing.plot import plot, require_matplotlib
from gpt2_sampler.seeing.score import Scored

TOP = 10  # alternatives told of each place
SORTED_BY = "name", "tokens", "logprob", "perplexity", "bits_per_byte"


@dataclasses.dataclass(frozen=True)
class ScoreSettings(ModelSettings):
    """Tells how likely a model finds a text, token by token: that of --text, of files, or of stdin.

    Figures are of all tokens but the first, which has nothing before it: logprob is the sum of
    their log-probabilities in nats, perplexity exp of its negative mean, and bits per byte the sum
    in bits by their bytes in UTF-8. A line break at the end of a text is not part of it.
    """

    files: tuple[str, ...] = flag((), "files to score, also without --files", "FILE")
    text: str | None = flag(None, "score this text", "TEXT")
    lines: bool = flag(False, "each line is a text of its own")
    sort: str | None = flag(
        None,
        f"order several texts by {', '.join(SORTED_BY)}; with - before it, the highest first",
        "COLUMN",
    )
    stride: int | None = flag(
        None,
        "how far the window slides in a text that is longer than it, by default half the window; "
        "each token is seen after all the others of a window but these, or more",
        "TOKENS",
    )
    tokens: bool = flag(False, "a line for each token: log-probability, rank, token")
    show: bool = flag(False, "the text, painted by rank and probability at a terminal")
    json: bool = flag(False, f"a line of JSON for each text, with {TOP} alternatives a token")
    html: str | None = flag(None, "write a page to look at and share, in one file", "FILE")
    png: str | None = flag(None, "draw the curve of surprise (needs matplotlib)", "FILE")
    compare_settings: bool = flag(
        False, "what temperature, top_k and top_p do to the token after the text"
    )
    nowrap: bool = flag(False, "with --show: do not wrap lines at words")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is not None and self.files:
            raise UsageError("--text and files exclude each other; give one of them")
        if self.sort is not None and self.sort.removeprefix("-") not in SORTED_BY:
            raise UsageError(f"--sort takes one of {', '.join(SORTED_BY)}, not {self.sort!r}")
        if self.compare_settings and (self.html or self.png or self.show or self.tokens):
            raise UsageError("--compare_settings goes with --json only")

    def lowest(self) -> Mapping[str, int]:
        return {**super().lowest(), "stride": 1}

    @property
    def alternatives(self) -> int:
        return TOP if self.json or self.html else 0


def score_texts(argv: Sequence[str], program: str) -> None:
    settings = parse(ScoreSettings, argv, program, positional="files")
    named = list(texts(settings.text, settings.files, settings.lines))
    for name, text in named:
        if not text:
            raise UsageError(f"{name} is empty; there is nothing to score")
    if not named:
        raise UsageError("there is no text; give --text TEXT, files, or lines on stdin")
    if settings.png:
        require_matplotlib()
    model = load(settings)
    if settings.compare_settings:
        for name, text in named:
            compare(name, text, model, settings)
        return
    scored: Iterable[Scored] = (scored_text(name, text, model, settings) for name, text in named)
    if settings.sort:
        scored = in_order(list(scored), settings.sort)
    if settings.html or settings.png:
        scored = list(scored)
    tell(scored, len(named), settings)
    if settings.html:
        save(settings.html, page(list(scored), model.name).encode())
    if settings.png:
        save(settings.png, plot(list(scored)))


def tell(scored: Iterable[Scored], n_texts: int, settings: ScoreSettings) -> None:
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
    tokens = model.encoder.encode(text)[-model.window :]
    require_tokens(name, tokens)
    with quiet(settings.verbose):
        logits = next_logits(model, tokens)
    table = effects(logits, tokens)

    def seen(token: int) -> str:
        return look(model.encoder, token)

    if settings.json:
        say(json.dumps({"name": name, "settings": as_json(table, seen, TOP)}, ensure_ascii=False))
        return
    say(f"the token after {quoted(text[-50:])}")
    for line in lines(table, lambda t: quoted(seen(t)), TOP, can_show_blocks(sys.stdout.encoding)):
        say(line)


def next_logits(model: Model, tokens: Sequence[int]) -> Logits:
    """Those after the text, [V]."""
    engine, n = model.engine, len(tokens)
    engine.reserve(1)
    engine.holder = None
    [logits] = engine.forward(tokens, [0] * n, range(n), [n - 1])
    return logits


def require_tokens(name: str, tokens: Sequence[int]) -> None:
    if not tokens:
        raise UsageError(f"nothing of {name} is in the model's vocabulary")


def scored_text(name: str, text: str, model: Model, settings: ScoreSettings) -> Scored:
    tokenizer = model.encoder
    tokens = tokenizer.encode(text)
    require_tokens(name, tokens)
    with quiet(settings.verbose):
        found = list(places(model.engine, tokens, settings.alternatives, stride=settings.stride))
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
    """The lowest first or, after a "-", the highest; texts without a figure last."""
    column, descending = by.removeprefix("-"), by.startswith("-")
    figures = [(text.name if column == "name" else text.figures()[column]) for text in scored]
    known = [n for n, figure in enumerate(figures) if figure is not None]
    known.sort(key=lambda n: figures[n], reverse=descending)
    return [scored[n] for n in [*known, *(n for n, f in enumerate(figures) if f is None)]]


def save(file: str, content: bytes) -> None:
    """Raises SamplerError."""
    path = user_path(file)
    try:
        with written(path) as new:
            new.write_bytes(content)
    except OSError as error:
        raise SamplerError(f"{file} cannot be written ({reason(error)})") from None
    notice(f"written to {path}")


def main(argv: Sequence[str] | None = None) -> int:
    return run(score_texts, argv)
