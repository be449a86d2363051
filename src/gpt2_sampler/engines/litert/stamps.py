"""A file that was found right -> a note beside it, by which later runs know that nobody has changed
it since, without reading it."""

from __future__ import annotations

import os
from pathlib import Path


def stamp(path: Path) -> None:
    """Vouches for a file that is right and on the disk. Raises OSError."""
    stamp_of(path).write_text(state_of(path), encoding="ascii")


def is_unchanged(path: Path) -> bool:
    """Whether it is this user's own, and was vouched for as it is now."""
    try:
        return is_own(path) and stamp_of(path).read_text(encoding="ascii") == state_of(path)
    except (OSError, ValueError):
        return False


def is_own(path: Path) -> bool:
    """Whether it belongs to this user or to root, who can do everything anyway."""
    return os.name != "posix" or path.lstat().st_uid in (os.geteuid(), 0)


def stamp_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.stamp")


def lock_of(path: Path) -> Path:
    """What a process holds while it makes or removes the file."""
    return path.with_name(f"{path.name}.lock")


def state_of(path: Path) -> str:
    """What every change of a file changes: on POSIX the last of it cannot be set by anybody."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
