"""Scored texts -> the curve of their surprise as a picture, drawn with matplotlib, an extra.

Knows no engine.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from gpt2_sampler.errors import UsageError
from gpt2_sampler.packages import require
from gpt2_sampler.seeing.ranks import surprise
from gpt2_sampler.seeing.scored import Scored

MOST = 150  # texts: a picture may have 65,535 lines of pixels, and each takes 390


def require_matplotlib(n_texts: int = 1) -> None:
    """Raises SamplerError if it is not installed, UsageError for too many texts."""
    if n_texts > MOST:
        raise UsageError(f"a picture has room for {MOST} texts; there are {n_texts:,}")
    require("matplotlib", "a picture needs")


def plot(texts: Sequence[Scored]) -> bytes:
    """A PNG file with one plot for each text, one below the other; at most MOST."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.6 * len(texts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(texts), squeeze=False)[:, 0]
    for axis, text in zip(axes, texts, strict=True):
        surprises = [surprise(place.logprob) for place in text.places]
        numbers = range(text.n_unscored + 1, len(text.tokens) + 1)
        axis.plot(numbers, surprises, color="#3f68b5", linewidth=1)
        axis.fill_between(numbers, surprises, color="#3f68b5", alpha=0.15, linewidth=0)
        if surprises:
            axis.axhline(sum(surprises) / len(surprises), color="#666", linestyle=":", linewidth=1)
        axis.set_title(
            text.name.encode("utf-8", "replace").decode(), loc="left", fontsize=10, parse_math=False
        )
        axis.set_ylabel("surprise, bits")
        axis.margins(x=0)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("token")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
