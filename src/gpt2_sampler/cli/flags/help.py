"""A settings class -> the text of --help: one screen, or all of it. Knows no setting by name."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import shutil
import textwrap
from collections.abc import Iterable

from gpt2_sampler.cli.flags.fields import Field, limits_of
from gpt2_sampler.decoding.sampling import RANGES

WIDEST, NARROWEST = 96, 20  # columns of lines, and of the descriptions in them
ALWAYS = "--version; --version --verbose for a bug report; --completion bash, zsh or fish"


def help_text(settings: type, program: str, positional: str | None, full: bool = False) -> str:
    """What the command does, and its flags in their groups: all of them with their limits, or the
    usual ones, a line each."""
    usage = f"usage: {program} {f'[{positional.upper()}] ' if positional else ''}[--flag value ...]"
    # Before Python 3.13 a docstring has the margin of the source, except in its first line.
    about = inspect.cleandoc(settings.__doc__ or "")
    fields = dataclasses.fields(settings)
    shown = [one for one in fields if full or not one.metadata["rare"]]
    lines = [usage, "", fill(about)] if full else [usage, fill(about.partition("\n\n")[0])]
    indent = max(len(name_of(one)) for one in shown) + 2
    for title, group in itertools.groupby(shown, lambda one: group_of(settings, one.name)):
        lines += ["", title] if full else [title]
        for one in group:
            text = f"{one.metadata['help']}{remark(one, full)}" if full else short(one, indent)
            lines.append(side_by_side([(name_of(one), text)], indent))
    n_rare = len(fields) - len(shown)
    more = f"--help all shows {n_rare} more flags; " * bool(n_rare)
    ending = f"{more}{ALWAYS}" if full or not n_rare else f"{more}--version; --completion SHELL"
    return "\n".join([*lines, *[""] * full, ending])


def name_of(one: Field) -> str:
    return f"  --{one.name} {one.metadata['value']}".rstrip()


def group_of(settings: type, flag: str) -> str:
    """The title of the flag's group: that of the class which has the flag first of all."""
    for owner in reversed(settings.__mro__):
        if flag in vars(owner).get("__annotations__", {}):
            return getattr(owner, "group", "flags:")
    raise KeyError(flag)


def remark(one: Field, full: bool) -> str:
    """The flag's default and its limits, in brackets; no default where the text says it."""
    parts = []
    if one.default not in (None, (), "") and one.default is not False:
        parts.append(f"default {one.default}" if full else str(one.default))
    limits = limits_of(one)
    if full and one.name in RANGES:
        parts.append(RANGES[one.name][2])
    elif full and limits:
        parts.append(str(limits))
    return f" [{'; '.join(parts)}]" if parts else ""


def short(one: Field, indent: int) -> str:
    """As much of what is said of a flag as one line has room for: up to a semicolon or a comma."""
    end = remark(one, full=False)
    room = max(width() - indent, NARROWEST) - len(end)
    text: str = one.metadata["help"]
    for mark in "; ", ", ":
        while len(text) > room and mark in text:
            text = text.rpartition(mark)[0]
    return text + end


def describe(rows: Iterable[tuple[str, str]]) -> str:
    """Names and their descriptions, side by side."""
    rows = list(rows)
    return side_by_side(rows, max(len(name) for name, _ in rows) + 2)


def side_by_side(rows: Iterable[tuple[str, str]], indent: int) -> str:
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


def fill(text: str) -> str:
    """Paragraphs, which an empty line separates, in lines that fit."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(part, width(), break_on_hyphens=False) for part in paragraphs)


def width() -> int:
    return min(WIDEST, shutil.get_terminal_size().columns)
