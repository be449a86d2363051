"""A checkpoint -> its LiteRT file in the user's cache, made once for each precision and kept.

Knows where the file is and whether it is complete and current, but not what is in it. LiteRT trusts
what it loads, and a model's folder may come from anywhere. So only files in the cache are loaded,
that belong to this user (or to root) in a folder where nobody else can write: they were made here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_sampler.engines.litert.embedding import Place
from gpt2_sampler.engines.litert.packed import sweep_packed
from gpt2_sampler.engines.litert.stamps import is_own, is_unchanged, lock_of, stamp, stamp_of
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.files import map_bytes, own_folder, reason
from gpt2_sampler.weights.checkpoint import Checkpoint
from gpt2_sampler.weights.storage import crc32c
from gpt2_sampler.writing import hold_lock

EXPORT_VERSION = 3
"""To be raised whenever the same weights give a different file, which test_export.py notices."""
FOLDER = "litert"
LENGTH_SIZE, CRC_SIZE = 8, 4  # bytes at the end: the notes' length, the whole file's checksum
MAX_NOTES = 1 << 20  # bytes
WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
NOTICEABLE = 1 << 27
"""Bytes of weights; fewer are written before anybody could read a message about it."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A file that LiteRT can load, and by name where the arrays are that are read without it."""

    path: Path
    places: dict[str, Place]
    is_kept: bool = True
    """False for a file that only this process knows."""
    loaded: Callable[[], None] = lambda: None
    """To be called once LiteRT has mapped it."""


def export_model(checkpoint: Checkpoint, precision: str) -> Exported:
    """The file of a checkpoint, made now unless there is one that is current and complete. Where it
    cannot be kept it is made for this process alone.

    Raises EngineError if it cannot be written anywhere, or where others can write.
    """
    key = f"{EXPORT_VERSION} {precision} {checkpoint.fingerprint}"
    try:
        path = cache_folder() / f"{checkpoint.fingerprint[:16]}-{precision}.tflite"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private(path.parent)
        if found := read(path, key):
            return found
        with hold_lock(lock_of(path), wait=lambda: None):
            if not (found := read(path, key)):  # else another process has just made it
                write(path, checkpoint, precision, key)
                found = read(path, key)
        sweep()
    except (OSError, UsageError, NotImplementedError) as problem:
        why = reason(problem)
        log.warning("the model is prepared anew at each start: there is no cache (%s)", why)
        return export_for_now(checkpoint, precision, key)
    if not found:
        raise EngineError(f"{path} changes while it is read; try again")
    return found


def export_for_now(checkpoint: Checkpoint, precision: str, key: str) -> Exported:
    """A file that is gone once it has been loaded, or at the latest when the process ends: in the
    system's place for such files or, where that cannot be written either, in memory."""
    import tempfile

    try:
        folder = tempfile.TemporaryDirectory(prefix="gpt2-sampler-", ignore_cleanup_errors=True)
        path, loaded = Path(folder.name) / "model.tflite", folder.cleanup
        fill(path, checkpoint, precision, key)
    except OSError as error:
        if not hasattr(os, "memfd_create"):
            raise EngineError(
                f"the model cannot be prepared for this machine: no folder can be written "
                f"({error.strerror or error}); make room or permission, or set XDG_CACHE_HOME to "
                "another folder"
            ) from None
        memory = os.fdopen(os.memfd_create("gpt2-sampler"), "rb")
        path, loaded = Path(f"/proc/self/fd/{memory.fileno()}"), memory.close
        fill(path, checkpoint, precision, key)
    found = read(path, key)
    assert found is not None, "it has just been made"
    return dataclasses.replace(found, is_kept=False, loaded=loaded)


def discard(checkpoint: Checkpoint) -> None:
    """Removes the files of a checkpoint."""
    for path in cache_folder().glob(f"{checkpoint.fingerprint[:16]}-*"):
        path.unlink(missing_ok=True)


def cache_folder() -> Path:
    return own_folder("cache") / FOLDER


