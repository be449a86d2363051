"""A field of a settings class <-> a flag: its kind, its limits, what is said about it.

Knows no words of a command line.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any

from gpt2_sampler.errors import UsageError, brief
from gpt2_sampler.limits import LIMITS, Limits, check_limits

Field = dataclasses.Field[Any]


def flag(
    default: Any,
    help_text: str,
    value: str = "",
    *,
    lowest: int | None = None,
    choices: Sequence[str] = (),
    rare: bool = False,
) -> Any:
    """A field of a settings class.

    help_text is its line in --help, value what --help calls its value. lowest is its lowest value,
    where that is not the one in LIMITS; choices are the only values of one that has a few. A rare
    one is shown by --help all only.
    """
    known = {"help": help_text, "value": value, "lowest": lowest, "choices": choices, "rare": rare}
    return dataclasses.field(default=default, metadata=known)


def kinds(settings: type) -> dict[str, type]:
    """Each flag's type: int, float, bool, str, or tuple for a str that may be repeated."""
    found = {}
    for name, hint in typing.get_type_hints(settings).items():
        plain = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        found[name] = tuple if typing.get_origin(hint) is tuple else (plain or [hint])[0]
    return found


def limits_of(one: Field) -> Limits | None:
    """The limits of a flag that counts something, None for any other."""
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
