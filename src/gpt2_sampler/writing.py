"""New content -> its file or folder, whole or not at all, and locks. Knows no content.

It is written under a temporary name in the same folder and renamed when complete. A process that is
killed leaves its temporary files behind; the next one that writes to the folder removes them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from gpt2_sampler.errors import SamplerError
from gpt2_sampler.files import WINDOWS, reason

TEMPORARY = ".gpt2-sampler-"  # how the names of temporary folders and of their locks begin
WORKPLACE = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{16}}\.writing")


@contextlib.contextmanager
def writing(path: Path, error: type[SamplerError] = SamplerError) -> Iterator[None]:
    """Turns an OSError of the block, which writes to the path, into one line that names it."""
    try:
        yield
    except OSError as problem:
        raise error(f"{path} cannot be written ({reason(problem)})") from None


@contextlib.contextmanager
def write_whole(path: Path, error: type[SamplerError] = SamplerError) -> Iterator[Path]:
    """A place to write a file or a folder, which is renamed to path if the block ends well.

    A file replaces an existing one, of a link the one that it leads to; a folder replaces only an
    empty one. Folders that are missing on the way to it are made at the end. Raises an error of
    the given class where the disk is full or something may not be written.
    """
    with writing(path, error):
        path = Path(os.path.realpath(path))
        with workplace(next(folder for folder in path.parents if folder.is_dir())) as place:
            new = place / path.name
            yield new
            path.parent.mkdir(parents=True, exist_ok=True)
            new.replace(path)


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """An empty folder inside the folder, removed with its content at the end of the block.

    First removes those that killed processes have left. Raises OSError.
    """
    sweep(folder)
    place = folder / f"{TEMPORARY}{secrets.token_hex(8)}.writing"
    # The lock lies beside it, as Windows removes no folder with an open file in it. Another process
    # that sweeps may have it for a moment.
    with hold_lock(place.with_suffix(".lock"), wait=lambda: None):
        # On Windows 0o700 is a right that what is renamed out of the folder would keep.
        place.mkdir(mode=0o777 if WINDOWS else 0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes what killed processes of this user have left of their workplaces: an empty lock and,
    where that is there, the folder that it was for. Nothing else is touched, and no link followed.
    """
    for lock in folder.glob(f"{TEMPORARY}*.lock"):
        place = lock.with_suffix(".writing")
        with contextlib.suppress(OSError):
            is_left = WORKPLACE.fullmatch(place.name) and is_own_lock(lock) and is_own_place(place)
            if is_left:
                with hold_lock(lock):
                    shutil.rmtree(place)


def is_own_lock(path: Path) -> bool:
    """Whether it is this user's empty file, with no other name. Raises OSError."""
    status = path.lstat()
    empty = stat.S_ISREG(status.st_mode) and status.st_size == 0 and status.st_nlink == 1
    return empty and is_own(status)


def is_own_place(path: Path) -> bool:
    """Whether it is this user's folder, or was not made or is removed already."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(status.st_mode) and is_own(status)


def is_own(status: os.stat_result) -> bool:
    return WINDOWS or status.st_uid == os.geteuid()


@contextlib.contextmanager
def hold_lock(path: Path, wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Holds a lock, a file that is there for as long; the system frees it however a process ends.

    If another process has it, calls wait and waits for it; without wait, raises BlockingIOError.
    Raises OSError.
    """
    from filelock import FileLock, Timeout  # importing it takes as long as a few tokens

    lock = FileLock(path)
    # In a folder that takes no files, such as /proc, it would try for ever to make one.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if wait is None:
            raise BlockingIOError(errno.EAGAIN, "another process has it") from None
        wait()
        lock.acquire()
    try:
        yield
    finally:
        remove_lock(path)
        lock.release()
    if WINDOWS:  # where a file that is open cannot be removed, so nobody else has it open
        remove_lock(path)


def remove_lock(path: Path) -> None:
    """To be called while it is held: who waits for it finds that it is gone and makes another."""
    with contextlib.suppress(OSError):
        path.unlink()
