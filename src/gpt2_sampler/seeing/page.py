"""Scored texts -> one HTML file to keep and share, which needs no network and no build step.

Without JavaScript everything but the alternatives is there: the painted text, the curve of
surprise, the ranks, and a table of the tokens, which screen readers can read. Knows no engine.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from gpt2_sampler.seeing.bars import percent
from gpt2_sampler.seeing.paint import SURPRISE
from gpt2_sampler.seeing.ranks import NAMES, rank_class
from gpt2_sampler.seeing.score import Scored, bits

DEPTHS = 6  # of a colour, from 0 to this one, as page.css has them
BINS = 16  # of the histogram of entropies
WIDTH, HEIGHT = 1000, 100  # of the curve, in units of its own
HALF = re.compile("(&lt;(?:[0-9A-F]{2} ?)+&gt;)")


def page(texts: Sequence[Scored], model: str) -> str:
    """The file's content. model is the model's name."""
    one = texts[0].name if len(texts) == 1 else f"{len(texts)} texts"
    parts = {
        "title": escape(f"{one}, as {model} reads it"),
        "model": escape(model),
        "style": resource("page.css"),
        "script": resource("page.js"),
        "kind": "only" if len(texts) == 1 else "several",
        "sections": "".join(section(number, text) for number, text in enumerate(texts)),
        "data": json.dumps(list(map(places, texts)), ensure_ascii=False).replace("<", "\\u003c"),
    }
    return re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], resource("page.html"))


def resource(name: str) -> str:
    return files("gpt2_sampler.seeing").joinpath(name).read_text(encoding="utf-8")


def places(text: Scored) -> list[object]:
    """The data that page.js reads, in the form that is described there."""
    return [
        None,
        *(
            [
                piece,
                rounded(place.logprob),
                place.rank,
                [
                    [look, rounded(logprob)]
                    for look, (_, logprob) in zip(looks, place.top, strict=True)
                ],
            ]
            for place, piece, looks in zip(text.places, text.pieces[1:], text.top, strict=True)
        ),
    ]


def rounded(logprob: float) -> float:
    """The probability, to four significant digits."""
    return float(f"{math.exp(logprob):.4g}")


def section(number: int, text: Scored) -> str:
    return f"""<section data-text="{number}" aria-labelledby="name{number}">
<h2 id="name{number}">{escape(text.name)}</h2>
<div class="overview">
<div class="card"><h3>How likely</h3>
{figures(text)}</div>
<div class="card"><h3>Ranks of its tokens</h3>
{ranks(text)}</div>
<div class="card"><h3>Uncertainty: entropy of the ten likeliest tokens, in bits</h3>
{entropies(text)}</div>
</div>
{curve(text)}<div class="reading">
<p class="text card" role="group" tabindex="0" aria-labelledby="name{number}">{painted(text)}</p>
<aside class="choices card" aria-labelledby="choices{number}">
<h3 id="choices{number}">What else it could have been</h3>
<p aria-live="polite">Point at a token.</p>
<table aria-labelledby="choices{number}"></table></aside>
</div>
<details><summary>All tokens in a table</summary>
{table(text)}</details>
</section>
"""


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
    """The surprise of each token, in bits, from left to right."""
    surprises = [min(bits(place.logprob), 1e3) for place in text.places]
    if not surprises:
        surprises = [0]
    top = max(4, math.ceil(max(surprises) / 4) * 4)
    mean = math.fsum(surprises) / len(surprises)

    def height(value: float) -> str:
        return f"{HEIGHT * (1 - value / top):.2f}"

    step = WIDTH / max(1, len(surprises) - 1)
    line = " ".join(f"{n * step:.2f},{height(value)}" for n, value in enumerate(surprises))
    most = surprises.index(max(surprises)) + 1
    label = (
        f"Surprise along the text: {mean:.1f} bits a token on average, "
        f"most at token {most + 1} with {max(surprises):.1f} bits"
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


def painted(text: Scored) -> str:
    """The first token as it is, the others in their colours."""
    parts = [marked(text.pieces[0])]
    for place, piece in zip(text.places, text.pieces[1:], strict=True):
        depth = round(DEPTHS * min(bits(place.logprob), SURPRISE) / SURPRISE)
        kind = f"token class{rank_class(place.rank)} depth{depth}"
        parts.append(f'<span class="{kind}">{marked(piece)}</span>')
    return "".join(parts)


def marked(piece: str) -> str:
    """Makes line breaks and halves of characters visible."""
    return HALF.sub(r'<span class="raw">\1</span>', escape(piece)).replace("\n", "↵\n")


def table(text: Scored) -> str:
    heads = ("number", "token", "probability", "rank", "bits", "likeliest")
    rows = [cells(map(escape, heads), "th")]
    triples = zip(text.places, text.pieces[1:], text.top, strict=True)
    for number, (place, piece, looks) in enumerate(triples, 2):
        shown = [piece, percent(math.exp(place.logprob)), f"{place.rank:,}"]
        shown += [f"{bits(place.logprob):.2f}", *looks[:1]]
        rows.append(cells([f"{number:,}", *map(escape, map(one_line, shown))], "td"))
    return f"<table>\n{''.join(rows)}</table>\n"


def one_line(text: str) -> str:
    return text.replace("\n", "↵")


def cells(texts: Iterable[str], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{text}</{kind}>' for text in texts)}</tr>\n"
