"""Records <-> the lines of a growing file: JSON lines, plain or compressed with gzip.

Whatever incomplete data a killed process has left at the end is cut off when the file is opened, so
that in the end it has the same bytes as after one undisturbed run. Knows no model.
"""

from __future__ import annotations

import abc
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from gpt2_sampler.corpus.write import Record
from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import is_at
from gpt2_sampler.writing import writing

READ = 1 << 20  # bytes
MEMBER = 16  # records, about 70 kB; gzip's window is 32 kB, so larger members gain little
GZIP, LEVEL = 31, 6  # zlib's codes for the gzip format without a timestamp, and the usual effort


class Lines(abc.ABC):
    """A file of records that is read to its end once and then written to, by one process at a time.

    It consists of units, each of which is written at once and is cut off if it is incomplete.
    Raises UsageError if another process has the file, SamplerError if it cannot be read or written
    or is damaged before its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unfilled: int | None = None
        """Where the last unit begins, if it may take more lines."""
        with writing(path):
            self._file: IO[bytes] = path.open("a+b", buffering=0)
            try:
                lock(self._file)
                if not is_at(self._file, path):  # whoever had it has just removed it
                    raise BlockingIOError
            except BlockingIOError:
                self._file.close()
                raise UsageError(f"another process is writing {path}") from None
        self._end = 0
        """Bytes that this process knows to be in the file."""

    def read(self) -> Iterator[Record]:
        """All complete records. What follows them is cut off in the end."""
        for number, line in enumerate(self.read_lines()):
            yield self.record_of(line, number)

    def record_of(self, line: bytes, number: int) -> Record:
        """number says how many are before it."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise self._damage_error(number)
        return record

    def read_lines(self) -> Iterator[bytes]:
        """As read, and whether they are records is for the caller to find out."""
        end = 0
        self._file.seek(0)
        for lines, end in self._units():  # noqa: B007
            yield from lines
        if self._file.seek(0, os.SEEK_END) > end:
            self._file.truncate(end)
        self._end = end

    def write(self, records: Sequence[Record]) -> None:
        """Appends records. If the process is killed before close, those that still wait for a unit
        to fill are lost; all others are safe."""
        if not records:
            return
        self.require_untouched()
        with writing(self.path):
            if self._unfilled is not None:
                self._file.truncate(self._unfilled)
                self._end, self._unfilled = self._unfilled, None
            for data in self._pack([as_line(record) for record in records]):
                self._append(data)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            n = self._file.write(view)
            self._end += n
            view = view[n:]

    def close(self) -> None:
        """Raises SamplerError also where the file is no longer what was written."""
        if not self._file.closed:
            try:
                self.require_untouched()
            finally:
                self._file.close()

    def release(self) -> None:
        """Closes a file that was not read."""
        self._file.close()

    def require_untouched(self) -> None:
        """Raises SamplerError if something else has removed, renamed, replaced or changed it."""
        if not is_at(self._file, self.path):
            what = "is not there any more" if not self.path.exists() else "was replaced"
        elif os.fstat(self._file.fileno()).st_size != self._end:
            what = "was changed by something else"
        else:
            return
        raise SamplerError(f"{self.path} {what} while records were added to it")

    @abc.abstractmethod
    def _units(self) -> Iterator[tuple[list[bytes], int]]:
        """The complete units from the beginning of the file: their lines, and where they end."""

    @abc.abstractmethod
    def _pack(self, lines: list[bytes]) -> Iterator[bytes]:
        """The bytes to write for further lines."""

    def _damage_error(self, n_records: int) -> SamplerError:
        return SamplerError(
            f"{self.path} is damaged after its first {n_records} records; cut it off there, or "
            "write another file"
        )


class PlainLines(Lines):
    """A unit is a line."""

    def _units(self) -> Iterator[tuple[list[bytes], int]]:
        end, rest = 0, b""
        while data := self._file.read(READ):
            *lines, rest = (rest + data).split(b"\n")
            end += sum(map(len, lines)) + len(lines)
            yield lines, end

    def _pack(self, lines: list[bytes]) -> Iterator[bytes]:
        if lines:
            yield b"".join(lines)


class GzipLines(Lines):
    """A unit is a gzip member of MEMBER lines. If the last one has fewer, it is written again when
    more lines come."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._waiting: list[bytes] = []

    def _units(self) -> Iterator[tuple[list[bytes], int]]:
        end = n_records = 0
        data = b""
        while True:
            unpacker, content, start = zlib.decompressobj(GZIP), b"", end
            try:
                while not unpacker.eof:
                    data = data or self._file.read(READ)
                    if not data:
                        return
                    content += unpacker.decompress(data)
                    end += len(data) - len(unpacker.unused_data)
                    data = unpacker.unused_data
            except zlib.error:
                raise self._damage_error(n_records) from None
            lines = content.splitlines(keepends=True)
            if len(lines) < MEMBER:
                self._waiting, self._unfilled = lines, start
            yield lines, end
            n_records += len(lines)

    def _pack(self, lines: list[bytes]) -> Iterator[bytes]:
        self._waiting += lines
        while len(self._waiting) >= MEMBER:
            yield compress(self._waiting[:MEMBER])
            del self._waiting[:MEMBER]

    def close(self) -> None:
        try:
            with writing(self.path):
                if self._waiting and self._unfilled is None and not self._file.closed:
                    self._append(compress(self._waiting))
                    self._waiting = []
        finally:
            super().close()


def compress(lines: Sequence[bytes]) -> bytes:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return packer.compress(b"".join(lines)) + packer.flush()


def as_line(record: Record) -> bytes:
    """In ASCII, so that programs that assume their locale's encoding read it correctly too."""
    return json.dumps(record).encode() + b"\n"


def lock(file: IO[bytes]) -> None:
    """Raises BlockingIOError if another process has the file. The system releases the lock however
    this process ends."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
