"""Tokens -> how each of them looks by itself. Knows no model.

A token may be half a character. It is shown as its bytes, <F0 9F>, and the character stands behind
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
    """How each of the tokens looks that stand after those before."""
    stream = tokenizer.stream(before)
    for token in tokens:
        yield piece(tokenizer.decode_bytes([token]), stream.push(token))


def look(tokenizer: Tokenizer, token: int) -> str:
    """How a token looks that stands nowhere."""
    raw = tokenizer.decode_bytes([token])
    return piece(raw, raw.decode(errors="ignore"))


def piece(raw: bytes, text: str) -> str:
    """raw is the token's bytes, text the characters that it completed."""
    if is_text(raw):
        return text or raw.decode()  # where a tokenizer only knows that it is incomplete
    ending = ENDING.match(raw)
    beginning = BEGINNING.search(raw, ending.end() if ending else 0)
    whole = "".join(c for c in text if c != BROKEN)
    return shown(ending[0] if ending else b"") + whole + shown(beginning[0] if beginning else b"")


def is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown(raw: bytes) -> str:
    return f"<{raw.hex(' ').upper()}>" if raw else ""


def quoted(piece: str) -> str:
    """A piece in one line, its spaces to be seen."""
    return '"' + "".join(c if c == " " or c.isprintable() else escaped(c) for c in piece) + '"'


def escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
