"""A settings class, or names and what they do -> help in lines that fit the terminal."""

from __future__ import annotations

import dataclasses
import inspect
import shutil
import textwrap
from collections.abc import Iterable

WIDEST, NARROWEST = 96, 20  # columns of lines, and of the descriptions in them
ALWAYS = "--help, --version; --version --verbose prints what a bug report needs"


def help_text(settings: type, program: str, positional: str | None) -> str:
    """The class's docstring, then its flags."""
    fields = dataclasses.fields(settings)
    usage = f"usage: {program} {f'[{positional.upper()}] ' if positional else ''}[--flag value ...]"
    flags = [(f"  --{f.name} {f.metadata['value']}".rstrip(), f.metadata["help"]) for f in fields]
    # Before Python 3.13 a docstring has the margin of the source, except in its first line.
    about = inspect.cleandoc(settings.__doc__ or "")
    return "\n".join([usage, "", filled(about), "", described(flags), "", f"  {ALWAYS}"])


def described(rows: Iterable[tuple[str, str]]) -> str:
    """Names and their descriptions, side by side."""
    rows = list(rows)
    indent = max(len(name) for name, _ in rows) + 2
    lines = [
        textwrap.fill(
            description,
            width=max(width(), indent + NARROWEST),
            initial_indent=f"{name:{indent}}",
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        )
        for name, description in rows
    ]
    return "\n".join(lines)


def filled(text: str) -> str:
    """Paragraphs, which an empty line separates, in lines that fit."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(part, width(), break_on_hyphens=False) for part in paragraphs)


def width() -> int:
    return min(WIDEST, shutil.get_terminal_size().columns)
