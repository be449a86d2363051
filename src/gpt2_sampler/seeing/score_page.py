"""Scored texts -> one HTML file to keep and share, which needs no network and no build step.

Without JavaScript the text, its figures and its curve are there. The colours, the alternatives and
the table of tokens are made from packed numbers where they are looked at, so that a text of a
megabyte opens at once. Knows no engine.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise

from gpt2_sampler.seeing.bars import percent
from gpt2_sampler.seeing.ranks import NAMES, surprise
from gpt2_sampler.seeing.score_data import pack
from gpt2_sampler.seeing.scored import Scored

BINS = 16  # of the histogram of entropies
WIDTH, HEIGHT = 1000, 100  # of the curve, in units of its own
LONG, LONGEST = 1000, 2500  # characters of a block, which is painted as one
STEERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that would reorder the text around them."""
HAN = re.compile("[\u4e00-\u9fff]")
IMPORT = re.compile(r"^import .*\n", re.MULTILINE)


def page(texts: Sequence[Scored], model: str) -> str:
    """The file's content. model is the model's name."""
    one = texts[0].name if len(texts) == 1 else f"{len(texts)} texts"
    pieces = [list(map(visible, text.pieces)) for text in texts]
    cut = list(map(cut_up, pieces))
    data = {**pack(texts, pieces), "blocks": cut}
    parts = {
        "title": escape(visible(f"{one}, as {model} reads it")),
        "heading": f"<bdi>{escape(visible(one))}</bdi>, as <bdi>{escape(visible(model))}</bdi> "
        "reads it",
        "model": escape(visible(model)),
        "style": resource("paint.css") + resource("score_page.css"),
        "script": resource("paint.js") + IMPORT.sub("", resource("score_page.js")),
        "kind": "only" if len(texts) == 1 else "several",
        "sections": "".join(map(section, range(len(texts)), texts, pieces, cut)),
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], resource("score_page.html"))


def resource(name: str) -> str:
    return files("gpt2_sampler.seeing").joinpath(name).read_text(encoding="utf-8")


def visible(text: str) -> str:
    """Text in which nothing steers the order of what is around it."""
    return STEERING.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def cut_up(pieces: Sequence[str]) -> list[int]:
    """The first token of each block: blocks end after a line where they can."""
    starts, length = [0], 0
    for n, piece in enumerate(pieces):
        length += len(piece)
        if (length > LONG and piece.endswith("\n")) or length > LONGEST:
            starts.append(n + 1)
            length = 0
    return starts if starts[-1] < len(pieces) or len(starts) == 1 else starts[:-1]


def section(number: int, text: Scored, pieces: Sequence[str], starts: Sequence[int]) -> str:
    name = f'<h2 id="name{number}"><bdi>{escape(visible(text.name))}</bdi></h2>'
    return f"""<section data-text="{number}" aria-labelledby="name{number}">
{name}
<div class="overview">
<div class="card"><h3>How likely</h3>
{figures(text)}</div>
<div class="card"><h3>Ranks of its tokens</h3>
{ranks(text)}</div>
<div class="card"><h3>Uncertainty: entropy of the ten likeliest tokens, in bits</h3>
{entropies(text)}</div>
</div>
{curve(text)}<div class="reading">
<div class="text card" role="group" tabindex="0" aria-labelledby="name{number}"{lang(pieces)}
>{"".join(blocks(pieces, starts))}</div>
<aside class="panel card" tabindex="0" aria-labelledby="choices{number} name{number}">
<h3 id="choices{number}">What else it could have been</h3>
<p aria-live="polite">Point at a token.</p>
<table class="choices" aria-labelledby="choices{number} name{number}"></table></aside>
</div>
<details><summary>All tokens in a table</summary><div class="wide" tabindex="0" role="region"
aria-label="Tokens of text {number + 1}"><table></table></div>
<button type="button">More</button></details>
</section>
"""


def lang(pieces: Sequence[str]) -> str:
    """So that a Chinese text has Chinese forms of its characters, and a Chinese voice."""
    sample = "".join(pieces[:1000])
    return ' lang="zh"' if len(HAN.findall(sample)) > len(sample) / 4 else ""


def blocks(pieces: Sequence[str], starts: Sequence[int]) -> Iterator[str]:
    """The text, in the direction of its own letters."""
    for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True):
        text = escape("".join(pieces[start:end])).replace("\r", "&#13;").replace("\0", "\ufffd")
        yield f'<div dir="auto">{text}</div>'


