"""Command-line words -> a settings object, through fire. Knows no setting by name.

fire calls what it is given before it complains of a flag left over, so it is given something
cheap and pure to build: a frozen dataclass, each field of which is a flag.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
import textwrap
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import fire
import fire.decorators

from gpt2_sampler.errors import UsageError

Settings = TypeVar("Settings")
TRUTH = {"true": True, "false": False}
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a value"}
BETWEEN = "\x1f"  # the values of a flag that was given more than once, on their way through fire


def flag(default: Any, help_text: str, value: str = "") -> Any:
    """A field of a settings class: its default, its line in --help, what --help calls its value."""
    return dataclasses.field(default=default, metadata={"help": help_text, "value": value})


def parse(
    settings: type[Settings], argv: Sequence[str], program: str, positional: str | None = None
) -> Settings:
    """The settings that the words ask for; a word without a flag goes to the positional field,
    more than one where that is a tuple.

    Raises UsageError for an unknown flag, a word too many or a value of the wrong kind; what
    the settings class raises passes through. Prints help and raises SystemExit(0) if asked to.
    """
    if {"--help", "-h"} & set(argv):
        print(help_text(settings, program, positional))
        raise SystemExit(0)
    fire.decorators.SetParseFns(**{name: reader(name, k) for name, k in kinds(settings).items()})(
        settings
    )
    command = named(settings, argv, positional)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return fire.Fire(settings, command=command, name=program, serialize=lambda _: None)
        except fire.core.FireExit as exit_:
            word = exit_.trace.elements[-1].ErrorAsStr().rsplit(" ", 1)[-1]
    raise UsageError(unknown(settings, word))


def kinds(settings: type) -> dict[str, type]:
    """Each flag's type: int, float, bool, str, or tuple for a str that may be repeated."""
    found = {}
    for name, hint in typing.get_type_hints(settings).items():
        plain = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        found[name] = tuple if typing.get_origin(hint) is tuple else (plain or [hint])[0]
    return found


def named(settings: type, argv: Sequence[str], positional: str | None) -> list[str]:
    """The words as --name=value, one word a flag: fire would give a bare flag the next word, and
    keep only the last value of a repeated one."""
    kind_of = kinds(settings)
    words, given = [word for word in argv if word != "--"], list[tuple[str, str]]()
    while words:
        word = words.pop(0)
        matched = re.fullmatch(r"--([\w-]+)(?:=(.*))?", word, re.DOTALL)
        if not matched:
            full = positional in dict(given) and kind_of[positional] is not tuple
            if positional is None or full or word.startswith("-"):
                raise UsageError(unknown(settings, word))
            given.append((positional, word))
            continue
        name, value = matched[1].replace("-", "_"), matched[2]
        kind = kind_of.get(name)
        if kind is None and kind_of.get(name.removeprefix("no")) is bool:
            name, value = name.removeprefix("no"), "False"
        elif value is None and kind is bool:
            value = words.pop(0) if words and words[0].lower() in TRUTH else "True"
        elif value is None and kind is not None:
            if not words or words[0].startswith("--"):
                raise UsageError(f"--{name} takes {KINDS.get(kind, 'a value')}; none was given")
            value = words.pop(0)
        elif value is None and words and not words[0].startswith("-"):
            words.pop(0)  # the value of a flag that fire will not know
        given.append((name, value or ""))
    joined = {name: BETWEEN.join(v for n, v in given if n == name) for name, _ in given}
    last = dict(given)
    return [
        f"--{name}={joined[name] if kind_of.get(name) is tuple else last[name]}" for name in last
    ]


def reader(name: str, kind: type) -> Callable[[str], Any]:
    """The function that turns a flag's word into its value."""

    def read(word: str) -> Any:
        if kind is tuple:
            return tuple(word.split(BETWEEN))
        try:
            return TRUTH[word.lower()] if kind is bool else kind(word)
        except (KeyError, ValueError):
            raise UsageError(f"--{name} takes {KINDS[kind]}, not {word!r}") from None

    return read


def unknown(settings: type, word: str) -> str:
    name = word.lstrip("-").split("=")[0].replace("-", "_")
    if not word.startswith("-"):
        return f"{word!r} is no flag; flags are written --name value (--help lists them)"
    near = difflib.get_close_matches(name, kinds(settings), n=1, cutoff=0.5)
    hint = f"did you mean --{near[0]}?" if near else "--help lists them"
    return f"there is no flag {word.partition('=')[0]}; {hint}"


def help_text(settings: type, program: str, positional: str | None) -> str:
    """The class's docstring, then a line or two for each flag."""
    fields = dataclasses.fields(settings)
    usage = f"usage: {program} {f'[{positional.upper()}] ' if positional else ''}[--flag value ...]"
    shown = {f.name: f"--{f.name} {f.metadata['value']}".rstrip() for f in fields}
    width = max(map(len, shown.values())) + 2
    lines = [
        textwrap.fill(
            field.metadata["help"],
            width=96,
            initial_indent=f"  {shown[field.name]:{width}}",
            subsequent_indent=" " * (width + 2),
        )
        for field in fields
    ]
    return "\n".join([usage, "", textwrap.dedent(settings.__doc__ or "").strip(), "", *lines])
