"""Command-line words -> a settings object, through fire. Knows no setting by name.

fire calls what it is given before it complains of a flag left over, so it is given something
cheap and pure to build: a frozen dataclass, each field of which is a flag.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import inspect
import io
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import fire
import fire.decorators

from gpt2_sampler.cli.terminal import show
from gpt2_sampler.cli.version import version_text
from gpt2_sampler.errors import UsageError

Settings = TypeVar("Settings")
TRUTH = {"true": True, "false": False}
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a value"}
FLAG = re.compile(r"--([\w-]+)(?:=(.*))?", re.DOTALL)
ALWAYS = ("help", "version")
ALWAYS_HELP = "--help, --version; --version --verbose is for reports of faults"
BRIEF = 60  # characters of what somebody typed that a message shows
DASHES = "‐‑‒–—―−﹘﹣－"
CURLY = frozenset("“”„‘’‚«»")
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
    fire.decorators.SetParseFns(**{name: reader(name, k) for name, k in kind_of.items()})(settings)
    command = named(settings, pairs, positional)
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


def paired(argv: Sequence[str], kind_of: Mapping[str, type]) -> Iterator[tuple[str, str | None]]:
    """Each word that is no value, "--name" where it is a flag, and the value that it has.

    What follows a flag for text is its text, even if it begins with dashes, unless it is a flag.
    """
    words = list(argv)
    while words:
        word = words.pop(0)
        matched = FLAG.fullmatch(word)
        if not matched:
            if word != "--":  # between a program's words and fire's, once
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


def is_flag(word: str, kind_of: Mapping[str, type]) -> bool:
    matched = FLAG.fullmatch(word)
    name = matched[1].replace("-", "_") if matched else ""
    return name in (*kind_of, *ALWAYS) or kind_of.get(name.removeprefix("no")) is bool


def named(
    settings: type, pairs: Sequence[tuple[str, str | None]], positional: str | None
) -> list[str]:
    """The flags as --name=value, one word each: fire would give a bare flag the next word, and
    keep only the last value of a repeated one."""
    kind_of, given = kinds(settings), list[tuple[str, str]]()
    for word, value in pairs:
        if FLAG.fullmatch(word):
            given.append(meant(word.removeprefix("--"), value, kind_of))
            continue
        full = positional in dict(given) and kind_of[positional] is not tuple
        if positional is None or full or word.startswith("-") or typography(word, kind_of):
            raise UsageError(unknown(settings, word))
        given.append((positional, word))
    joined = {name: BETWEEN.join(v for n, v in given if n == name) for name, _ in given}
    last = dict(given)
    return [
        f"--{name}={joined[name] if kind_of.get(name) is tuple else last[name]}" for name in last
    ]


def meant(name: str, value: str | None, kind_of: Mapping[str, type]) -> tuple[str, str]:
    """A flag as it was typed -> its name and its value's word."""
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


def reader(name: str, kind: type) -> Callable[[str], Any]:
    """The function that turns a flag's word into its value."""

    def read(word: str) -> Any:
        if kind is tuple:
            return tuple(word.split(BETWEEN))
        try:
            return TRUTH[word.lower()] if kind is bool else kind(word)
        except (KeyError, ValueError):
            raise UsageError(f"--{name} takes {KINDS[kind]}, not {brief(word)!r}") from None

    return read


def brief(text: str) -> str:
    """As much of the text as a message has room for."""
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 1]}…"


def unknown(settings: type, word: str) -> str:
    """What to say of a word that is no flag."""
    kind_of = kinds(settings)
    if hint := typography(word, kind_of):
        return hint
    if not word.startswith("-"):
        word = brief(word)
        return f"{word!r} is no flag; flags are written --name value (--help lists them)"
    name = word.lstrip("-").split("=")[0].replace("-", "_")
    near = difflib.get_close_matches(name, kind_of, n=1, cutoff=0.5)
    hint = f"did you mean --{near[0]}?" if near else "--help lists them"
    return f"there is no flag {brief(word.partition('=')[0])}; {hint}"


def typography(word: str, kind_of: Mapping[str, type]) -> str | None:
    """What to say of a word that a web page or a word processor has made beautiful."""
    bare = word.lstrip(f"-{DASHES}")
    name = re.split(r"[=\s]", bare)[0]
    if word[: len(word) - len(bare)].strip("-") and is_flag(f"--{name}", kind_of):
        return (
            f"{brief(word)!r} begins with a dash as web pages print it; "
            f"with two hyphens it is --{name}"
        )
    if word.startswith("-") and re.search(r"\s", word) and is_flag(f"--{name}", kind_of):
        return f"{brief(word)!r} has a space in it that does not part words; type: --{name} VALUE"
    if CURLY & set(word):
        return f"{brief(word)!r} has curly quotes, which hold no words together; type straight ones"
    return None


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
    # Before Python 3.13 a docstring has the margin of the source, except in its first line.
    about = inspect.cleandoc(settings.__doc__ or "")
    return "\n".join([usage, "", about, "", *lines, "", f"  {ALWAYS_HELP}"])
