"""Flags, files and stdin -> prompts, and texts to be scored, each with a name. Knows no model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.encodings import decode_argument, read_all, read_file, read_lines
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import user_path

ARGUMENT, STDIN = "text", "stdin"
"""The names of texts that are not from a file."""
STDIN_NUMBER = 0


def prompt_of(settings: InteractiveSettings) -> str | None:
    """The prompt that the flags give, without its last line break; None if they give none.

    Raises UsageError if it cannot be read or is empty.
    """
    if settings.prompt == "-":
        prompt = read_stdin()
    elif settings.prompt is not None:
        prompt = decode_argument(settings.prompt, "the prompt")
    elif settings.prompt_file is not None:
        prompt = read_file(user_path(settings.prompt_file))
    else:
        return None
    prompt = prompt.removesuffix("\n")
    if not prompt:
        raise UsageError("the prompt is empty; give it at least a word")
    return prompt


def lines() -> Iterator[str]:
    """Each line of stdin that is not empty."""
    return filter(None, read_lines(sys.stdin.buffer, STDIN, sys.stdin.encoding))


def read_stdin(several: bool = False) -> str:
    """several: whether it holds more than one text."""
    return read_all(sys.stdin.buffer, STDIN, sys.stdin.encoding, several=several)


def texts(text: str | None, files: tuple[str, ...], by_lines: bool) -> Iterator[tuple[str, str]]:
    """The names and texts of the given text, or else of files ("-" is stdin), or else of stdin.

    With by_lines each line that is not empty is a text, named by its number. Otherwise a text loses
    its last line break, as a prompt does. Raises UsageError.
    """
    if text is not None:
        found = iter([(ARGUMENT, decode_argument(text, "the text"))])
    else:
        found = (read(file, by_lines) for file in files or ("-",))
    several = len(files) > 1
    for name, whole in found:
        if not by_lines:
            yield name, whole.removesuffix("\n")
            continue
        for number, line in enumerate(whole.split("\n"), 1):
            if line:
                yield f"{name}:{number}" if several else str(number), line


def read(file: str, several: bool) -> tuple[str, str]:
    if file == "-":
        return STDIN, read_stdin(several)
    path = user_path(file)
    if not os.path.lexists(path):
        raise UsageError(f"there is no file {file}; for the text itself: --text TEXT")
    return file, read_file(path, several=several)


def sources(text: str | None, files: tuple[str, ...]) -> list[Path | int]:
    """The files that are read: paths, and the number of stdin."""
    if text is not None:
        return []
    return [STDIN_NUMBER if file == "-" else user_path(file) for file in files or ("-",)]
