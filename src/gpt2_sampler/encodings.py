"""Bytes of a file, a pipe or a flag -> the text that is meant, or one line on why there is none.

A guess would give another text than the same words in UTF-8, silently; so nothing is guessed.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from gpt2_sampler.errors import UsageError

MARKS = {  # in this order: UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
LIMIT = 256 << 20  # bytes of one prompt


def marked(data: bytes) -> tuple[bytes, str | None]:
    """The mark that the bytes begin with, and the encoding it stands for."""
    return next(((mark, MARKS[mark]) for mark in MARKS if data.startswith(mark)), (b"", None))


def decoded(data: bytes, source: str, encoding: str = "utf-8") -> str:
    """The text, its line breaks as "\n". A mark at the start tells the encoding.

    Raises UsageError, which names the source, for what is no text in it.
    """
    mark, found = marked(data)
    try:
        text = data[len(mark) :].decode(found or encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise UsageError(
            f"{source} is no text in {(found or encoding).upper()}{why(error)}"
        ) from None
    if "\0" in text:
        raise UsageError(
            f"{source} has a NUL in it, as text in UTF-16 without its mark has; save it as UTF-8"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def why(error: Exception) -> str:
    if not isinstance(error, UnicodeDecodeError) or not error.encoding.startswith("utf"):
        return ""
    byte = error.object[error.start : error.start + 1].hex().upper()
    latin = error.object[error.start : error.start + 20].decode("latin-1").split()[:1]
    guess = f" (byte {byte} at {error.start:,}; {latin[0]!r} in Latin-1)" if latin else ""
    return f"{guess}; save it as UTF-8, or: iconv -f LATIN1 -t UTF-8"


def read_all(file: BinaryIO, source: str, encoding: str = "utf-8") -> str:
    """All that comes. Raises UsageError also for what cannot be read or has no end."""
    try:
        data = file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{source} cannot be read ({error.strerror or error})") from None
    if len(data) > LIMIT:
        raise UsageError(f"{source} has more than the {LIMIT:,} bytes that a prompt can have")
    return decoded(data, source, encoding)


def read_lines(file: BinaryIO, source: str, encoding: str = "utf-8") -> Iterator[str]:
    """Each line as soon as it comes, without its break. What has UTF-16's mark is read whole."""
    for number, data in enumerate(raw_lines(file, source), 1):
        yield from decoded(data, f"line {number} of {source}", encoding).rstrip("\n").split("\n")


def raw_lines(file: BinaryIO, source: str) -> Iterator[bytes]:
    """Each line's bytes as soon as they come, with its break. What has the mark of UTF-16 or
    UTF-32 is read whole, and comes as UTF-8."""
    try:
        line = file.readline(LIMIT + 1)
        _, found = marked(line)
        if found not in (None, "utf-8"):
            text = decoded(line + file.read(LIMIT), source)
            yield from text.encode().splitlines(keepends=True)
            return
        number = 1
        while line:
            if len(line) > LIMIT:
                raise UsageError(f"line {number} of {source} has more than {LIMIT:,} bytes")
            yield line
            number, line = number + 1, file.readline(LIMIT + 1)
    except (OSError, EOFError) as error:  # the latter of gzip, for half a file
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{source} cannot be read ({reason})") from None
