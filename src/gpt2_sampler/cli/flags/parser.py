"""Command-line words -> a settings object, through fire. Knows no setting by name.

fire calls what it is given before it complains about a flag that is left over. So it is given
something that is cheap and has no side effects: a frozen dataclass, each field of which is a flag.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import fire
import fire.decorators

from gpt2_sampler.cli.flags.help import help_text
from gpt2_sampler.cli.flags.version import version_text
from gpt2_sampler.cli.flags.words import ALWAYS, FLAG, is_flag, typography, unknown
from gpt2_sampler.cli.session.terminal import show
from gpt2_sampler.errors import UsageError, brief
from gpt2_sampler.limits import LIMITS, Limits, check_limits

Settings = TypeVar("Settings")
TRUTH = {"true": True, "false": False}
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a value"}
BETWEEN = "\x1f"  # separates the values of a repeated flag on their way through fire


def flag(
    default: Any,
    help_text: str,
    value: str = "",
    *,
    lowest: int | None = None,
    choices: Sequence[str] = (),
) -> Any:
    """A field of a settings class.

    help_text is its line in --help, value what --help calls its value. lowest is its lowest value,
    where that is not the one in LIMITS; choices are the only values of one that has a few.
    """
    known = {"help": help_text, "value": value, "lowest": lowest, "choices": choices}
    return dataclasses.field(default=default, metadata=known)


def limits_of(one: dataclasses.Field[Any]) -> Limits | None:
    """Of a flag that counts something."""
    limits, lowest = LIMITS.get(one.name), one.metadata["lowest"]
    return limits if lowest is None or limits is None else limits._replace(lowest=lowest)


def check_flags(settings: Any) -> None:
    """Raises UsageError for a value beyond its flag's limits, or that is none of its choices."""
    for one in dataclasses.fields(settings):
        value, limits = getattr(settings, one.name), limits_of(one)
        choices = one.metadata["choices"]
        if limits and value is not None:
            check_limits(f"--{one.name}", value, limits)
        if choices and value is not None and value not in choices:
            listed = ", ".join(choices)
            raise UsageError(f"--{one.name} must be one of {listed}, not {brief(value)}")


def parse(
    settings: type[Settings], argv: Sequence[str], program: str, positional: str | None = None
) -> Settings:
    """The settings that the words ask for. A word that belongs to no flag goes to the positional
    field; if that field is a tuple, it takes several.

    Raises UsageError for an unknown flag, a word too many or a value of the wrong kind; what
    the settings class raises passes through. Prints the help or the version and raises
    SystemExit(0) if asked to.
    """
    kind_of = kinds(settings)
    pairs = list(paired(argv, kind_of))
    names = {name for name, _ in pairs}
    if {"--help", "-h"} & names:
        show(f"{help_text(settings, program, positional)}\n")
        raise SystemExit(0)
    if "--version" in names:
        show(f"{version_text(details='--verbose' in names)}\n")
        raise SystemExit(0)
    readers = {n: reader(n, k, getattr(settings, n, "") is None) for n, k in kind_of.items()}
    fire.decorators.SetParseFns(**readers)(settings)
    command = named(settings, pairs, positional)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return fire.Fire(settings, command=command, name=program, serialize=lambda _: None)
        except fire.core.FireExit as exit_:
            word = exit_.trace.elements[-1].ErrorAsStr().rsplit(" ", 1)[-1]
    raise UsageError(unknown(word, kind_of))


def kinds(settings: type) -> dict[str, type]:
    """Each flag's type: int, float, bool, str, or tuple for a str that may be repeated."""
    found = {}
    for name, hint in typing.get_type_hints(settings).items():
        plain = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        found[name] = tuple if typing.get_origin(hint) is tuple else (plain or [hint])[0]
    return found


def paired(argv: Sequence[str], kind_of: Mapping[str, type]) -> Iterator[tuple[str, str | None]]:
    """Flags as "--name" with their values, and the other words, which have none.

    What follows a flag that takes text is its text, even if it begins with dashes, unless it is
    itself a flag.
    """
    words = list(argv)
    while words:
        word = words.pop(0)
        matched = FLAG.fullmatch(word)
        if not matched:
            if word != "--":  # once separated a program's words from fire's own
                yield word, None
            continue
        name, value = matched[1].replace("-", "_"), matched[2]
        kind = kind_of.get(name)
        if value is None and words:
            follows = words[0]
            if kind is bool:
                taken = follows.lower() in TRUTH
            elif kind in (str, tuple):
                taken = not is_flag(follows, kind_of)
            else:
                taken = not follows.startswith("--" if kind else "-")
            value = words.pop(0) if taken and name not in ALWAYS else None
        yield f"--{name}", value


def named(
    settings: type, pairs: Sequence[tuple[str, str | None]], positional: str | None
) -> list[str]:
    """The flags as --name=value, one word each: fire would take the next word for a bare flag's
    value, and keep only the last value of a repeated flag."""
    kind_of, given = kinds(settings), list[tuple[str, str]]()
    for word, value in pairs:
        if FLAG.fullmatch(word):
            given.append(meant(word.removeprefix("--"), value, kind_of))
            continue
        full = positional in dict(given) and kind_of[positional] is not tuple
        dashed = word.startswith("-") and word != "-"  # "-" alone is stdin
        if positional is None or full or dashed or typography(word, kind_of):
            raise UsageError(unknown(word, kind_of))
        given.append((positional, word))
    joined = {name: BETWEEN.join(v for n, v in given if n == name) for name, _ in given}
    last = dict(given)
    return [
        f"--{name}={joined[name] if kind_of.get(name) is tuple else last[name]}" for name in last
    ]


def meant(name: str, value: str | None, kind_of: Mapping[str, type]) -> tuple[str, str]:
    """A flag as it was typed -> its name and its value, still as text."""
    kind = kind_of.get(name)
    if kind is None and kind_of.get(name.removeprefix("no")) is bool:
        return name.removeprefix("no"), "False"
    if value is not None or kind is None:
        return name, value or ""
    if kind is bool:
        return name, "True"
    hint = f"; one that begins with dashes is written --{name}=--VALUE"
    raise UsageError(
        f"--{name} takes {KINDS.get(kind, 'a value')}; none was given"
        + hint * (kind in (str, tuple))
    )


def reader(name: str, kind: type, optional: bool = False) -> Callable[[str], Any]:
    """The function that turns a flag's text into its value. Articles write None for a number that
    is not given, as in --seed None."""

    def read(word: str) -> Any:
        if kind is tuple:
            return tuple(word.split(BETWEEN))
        if word == "None" and optional and kind in (int, float):
            return None
        try:
            return TRUTH[word.lower()] if kind is bool else kind(word)
        except (KeyError, ValueError):
            raise UsageError(f"--{name} takes {KINDS[kind]}, not {brief(word)}") from None

    return read
