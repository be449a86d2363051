"""Flags, files and stdin -> the texts to be scored, each with a name. Knows no model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from gpt2_sampler.encodings import decoded, read_all
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import reason, user_path

ARGUMENT, STDIN = "text", "stdin"
"""The names of texts that are not from a file."""


def texts(text: str | None, files: tuple[str, ...], by_lines: bool) -> Iterator[tuple[str, str]]:
    """The names and texts of the given text, or else of files ("-" is stdin), or else of stdin.

    With by_lines each line that is not empty is a text, named by its number. Otherwise a text loses
    its last line break, as a prompt does. Raises UsageError.
    """
    if text is not None:
        # Words of a command line are UTF-8 even where the locale, and so Python, thinks otherwise.
        sources = iter([(ARGUMENT, decoded(os.fsencode(text), "the text"))])
    elif files:
        sources = (read(file, by_lines) for file in files)
    else:
        sources = iter([read("-", by_lines)])
    several = len(files) > 1
    for name, whole in sources:
        if not by_lines:
            yield name, whole.removesuffix("\n")
            continue
        for number, line in enumerate(whole.split("\n"), 1):
            if line:
                yield f"{name}:{number}" if several else str(number), line


def read(file: str, several: bool) -> tuple[str, str]:
    if file == "-":
        return STDIN, read_all(sys.stdin.buffer, STDIN, sys.stdin.encoding, several=several)
    path = user_path(file)
    try:
        with path.open("rb") as opened:
            return file, read_all(opened, file, several=several)
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}; for the text itself: --text TEXT") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({reason(error)})") from None
