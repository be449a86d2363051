"""A file on its way -> FILE.part beside a journal of what is missing, to go on after any end.

Knows nothing of where the bytes come from.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path


@dataclasses.dataclass
class Span:
    """Bytes at to end are missing; at moves on only when what lies before it is written."""

    at: int
    end: int


class PartFile:
    """The bytes of one content so far, whatever their order.

    length is the content's, in bytes; validator changes with the content (an ETag). An earlier
    run's bytes are kept if both are the same, else it starts anew. spans are at most piece bytes.
    """

    def __init__(self, target: Path, length: int, validator: str, piece: int) -> None:
        self.target, self.length, self.validator = target, length, validator
        self.path, self.journal = names(target)
        missing = self.left_over()
        self.resumed = missing is not None
        if missing is None:
            discard(target)
            with self.path.open("wb") as file:
                file.truncate(length)
            missing = [(0, length)]
        self.spans = [
            Span(at, min(at + piece, end))
            for start, end in missing
            for at in range(start, end, piece)
        ]
        self.save()

    def left_over(self) -> list[tuple[int, int]] | None:
        """What an earlier run still missed of this content; None if it left nothing of use."""
        journal = read_journal(self.target)
        if journal is None or (journal["length"], journal["validator"]) != (
            self.length,
            self.validator,
        ):
            return None
        return [(at, end) for at, end in journal["missing"]]

    @property
    def missing(self) -> int:
        """Bytes."""
        return sum(span.end - span.at for span in self.spans)

    @property
    def frontier(self) -> int:
        """Every byte before this one is there."""
        return next((span.at for span in self.spans if span.at < span.end), self.length)

    def save(self) -> None:
        """Writes the journal. Never says more than is written; what it does not know is lost."""
        missing = [(span.at, span.end) for span in self.spans if span.at < span.end]
        journal = {"length": self.length, "validator": self.validator, "missing": missing}
        new = self.journal.with_name(f"{self.journal.name}.new")
        new.write_text(json.dumps(journal), encoding="utf-8")
        new.replace(self.journal)


def names(target: Path) -> tuple[Path, Path]:
    """The paths of the part and of its journal."""
    return target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")


def finish(target: Path) -> None:
    """Gives the part its final name."""
    part, journal = names(target)
    journal.unlink(missing_ok=True)  # first: killed in between, nothing odd is left for ever
    part.replace(target)


def discard(target: Path) -> None:
    part, journal = names(target)
    journal.unlink(missing_ok=True)  # first: a journal vouches for its part
    part.unlink(missing_ok=True)


def keep(target: Path, length: int | None, validator: str | None) -> int:
    """Bytes that an earlier run left of this content. What it left of another one is removed, so
    that it takes no room; all of it where either is None."""
    journal = read_journal(target)
    if journal is None or (journal["length"], journal["validator"]) != (length, validator):
        discard(target)
        return 0
    return journal["length"] - sum(end - at for at, end in journal["missing"])


def read_journal(target: Path) -> dict | None:
    """None where there is none, or none that can be trusted."""
    part, journal = names(target)
    try:
        fields = json.loads(journal.read_text(encoding="utf-8"))
        length, at = fields["length"], 0
        for start, end in fields["missing"]:
            if not at <= start < end <= length:
                return None
            at = end
        return (
            fields
            if isinstance(fields["validator"], str) and part.stat().st_size == length
            else None
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
