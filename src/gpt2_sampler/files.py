"""A path -> the file's content, or one kind of error; what was typed -> a path. Knows no model.

A file that is missing, unreadable, not a regular file (a pipe or a device might hang or never end),
too large or of the wrong kind raises an error of the class that the caller chooses, in one line
that names the file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gpt2_sampler.errors import CheckpointError, SamplerError, UsageError, brief

LIMIT = 256 << 20  # bytes of a file that is read at once: the largest vocabularies have 30 MB
WINDOWS = os.name == "nt"
INVALID_NAME = 123  # Windows' number for a name with characters that no file can have there
DEVICE = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?")
"""Names that Windows has for devices, in every folder and with every ending."""
PLAIN = re.compile(r"[\w@+=:,./\\~-]+")
"""What needs no quotes in Windows' shells."""
LFS = b"version https://git-lfs.github.com/spec/"


def read_bytes(
    path: Path, *, limit: int = LIMIT, error: type[SamplerError] = CheckpointError
) -> bytes:
    """The content of a regular file of at most limit bytes."""
    try:
        with open(path, "rb", opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            require_regular(path, status, error)
            content = file.read(min(limit, status.st_size) + 1)  # for which room is made at once
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, error) from None
    if len(content) > limit:
        raise error(f"{path} has more than the {limit:,} bytes that such a file may have")
    require_content(path, content[: len(LFS)], error)
    return content


def read_text(
    path: Path, *, limit: int = LIMIT, error: type[SamplerError] = CheckpointError
) -> str:
    """The text of a UTF-8 file, its line breaks as "\\n"."""
    try:
        text = read_bytes(path, limit=limit, error=error).decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(
            f"{path} is not UTF-8 text (byte {problem.start}: {problem.reason})", file=path
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_object(path: Path, *, error: type[SamplerError] = CheckpointError) -> dict[str, Any]:
    """The JSON object in a file, in which no name is given twice."""
    text = read_text(path, error=error)
    try:
        content = json.loads(text, object_pairs_hook=refuse_repeats)
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} is not JSON ({problem})", file=path) from None
    if not isinstance(content, dict):
        raise error(f"{path} is not a JSON object", file=path)
    return content


def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError for a name that has two values, of which programs take
    one or the other."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has {brief(twice)} twice")
    return fields


def map_bytes(
    path: Path, *, error: type[SamplerError] = CheckpointError
) -> npt.NDArray[np.uint8]:  # [N]
    """A regular file's bytes, read from the disk only when they are looked at."""
    try:
        status = path.stat()
        require_regular(path, status, error)
        data = np.memmap(path, np.uint8, mode="r") if status.st_size else np.empty(0, np.uint8)
    except (OSError, ValueError) as problem:
        raise unreadable(path, problem, error) from None
    require_content(path, data[: len(LFS)].tobytes(), error)
    return data


def user_path(given: str | Path) -> Path:
    """What somebody typed -> a path, with "~" expanded. Raises UsageError if it cannot be a path or
    leads to where this user may not look."""
    try:
        if given == "":
            raise ValueError("it is empty")
        path = Path(given).expanduser()
        if WINDOWS and any(map(DEVICE.fullmatch, path.parts)):
            raise ValueError("it is the name of a device")
        path.lstat()
        if path.is_dir() and not os.access(path, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, RuntimeError, ValueError) as problem:
        if not is_missing(problem):
            raise UsageError(f"{str(given)!r:.200} cannot be a path ({reason(problem)})") from None
    return path


def is_missing(problem: Exception) -> bool:
    """Whether there is no such file; on Windows also because there can be none of that name."""
    invalid = getattr(problem, "winerror", None) == INVALID_NAME
    return invalid or isinstance(problem, (FileNotFoundError, NotADirectoryError))


def own_folder(kind: str) -> Path:
    """The folder for the user's data, cache or state. Raises UsageError if there can be none."""
    import platformdirs

    try:
        path: Path = getattr(platformdirs, f"user_{kind}_path")("gpt2-sampler")
        if path.is_absolute():
            return path
    except RuntimeError:  # in some versions, where others give a path with "~" in it
        pass
    raise UsageError(
        f"this user has no home folder for {kind}; set HOME, or XDG_{kind.upper()}_HOME"
    )


def require_place(path: Path, folders: bool = False) -> None:
    """Raises UsageError unless a file can be written at the path, before any work is done for it.
    With folders, those on the way to it may be missing."""
    user_path(path)
    way = (folder for folder in path.parents if not folders or os.path.lexists(folder))
    parent = next(way, path.parent)
    if not parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {parent}")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: you may not write in {parent}")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:  # as it should be
        return
    except OSError as problem:
        raise UsageError(f"{path} cannot be written ({reason(problem)})") from None
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} cannot be written: it is {kind_of(mode)}")


def require_regular(path: Path, status: os.stat_result, error: type[SamplerError]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{path} is {kind_of(status.st_mode)}, not a file")


def kind_of(mode: int) -> str:
    """What something is that is no regular file."""
    return "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"


def require_content(path: Path, begin: bytes, error: type[SamplerError]) -> None:
    """In a repository cloned without Git LFS, files only say where their content can be had."""
    if begin == LFS:
        pull = f"git -C {quote(str(path.parent))} lfs pull"
        raise error(f"{path} is a Git LFS pointer, not the file itself; type: {pull}")


def unreadable(path: Path, problem: Exception, error: type[SamplerError]) -> SamplerError:
    if is_missing(problem):
        return error(f"{path} is missing", file=path)
    return error(f"{path} cannot be read ({reason(problem)})")


def reason(problem: Exception) -> str:
    """The system's words, without the path, which the message names already."""
    return getattr(problem, "strerror", None) or str(problem)


def quote(word: str) -> str:
    """A word of a command line as it is typed into this system's shell."""
    if not WINDOWS:
        return shlex.quote(word)
    import subprocess  # it takes time

    quoted = subprocess.list2cmdline([word])
    return quoted if PLAIN.fullmatch(word) or quoted.startswith('"') else f'"{quoted}"'


def without_waiting(path: str, flags: int) -> int:
    """Opens a file; opening a named pipe would otherwise wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_at(file: IO[bytes], path: Path) -> bool:
    """Whether the open file is still what the path leads to: neither removed nor replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def require_apart(outputs: Sequence[Path], inputs: Sequence[Path | int] = ()) -> None:
    """Raises UsageError if a file that is to be written is read as well, or written twice. An input
    may be the number of an open file: 0 is stdin."""
    for number, output in enumerate(outputs):
        if any(is_same(output, one) for one in inputs):
            raise UsageError(f"{output} would be read and replaced; choose another name to write")
        if any(is_same(output, one) for one in outputs[:number]):
            raise UsageError(f"{output} would be written twice; choose two names")


def is_same(one: Path | int, other: Path | int) -> bool:
    """Whether both lead to the same file, there already or not."""
    try:
        return os.path.samestat(os.stat(one), os.stat(other))  # noqa: PTH116, may be numbers
    except OSError:  # one of them is not there
        paths = [one, other]
        names = [os.path.normcase(os.path.realpath(p)) for p in paths if isinstance(p, Path)]
        return len(names) == 2 and names[0] == names[1]
