"""Command-line words -> a settings object, through fire. Knows no setting by name.

fire calls what it is given before it complains about a flag that is left over. So it is given
something that is cheap and has no side effects: a frozen dataclass, each field of which is a flag.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from gpt2_sampler.cli.flags.completion import completion
from gpt2_sampler.cli.flags.fields import kinds
from gpt2_sampler.cli.flags.help import help_text
from gpt2_sampler.cli.flags.version import version_text
from gpt2_sampler.cli.flags.words import ALWAYS, FLAG, explain_unknown, is_flag, typography
from gpt2_sampler.cli.session.terminal import show
from gpt2_sampler.errors import UsageError, brief


@contextlib.contextmanager
def without_asyncio() -> Iterator[None]:
    """fire asks asyncio only whether a function is a coroutine, which inspect knows too; asyncio
    takes longer to import than fire and all that our settings are made of."""
    stand_in = types.ModuleType("asyncio")
    stand_in.iscoroutinefunction = inspect.iscoroutinefunction  # type: ignore[attr-defined]
    loaded = sys.modules.setdefault("asyncio", stand_in)
    try:
        yield
    finally:
        if loaded is stand_in:
            del sys.modules["asyncio"]


with without_asyncio():
    import fire
    import fire.decorators

Settings = TypeVar("Settings")
TRUTH = {"true": True, "false": False}
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a value"}
BETWEEN = "\x1f"  # separates the values of a repeated flag on their way through fire


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
    pairs = list(pair(argv, kind_of))
    asked = dict(pairs)
    if answer := about(settings, asked, program, positional):
        show(f"{answer}\n")
        raise SystemExit(0)
    readers = {n: reader(n, k, getattr(settings, n, "") is None) for n, k in kind_of.items()}
    fire.decorators.SetParseFns(**readers)(settings)
    command = spell_out(settings, pairs, positional)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return fire.Fire(settings, command=command, name=program, serialize=lambda _: None)
        except fire.core.FireExit as exit_:
            word = exit_.trace.elements[-1].ErrorAsStr().rsplit(" ", 1)[-1]
    raise UsageError(explain_unknown(word, kind_of))


def about(
    settings: type, asked: Mapping[str, str | None], program: str, positional: str | None
) -> str:
    """What the words ask to be told instead of running the command, "" if nothing."""
    if {"--help", "-h"} & {*asked}:
        return help_text(settings, program, positional, full=asked.get("--help") == "all")
    if "--version" in asked:
        return version_text(details="--verbose" in asked)
    if "--completion" in asked:
        shell = asked["--completion"]
        if shell not in ALWAYS["completion"]:
            raise UsageError(f"--completion takes a shell: {', '.join(ALWAYS['completion'])}")
        return completion(settings, program, positional, shell)
    return ""


def pair(argv: Sequence[str], kind_of: Mapping[str, type]) -> Iterator[tuple[str, str | None]]:
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
            if name in ALWAYS:
                taken = follows in ALWAYS[name]
            elif kind is bool:
                taken = follows.lower() in TRUTH
            elif kind in (str, tuple):
                taken = not is_flag(follows, kind_of)
            else:
                taken = not follows.startswith("--" if kind else "-")
            value = words.pop(0) if taken else None
        yield f"--{name}", value


def spell_out(
    settings: type, pairs: Sequence[tuple[str, str | None]], positional: str | None
) -> list[str]:
    """The flags as --name=value, one word each: fire would take the next word for a bare flag's
    value, and keep only the last value of a repeated flag."""
    kind_of, given = kinds(settings), list[tuple[str, str]]()
    for word, value in pairs:
        if FLAG.fullmatch(word):
            given.append(read_flag(word.removeprefix("--"), value, kind_of))
            continue
        full = positional in dict(given) and kind_of[positional] is not tuple
        dashed = word.startswith("-") and word != "-"  # "-" alone is stdin
        if positional is None or full or dashed or typography(word, kind_of):
            raise UsageError(explain_unknown(word, kind_of))
        given.append((positional, word))
    joined = {name: BETWEEN.join(v for n, v in given if n == name) for name, _ in given}
    last = dict(given)
    return [
        f"--{name}={joined[name] if kind_of.get(name) is tuple else last[name]}" for name in last
    ]


def read_flag(name: str, value: str | None, kind_of: Mapping[str, type]) -> tuple[str, str]:
    """A flag as it was typed -> its name and its value, still as text."""
    kind = kind_of.get(name)
    if kind is None and kind_of.get(name.removeprefix("no")) is bool:
        return name.removeprefix("no"), "False"
    if kind is None:
        raise UsageError(explain_unknown(f"--{name}", kind_of))
    if value is not None:
        return name, value
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
