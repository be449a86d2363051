"""A partly fetched file -> FILE.part and a journal of what is missing, to resume from at any time.

Does not know where the bytes come from.
"""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path


@dataclasses.dataclass
class Span:
    """The bytes from at to end are missing. at moves on only when bytes have been written."""

    at: int
    end: int


class PartFile:
    """The bytes of a file that have come so far, in whatever order.

    length is the whole file's, in bytes; validator changes with its content, like an ETag. The
    bytes of an earlier run are kept if both are the same. spans are at most piece bytes long.
    """

    def __init__(self, target: Path, length: int, validator: str, piece: int) -> None:
        self.target, self.length, self.validator = target, length, validator
        self.path, self.journal = names(target)
        missing = self.read_left_over()
        self.resumed = missing is not None
        if missing is None:
            discard(target)
            with self.path.open("xb") as file:  # a new one: a link would be followed
                file.truncate(length)
            missing = [(0, length)]
        self.spans = [
            Span(at, min(at + piece, end))
            for start, end in missing
            for at in range(start, end, piece)
        ]
        self.save()

    def read_left_over(self) -> list[tuple[int, int]] | None:
        """What an earlier run had yet to fetch; None if it left nothing that can be used."""
        journal = read_journal(self.target)
        if journal is None or (journal["length"], journal["validator"]) != (
            self.length,
            self.validator,
        ):
            return None
        return [(at, end) for at, end in journal["missing"]]

    @property
    def missing(self) -> int:
        """In bytes."""
        return sum(span.end - span.at for span in self.spans)

    @property
    def frontier(self) -> int:
        """All bytes before this one have come."""
        return next((span.at for span in self.spans if span.at < span.end), self.length)

    def save(self) -> None:
        """Writes the journal. It never claims bytes that are not written; what it misses is fetched
        again."""
        missing = [(span.at, span.end) for span in self.spans if span.at < span.end]
        journal = {"length": self.length, "validator": self.validator, "missing": missing}
        new = self.journal.with_name(f"{self.journal.name}.new")
        new.unlink(missing_ok=True)
        with new.open("x", encoding="utf-8") as file:
            json.dump(journal, file)
        new.replace(self.journal)


def names(target: Path) -> tuple[Path, Path]:
    """The paths of the part and of its journal."""
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")


def finish(target: Path) -> None:
    """Gives the part its final name."""
    part, journal = names(target)
    journal.unlink(missing_ok=True)  # first, so that a kill in between leaves no journal behind
    part.replace(target)


def discard(target: Path) -> None:
    part, journal = names(target)
    journal.unlink(missing_ok=True)  # first: a journal vouches for its part
    part.unlink(missing_ok=True)


def keep(target: Path, length: int | None, validator: str | None) -> int:
    """How many bytes an earlier run has left of this content. Removes what it has left of any
    other, so that it takes no room, and everything if length or validator is None."""
    journal = read_journal(target)
    if journal is None or (journal["length"], journal["validator"]) != (length, validator):
        discard(target)
        return 0
    return journal["length"] - sum(end - at for at, end in journal["missing"])


def read_journal(target: Path) -> dict | None:
    """None if there is none, or none that can be trusted."""
    part, journal = names(target)
    try:
        fields = json.loads(journal.read_text(encoding="utf-8"))
        length, at = fields["length"], 0
        for start, end in fields["missing"]:
            if not at <= start < end <= length:
                return None
            at = end
        status = part.lstat()
        whole = stat.S_ISREG(status.st_mode) and status.st_size == length
        return fields if whole and isinstance(fields["validator"], str) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