def make_private(folder: Path) -> None:
    """Takes away others' right to write there. Raises OSError, EngineError if they keep it."""
    if os.name != "posix":
        return
    if folder.stat().st_mode & WRITTEN_BY_OTHERS and is_own(folder):
        with contextlib.suppress(PermissionError):  # root's, or of a file system without rights
            folder.chmod(0o700)
    if folder.stat().st_mode & WRITTEN_BY_OTHERS or not is_own(folder):
        raise EngineError(
            f"other users can write in {folder}, and what lies there would be run; set "
            "XDG_CACHE_HOME to a folder of your own"
        )


def read(path: Path, key: str) -> Exported | None:
    """The file, if it was made for this key and is undamaged."""
    notes = read_notes(path)
    if notes is None or notes["key"] != key or not is_own(path):
        return None
    data = map_bytes(path, error=EngineError)
    if not is_unchanged(path):
        # The checksum has a map of its own, which gives back the pages that it needs.
        crc = crc32c(map_bytes(path, error=EngineError)[:-CRC_SIZE])
        if crc != int.from_bytes(data[-CRC_SIZE:].tobytes(), "little"):
            log.warning("%s is damaged; it is made again", path)
            return None
        with contextlib.suppress(OSError):
            stamp(path)
    return Exported(path, notes["arrays"])


def read_notes(path: Path) -> dict[str, Any] | None:
    """The notes at a file's end: its key, the folder of its model, where its arrays are. None
    where there is no such file."""
    try:
        data = map_bytes(path, error=EngineError)
    except EngineError:
        return None
    end = len(data) - CRC_SIZE - LENGTH_SIZE
    size = int.from_bytes(data[end : end + LENGTH_SIZE].tobytes(), "little") if end > 0 else 0
    if not 0 < size <= min(end, MAX_NOTES):
        return None
    try:
        notes = json.loads(data[end - size : end].tobytes())
    except ValueError:
        return None
    kinds = {"key": str, "folder": str, "arrays": dict}
    whole = isinstance(notes, dict) and all(type(notes.get(n)) is kinds[n] for n in kinds)
    return notes if whole else None


def write(path: Path, checkpoint: Checkpoint, precision: str, key: str) -> None:
    """Writes the file, under a temporary name until it is complete. The caller holds the lock.
    Raises OSError."""
    size = 4 * sum(map(math.prod, checkpoint.hparams.variable_shapes().values()))
    level = logging.INFO if size > NOTICEABLE else logging.DEBUG
    log.log(level, "preparing the model for this machine, once (%s) ...", precision)
    started = time.monotonic()
    temporary = path.with_suffix(".part")
    try:
        temporary.unlink(missing_ok=True)  # what a killed run has left, or a link to follow
        fill(temporary, checkpoint, precision, key)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    log.log(level, "prepared in %.1f s", time.monotonic() - started)


def fill(path: Path, checkpoint: Checkpoint, precision: str, key: str) -> None:
    from gpt2_sampler.engines.litert.graph import build

    with path.open("w+b") as file:
        graph = build(checkpoint, checkpoint.hparams, precision)
        graph.write(file)
        arrays = {
            name: (graph.offset(place), place.shape, place.dtype)
            for name, place in graph.places.items()
        }
        notes = {"key": key, "folder": str(checkpoint.folder.resolve()), "arrays": arrays}
        text = json.dumps(notes).encode()
        file.write(text + len(text).to_bytes(LENGTH_SIZE, "little"))
        file.flush()
        crc = crc32c(np.memmap(path, np.uint8, mode="r"))
        file.write(crc.to_bytes(CRC_SIZE, "little"))
        file.flush()
        os.fsync(file.fileno())


def sweep() -> None:
    """Removes what no run will load again: files of models that are gone, and what killed runs
    have left."""
    for path in [*cache_folder().glob("*.tflite"), *cache_folder().glob("*.part")]:
        with contextlib.suppress(OSError), hold_lock(lock_of(path.with_suffix(".tflite"))):
            if path.suffix == ".part" or is_orphan(path):
                path.unlink(missing_ok=True)
                stamp_of(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        sweep_packed(cache_folder())


def is_orphan(path: Path) -> bool:
    notes = read_notes(path)
    return notes is None or not Path(notes["folder"]).exists()
