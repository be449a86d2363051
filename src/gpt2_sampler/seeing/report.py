"""A scored text -> a JSON object for programs: its figures, its tokens, and its words if wanted.

All texts have the same fields. Infinite numbers, which JSON lacks, are null. Knows no engine.
"""

from __future__ import annotations

import math
from typing import Any

from gpt2_sampler.seeing.ranks import NAMES
from gpt2_sampler.seeing.scored import Scored
from gpt2_sampler.seeing.spans import span_of_word


def report(text: Scored, words: bool = False) -> dict[str, Any]:
    """The texts of its places, joined, are its text, in which start and end count characters,
    start_byte and end_byte those of UTF-8; ends are exclusive."""
    figures = {name: finite_or_none(value) for name, value in text.figures().items()}
    found = {
        "name": as_text(text.name),
        **figures,
        "ranks": dict(zip(NAMES, text.classes, strict=True)),
        "text": "".join(span.text for span in text.spans),
        "places": tokens_of(text),
    }
    return {**found, "words": words_of(text)} if words else found


def tokens_of(text: Scored) -> list[dict[str, Any]]:
    n = text.n_unscored
    unscored = [
        {"id": id, **span._asdict(), "logprob": None, "rank": None, "top": []}
        for id, span in zip(text.tokens[:n], text.spans[:n], strict=True)
    ]
    return unscored + [
        {
            "id": place.token,
            **span._asdict(),
            "logprob": finite_or_none(place.logprob),
            "rank": place.rank,
            "top": [
                {"id": id, "text": look, "logprob": finite_or_none(logprob)}
                for (id, logprob), look in zip(place.top, looks, strict=True)
            ],
        }
        for place, span, looks in zip(text.places, text.spans[n:], text.top, strict=True)
    ]


def words_of(text: Scored) -> list[dict[str, Any]]:
    """tokens is how many the word is."""
    return [
        {
            **span_of_word(text.spans, word)._asdict(),
            "tokens": word.end - word.first,
            "logprob": finite_or_none(logprob),
        }
        for word, logprob in text.words()
    ]


def as_text(name: str) -> str:
    """A file's name, whose bytes may be no text, as programs can read it."""
    return name.encode("utf-8", "replace").decode()


def finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
