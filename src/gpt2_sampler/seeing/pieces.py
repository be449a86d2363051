"""Tokens -> how each of them is shown by itself. Knows no model.

A token may be half a character. It is shown as its bytes, <F0 9F>, and the whole character follows
the token that completes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gpt2_sampler.tokenizer.load import Tokenizer

ENDING = re.compile(rb"[\x80-\xbf]*")
BEGINNING = re.compile(rb"(?:[\xc0-\xff][\x80-\xbf]*)?\Z")
BROKEN = "\ufffd"


def pieces(
    tokenizer: Tokenizer, tokens: Sequence[int], before: Sequence[int] = ()
) -> Iterator[str]:
    """How each of the tokens is shown, given the tokens before them."""
    stream = tokenizer.stream(before)
    for token in tokens:
        yield piece(tokenizer.decode_bytes([token]), stream.push(token))


def look(tokenizer: Tokenizer, token: int) -> str:
    """How a token is shown without context."""
    raw = tokenizer.decode_bytes([token])
    return piece(raw, raw.decode(errors="ignore"))


def piece(raw: bytes, text: str) -> str:
    """How a token is shown whose bytes are raw, and which completed the characters in text."""
    if is_text(raw):
        return text or raw.decode()  # some tokenizers hold back even whole characters
    ending = ENDING.match(raw)
    beginning = BEGINNING.search(raw, ending.end() if ending else 0)
    whole = "".join(c for c in text if c != BROKEN)
    return (
        show_bytes(ending[0] if ending else b"")
        + whole
        + show_bytes(beginning[0] if beginning else b"")
    )


def is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def show_bytes(raw: bytes) -> str:
    return f"<{raw.hex(' ').upper()}>" if raw else ""


def quote(piece: str) -> str:
    """A piece in one line and in quotes, so that its spaces can be seen."""
    return '"' + "".join(c if c == " " or c.isprintable() else escape(c) for c in piece) + '"'


def escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
