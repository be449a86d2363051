"""Probabilities -> bars and columns of text that fit a terminal. Knows no model."""

from __future__ import annotations

EIGHTHS = " ▏▎▍▌▋▊▉"
FULL, PLAIN = "█", "#"


def bar(share: float, width: int, blocks: bool = True) -> str:
    """A share from 0 to 1 of so many columns; blocks are for who can show them. What is not nothing
    can be seen."""
    if not blocks:
        return PLAIN * max(round(share * width), int(share > 0))
    eighths = max(round(share * width * 8), int(share > 0))
    return (FULL * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def percent(share: float) -> str:
    """Seven characters at most, the last digits of what is small included."""
    if 0 < share < 1e-4:
        return "<0.01%"
    return f"{share:.{1 if share >= 0.1 else 2}%}"


def fitted(text: str, width: int) -> str:
    """The text in exactly so many columns, cut with an ellipsis if it must be."""
    if columns(text) > width:
        while text and columns(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - columns(text))


def columns(text: str) -> int:
    from wcwidth import wcwidth  # its tables take a while; no pipe needs them

    return sum(max(0, wcwidth(character)) for character in text)


def can_show_blocks(encoding: str | None) -> bool:
    try:
        (FULL + EIGHTHS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
