"""Every error a user can meet, each a one-line message.

SamplerError            a failure: exit code 1
├── UsageError          a mistake in what was asked for: exit code 2
├── CheckpointError     a model file is missing, damaged or does not fit the others
├── EngineError         the model cannot be run on this machine as asked
│   └── OutOfMemory     not with so many texts at once; perhaps with fewer
└── DownloadError       a model could not be fetched

A message says what is wrong, and with which value. It serves Python programs as well as commands,
so it names no flag. What would help goes along as facts, which a command turns into something to
type (cli/flags/remedies.py):

fits        settings that would work, by name, all of them together
change      names of settings, any of which may help when it is changed
fetch       the name of a model that can be downloaded, and the folder for it, if one was chosen
file        the path of a model's file that is missing or damaged
package     the name of a package that is not installed
"""

from __future__ import annotations

from typing import Any

LONGEST = 1000  # characters of a message's beginning and of its end: values in it may be any length


class SamplerError(Exception):
    """Any error a user can meet; facts are what is known about a way out."""

    exit_code = 1

    def __init__(self, message: str, **facts: Any) -> None:
        if len(message) > 2 * LONGEST:
            message = f"{message[: LONGEST - 1]}…{message[-LONGEST + 1 :]}"
        super().__init__(message)
        self.facts = facts


class UsageError(SamplerError):
    exit_code = 2


class CheckpointError(SamplerError):
    pass


class EngineError(SamplerError):
    pass


class OutOfMemory(EngineError):
    pass


class DownloadError(SamplerError):
    pass
