"""An exported file -> the file of its weights in the order that the kernels read them, made once.

LiteRT packs weights when it loads a model. From this file it maps them instead: at once, and
processes share the memory. The order is that of the kernels that a version of LiteRT chooses for a
processor, so the name says both, and machines that share a home folder have a file each.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from gpt2_sampler.engines.litert.functions import litert_version
from gpt2_sampler.engines.litert.stamps import is_unchanged, lock_of, stamp, stamp_of
from gpt2_sampler.engines.processors import processor_kind
from gpt2_sampler.errors import EngineError
from gpt2_sampler.writing import hold_lock

SUFFIX = ".packed"
UNUSED = 30 * 86400  # seconds until a file that no run has used is removed

log = logging.getLogger(__name__)


def packed_weights(exported: Path, pack: Callable[[Path], object]) -> Path | None:
    """The file for this machine, made now by pack, which is given a path to write to, unless there
    is one that nobody has changed. None where there is no room for it, or it cannot be made."""
    path = exported.with_name(f"{exported.stem}-{machine()}{SUFFIX}")
    try:
        if not is_unchanged(path):
            with hold_lock(lock_of(exported), wait=lambda: None):
                if not is_unchanged(path):  # else another process has just made it
                    make(path, pack, room=exported.stat().st_size)
        os.utime(stamp_of(path))
    except (EngineError, OSError, NotImplementedError) as problem:
        log.debug("weights are packed in memory: %s", problem)
        return None
    return path


def make(path: Path, pack: Callable[[Path], object], room: int) -> None:
    """Under a temporary name until it is complete. Raises OSError, and what pack raises."""
    if shutil.disk_usage(path.parent).free < 2 * room:
        raise OSError(f"there is no room for {path}")
    temporary = path.with_name(f"{path.name}.part")
    try:
        pack(temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        stamp(path)
    finally:
        temporary.unlink(missing_ok=True)


def machine() -> str:
    """A version of LiteRT and a kind of processor, as a part of a name."""
    return f"{litert_version()}-{hashlib.sha256(processor_kind().encode()).hexdigest()[:8]}"


def sweep_packed(folder: Path) -> None:
    """Removes files whose export is gone, and those that no run has used for long."""
    for path in folder.glob(f"*{SUFFIX}"):
        exported = "-".join(path.name.split("-")[:2]) + ".tflite"
        try:
            used = stamp_of(path).stat().st_mtime
        except OSError:
            used = 0.0
        if time.time() - used > UNUSED or not (folder / exported).exists():
            for file in (path, stamp_of(path)):
                file.unlink(missing_ok=True)
