"""Probabilities -> bars and columns of text that fit a terminal. Knows no model."""

from __future__ import annotations

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL, PLAIN = "█", "#"


def bar(share: float, width: int, blocks: bool = True) -> str:
    """A share from 0 to 1 as a bar of at most width columns, in block elements or else in "#". A
    share above 0 is never invisible."""
    if not blocks:
        return PLAIN * max(round(share * width), int(share > 0))
    eighths = max(round(share * width * 8), int(share > 0))
    return (FULL * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def percent(share: float) -> str:
    """At most seven characters, with more digits for small shares."""
    if 0 < share < 1e-4:
        return "<0.01%"
    return f"{share:.{1 if share >= 0.1 else 2}%}"


def fit(text: str, width: int) -> str:
    """The text in exactly that many columns, cut off with an ellipsis if necessary."""
    if columns(text) > width:
        while text and columns(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - columns(text))


def columns(text: str) -> int:
    from wcwidth import wcwidth  # its tables take a while to load, and pipes need none

    return sum(max(0, wcwidth(character)) for character in text)


def can_show_blocks(encoding: str | None) -> bool:
    try:
        (FULL + EIGHTHS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
