"""What can go wrong while a file is fetched, by what may help."""

from __future__ import annotations

import enum

from gpt2_sampler.errors import DownloadError

DENIED, MISSING = frozenset({401, 403, 451}), frozenset({404, 410})
"""A server's answers, by their numbers."""


class Trouble(enum.IntEnum):
    """The kind of problem, which decides what may help. Of several, the highest counts."""

    MISSING = 1  # the server does not have the file
    WRONG = 2  # the server has something else in its place
    DENIED = 3  # the server does not give it to everybody
    UNREACHABLE = 4  # the server cannot be reached, or is not answering at the moment
    SETUP = 5  # something on this machine; the message says what helps
    DISK = 6  # the disk is full or not writable


class SourceError(DownloadError):
    """The file is not available at this address; it may be at another."""

    def __init__(self, message: str, trouble: Trouble = Trouble.WRONG) -> None:
        super().__init__(message)
        self.trouble = trouble


class Unreachable(SourceError):
    """Nothing else is available from this host at the moment, either."""


class Changed(Exception):
    """The file at the address has changed since it was first asked about."""


class DiskError(DownloadError):
    """The disk is full or not writable."""

    trouble = Trouble.DISK
