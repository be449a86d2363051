"""Every error a user can meet, each a one-line message.

SamplerError            a failure: exit code 1
├── UsageError          a mistake in what was asked for: exit code 2
├── CheckpointError     a model file is missing, damaged or does not fit the others
├── EngineError         the model cannot be run on this machine as asked
│   └── OutOfMemory     not with so many texts at once; perhaps with fewer
├── DownloadError       a model could not be fetched
└── ClusterError        the machines of a cluster are lost, or cannot go on

A message says what is wrong, and with which value. It serves Python programs as well as commands,
so it names no flag. What would help goes along as facts, which a command turns into something to
type (cli/flags/remedies.py):

fits        settings that would work, by name, all of them together
change      names of settings, any of which may help when it is changed
fetch       the name of a model that can be downloaded, and the folder for it, if one was chosen
hub         the name by which a Hugging Face hub may have a model, and the folder for it
file        the path of a model's file that is missing or damaged
package     the name of a package that is not installed
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any, TypeVar

Value = TypeVar("Value")

LONGEST = 1000  # characters of a message's beginning and of its end: values in it may be any length

QUOTED_BITS = 128  # of a whole number: its beginning would be another one


class SamplerError(Exception):
    """Any error a user can meet; facts are what is known about a way out."""

    exit_code = 1

    def __init__(self, message: str, **facts: Any) -> None:
        message = " ".join(message.splitlines())  # it may quote text of any origin
        if len(message) > 2 * LONGEST:
            message = f"{message[: LONGEST - 1]}…{message[-LONGEST + 1 :]}"
        super().__init__(message)
        self.facts = facts


def brief(value: object) -> str:
    """A value from a file or a program, as a message quotes it: the beginning of a text or number.

    Of anything else only the type is told: a list may be as large as its file, or far larger where
    it holds another one many times.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = int(value)
        if value.bit_length() > QUOTED_BITS:
            return f"a number of {value.bit_length()} bits"
    elif isinstance(value, Real) and not isinstance(value, bool):
        value = float(value)
    elif isinstance(value, (str, bytes)):
        value = value[:40]
    known = value is None or isinstance(value, (str, bytes, int, float))
    return f"{value!r:.40}" if known else type(value).__name__


def require_kind(name: str, value: object, kinds: type | tuple[type, ...], what: str) -> None:
    """Raises UsageError, which begins with the name and says what the value must be, unless it is
    of one of the kinds."""
    if not isinstance(value, kinds):
        raise UsageError(f"{name} must be {what}, not {brief(value)}")


def iterate(name: str, values: Iterable[Value], what: str) -> Iterator[Value]:
    """The values, one by one. Raises UsageError, as require_kind does, for what has none, and for a
    text, which is one value."""
    try:
        if isinstance(values, (str, bytes, bytearray)):
            raise TypeError
        return iter(values)
    except TypeError:
        raise UsageError(f"{name} must be {what}, not {brief(values)}") from None


def first_line(error: BaseException) -> str:
    """The beginning of what another library's error says; its type where it says nothing."""
    return f"{(str(error).strip().splitlines() or [type(error).__name__])[0]:.200}"


class UsageError(SamplerError):
    """A mistake in what was asked for."""

    exit_code = 2


class CheckpointError(SamplerError):
    """A model file is missing, damaged or does not fit the others."""


class EngineError(SamplerError):
    """The model cannot be run on this machine as asked."""


class OutOfMemory(EngineError):
    """Not with so many texts at once; perhaps with fewer."""


class DownloadError(SamplerError):
    """A model could not be fetched."""


class ClusterError(SamplerError):
    """The machines of a cluster are lost, or cannot go on."""