def figures(text: Scored) -> str:
    per_byte = text.bits_per_byte
    told = {
        "perplexity": "–" if text.perplexity is None else f"{text.perplexity:,.2f}",
        "bits per byte": "–" if per_byte is None else f"{per_byte:.4f}",
        "log-probability": f"{text.logprob:,.2f} nats",
        "tokens": f"{len(text.tokens):,}",
    }
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>\n" for name, value in told.items())
    return f"<dl>\n{rows}</dl>\n"


def ranks(text: Scored) -> str:
    items = []
    for number, (name, count) in enumerate(zip(NAMES, text.classes, strict=True)):
        share = count / max(1, len(text.places))
        items.append(
            f'<li><span>{name}</span><span class="bar class{number}" aria-hidden="true" '
            f'style="width:{share:.1%}"></span>'
            f'<span class="share">{count:,} ({percent(share)})</span></li>\n'
        )
    return f'<ul class="ranks">\n{"".join(items)}</ul>\n'


def entropies(text: Scored) -> str:
    """How many places have which entropy, from 0 to log2(10) bits: GLTR's histogram of the entropy
    of the ten likeliest tokens, whose probabilities are scaled to add up to 1."""
    found = [entropy([logprob for _, logprob in place.top]) for place in text.places if place.top]
    widest = math.log2(max((len(place.top) for place in text.places), default=0) or 1) or 1.0
    counts = [0] * BINS
    for value in found:
        counts[min(BINS - 1, int(BINS * value / widest))] += 1
    most = max(*counts, 1)
    items = "".join(
        f'<li class="bar" style="height:{count / most:.0%}" '
        f'title="{widest * n / BINS:.1f} to {widest * (n + 1) / BINS:.1f} bits: {count:,}"></li>\n'
        for n, count in enumerate(counts)
    )
    mean = math.fsum(found) / max(1, len(found))
    return (
        f'<ul class="entropies" aria-hidden="true">\n{items}</ul>\n'
        f'<div class="ends"><span>0, certain</span><span>{mean:.2f} on average</span>'
        f"<span>{widest:.1f}, open</span></div>\n"
    )


def entropy(logprobs: Sequence[float]) -> float:
    """In bits, of probabilities that are first scaled to add up to 1."""
    shares = [math.exp(logprob) for logprob in logprobs]
    total = math.fsum(shares)
    return -math.fsum(p / total * math.log2(p / total) for p in shares if p > 0) + 0.0


def curve(text: Scored) -> str:
    """The surprise of each token, in bits, from left to right; of long texts the mean of as many
    tokens as lie in one unit of width."""
    surprises = [min(surprise(place.logprob), 1e3) for place in text.places]
    if not surprises:
        return "<p>Nothing is scored: the only token has nothing before it.</p>\n"
    drawn = thin_out(surprises)
    top = max(4, math.ceil(max(drawn) / 4) * 4)
    mean = math.fsum(surprises) / len(surprises)

    def height(value: float) -> str:
        return f"{HEIGHT * (1 - value / top):.2f}"

    step = WIDTH / (len(drawn) - 1)
    line = " ".join(f"{n * step:.2f},{height(value)}" for n, value in enumerate(drawn))
    most = text.n_unscored + surprises.index(max(surprises)) + 1
    label = (
        f"Surprise along the text: {mean:.1f} bits a token on average, "
        f"most at token {most} with {max(surprises):.1f} bits"
    )
    return f"""<figure class="card"><h3>Surprise along the text, in bits</h3>
<div class="plot"><div class="scale" aria-hidden="true">
<span>{top}</span><span>{top // 2}</span><span>0</span></div>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">
<polygon class="area" points="0,{HEIGHT} {line} {WIDTH},{HEIGHT}"/>
<polyline class="curve" points="{line}"/>
<line class="mean" x1="0" x2="{WIDTH}" y1="{height(mean)}" y2="{height(mean)}"/>
<line class="cursor" x1="0" x2="0" y1="0" y2="{HEIGHT}" visibility="hidden"/>
</svg></div></figure>
"""


def thin_out(values: Sequence[float]) -> list[float]:
    """2 to WIDTH points of a line: means of neighbours, or the only value twice."""
    n = min(len(values), WIDTH)
    edges = [len(values) * k // n for k in range(n + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    return means if n > 1 else means * 2
