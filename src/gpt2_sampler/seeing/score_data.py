"""Scored texts -> the numbers that score_page.js paints from, small enough for texts of a megabyte.

Numbers lie side by side as little-endian bytes in base64, some 64 characters a token, instead of in
JSON, some 400. Log-probabilities are counted in steps of 1/2048 nat, which is closer than what the
page shows of them. Knows no HTML.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gpt2_sampler.seeing.scored import Scored

STEP = 2048  # parts of a nat
UNLIKELY = 2**16 - 1
"""Stands for every probability of e^-32 or less."""


def pack(texts: Sequence[Scored], pieces: Sequence[Sequence[str]]) -> dict[str, Any]:
    """For JSON: what is known of each token of the texts, whose pieces are shown as given, and how
    the tokens look that could have been in their places."""
    looks: dict[str, int] = {}
    packed = [pack_text(text, own, looks) for text, own in zip(texts, pieces, strict=True)]
    return {"looks": list(looks), "texts": packed}


def pack_text(text: Scored, pieces: Sequence[str], looks: dict[str, int]) -> dict[str, Any]:
    """Arrays over its T tokens, or those after the first if that is not scored, and T x N ones of
    the N likeliest in the place of each."""
    tops = [looks.setdefault(look, len(looks)) for row in text.top for look in row]
    return {
        "lengths": encode([len(piece.encode("utf-16-le")) // 2 for piece in pieces], "<u2"),
        "logprobs": encode(steps(place.logprob for place in text.places), "<u2"),
        "ranks": encode([place.rank for place in text.places], "<u4"),
        "tops": encode(tops, "<u4" if len(looks) > UNLIKELY else "<u2"),
        "shares": encode(steps(p for place in text.places for _, p in place.top), "<u2"),
        "wide": len(looks) > UNLIKELY,
        "width": len(text.top[0]) if text.top else 0,
    }


def steps(logprobs: Iterable[float]) -> npt.NDArray[np.float64]:
    found = np.fromiter(logprobs, np.float64)
    return np.minimum(np.round(-found * STEP), UNLIKELY)


def encode(numbers: npt.ArrayLike, kind: str) -> str:
    return base64.b64encode(np.asarray(numbers).astype(kind).tobytes()).decode()
