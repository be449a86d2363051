"""Bytes of a file, a pipe or a flag -> the text they stand for, or one line on why there is none.

Nothing is guessed: a wrong guess would silently give a different text.
"""

from __future__ import annotations

import codecs
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import WINDOWS, reason

MARKS = {  # in this order: UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
INNER_MARK = re.compile("^\ufeff+", re.MULTILINE)
"""What a mark becomes where files were joined."""
LIMIT = 32 << 20  # bytes of one prompt or text: to find its tokens takes a hundred times as many
FILE_LIMIT = 256 << 20  # bytes of several that are read at once


def find_mark(data: bytes) -> tuple[bytes, str | None]:
    """The byte order mark that the bytes begin with, and the encoding it stands for."""
    return next(((mark, MARKS[mark]) for mark in MARKS if data.startswith(mark)), (b"", None))


def decode(data: bytes, source: str, encoding: str = "utf-8") -> str:
    """The text, its line breaks as "\\n". A byte order mark overrides the encoding.

    Raises UsageError, which names the source, for bytes that are not text in it.
    """
    mark, found = find_mark(data)
    try:
        text = data[len(mark) :].decode(found or encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise UsageError(
            f"{source} is not text in {(found or encoding).upper()}{why(error)}"
        ) from None
    if "\0" in text:
        raise UsageError(
            f"{source} contains a NUL, like UTF-16 without its byte order mark; save it as UTF-8"
        )
    return INNER_MARK.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def why(error: Exception) -> str:
    if not isinstance(error, UnicodeDecodeError) or not error.encoding.startswith("utf"):
        return ""
    if error.encoding != "utf-8":
        return f" (byte {error.start:,})"
    byte = error.object[error.start : error.start + 1].hex().upper()
    page, name = ("mbcs", "this Windows' code page") if WINDOWS else ("latin-1", "Latin-1")
    words = error.object[error.start : error.start + 20].decode(page, "replace").split()[:1]
    guess = f" (byte {byte} at {error.start:,}; {words[0]!r} in {name})" if words else ""
    how = "or, with the encoding that it has: iconv -f LATIN1 -t UTF-8"
    return f"{guess}; save it as UTF-8, {'as Notepad does' if WINDOWS else how}"


def decode_argument(word: str, source: str) -> str:
    """The text of a command line's word, which is UTF-8 even where the locale says otherwise."""
    return decode(os.fsencode(word), source)


def open_file(path: Path) -> BinaryIO:
    """A file of any kind to read, even a shell's <(command). Raises UsageError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({reason(error)})") from None


def read_file(path: Path, *, several: bool = False) -> str:
    """The text of a file of any kind, as read_all gives it."""
    with open_file(path) as file:
        return read_all(file, str(path), several=several)


def read_all(file: BinaryIO, source: str, encoding: str = "utf-8", *, several: bool = False) -> str:
    """The whole text of a file, or several texts in one. Raises UsageError also for what cannot be
    read or does not end."""
    limit = FILE_LIMIT if several else LIMIT
    try:
        data = file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{source} cannot be read ({reason(error)})") from None
    if len(data) > limit:
        raise UsageError(f"{source} has more than the {limit:,} bytes that a text can have")
    return decode(data, source, encoding)


def read_lines(file: BinaryIO, source: str, encoding: str = "utf-8") -> Iterator[str]:
    """Each line as soon as it comes, without its break. UTF-16 with its mark is read whole."""
    for number, data in enumerate(raw_lines(file, source), 1):
        yield from decode(data, f"line {number} of {source}", encoding).rstrip("\n").split("\n")


def raw_lines(file: BinaryIO, source: str) -> Iterator[bytes]:
    """Each line's bytes as soon as they come, with its break. UTF-16 and UTF-32 with their marks
    are read whole, and come as UTF-8."""
    try:
        line = file.readline(LIMIT + 1)
        _, found = find_mark(line)
        if found not in (None, "utf-8"):
            rest = file.read(FILE_LIMIT)
            if len(rest) == FILE_LIMIT:
                raise UsageError(f"{source} has more than {FILE_LIMIT:,} bytes; save it as UTF-8")
            yield from decode(line + rest, source).encode().splitlines(keepends=True)
            return
        number = 1
        while line:
            if len(line) > LIMIT:
                raise UsageError(f"line {number} of {source} has more than {LIMIT:,} bytes")
            yield line
            number, line = number + 1, file.readline(LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:  # all three are raised by gzip
        raise UsageError(f"{source} cannot be read ({reason(error)})") from None
