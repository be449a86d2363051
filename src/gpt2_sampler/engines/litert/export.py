"""A checkpoint -> its LiteRT file on disk, made once for each precision and kept.

Knows where the file lies and whether it is whole and current, not what is in it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np
import platformdirs

from gpt2_sampler.errors import EngineError
from gpt2_sampler.weights.checkpoint import Checkpoint
from gpt2_sampler.weights.tensor_bundle import crc32c

EXPORTER = ("graph.py", "flatbuffer.py")
"""The sources that decide what an exported file holds: their content is the exporter's version."""
FOLDER = "litert"
KEY_SIZE, CRC_SIZE = 32, 4  # bytes, at the file's end: what it was made of, and its checksum

NOTICEABLE = 1 << 27
"""Bytes of weights: fewer are written before a line about it could be read."""

log = logging.getLogger(__name__)


def exported(folder: Path, checkpoint: Checkpoint, precision: str) -> Path:
    """The file for a model folder's checkpoint, made now if there is none that is current and
    whole: in the folder, or where that is read-only in the user's cache folder.

    Raises EngineError where it can be written nowhere.
    """
    key = key_of(checkpoint, precision)
    places = list(candidates(folder, checkpoint, precision))
    for path in places:
        if is_current(path, key):
            return path
    problem: OSError | None = None
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(f"{path}.lock"):
                if not is_current(path, key):  # another process may just have made it
                    write(path, checkpoint, precision, key)
            return path
        except OSError as error:
            problem = error
    raise EngineError(
        f"the model cannot be prepared for this machine: neither {places[0].parent} nor "
        f"{places[-1].parent} can be written ({problem}); set XDG_CACHE_HOME to a folder that can"
    )


def key_of(checkpoint: Checkpoint, precision: str) -> bytes:
    digest = hashlib.sha256(f"{checkpoint.fingerprint} {precision}".encode())
    for name in EXPORTER:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.digest()


def candidates(folder: Path, checkpoint: Checkpoint, precision: str) -> Iterator[Path]:
    yield folder / FOLDER / f"{precision}.tflite"
    cache = platformdirs.user_cache_path("gpt2-sampler")
    yield cache / FOLDER / checkpoint.fingerprint[:16] / f"{precision}.tflite"


def is_current(path: Path, key: bytes) -> bool:
    """Whether the file was made of this checkpoint by this exporter, and is undamaged."""
    try:
        data = np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError):  # not there, empty
        return False
    content, stored_key, stored_crc = np.split(data, [-KEY_SIZE - CRC_SIZE, -CRC_SIZE])
    if stored_key.tobytes() != key:
        return False
    if crc32c(content) == int.from_bytes(stored_crc.tobytes(), "little"):
        return True
    log.warning("%s is damaged; it is made again", path)
    return False


def write(path: Path, checkpoint: Checkpoint, precision: str, key: bytes) -> None:
    """Under a temporary name first. Raises OSError."""
    from gpt2_sampler.engines.litert.graph import build

    size = 4 * sum(map(math.prod, checkpoint.hparams.variable_shapes().values()))
    level = logging.INFO if size > NOTICEABLE else logging.DEBUG
    log.log(level, "preparing the model for this machine, once (%s) ...", precision)
    started = time.monotonic()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".making-", suffix=".tflite")
    try:
        with os.fdopen(handle, "w+b") as file:
            build(checkpoint, checkpoint.hparams, precision).write(file)
            file.flush()
            crc = crc32c(np.memmap(temporary, np.uint8, mode="r"))
            file.write(key + crc.to_bytes(CRC_SIZE, "little"))
        Path(temporary).chmod(0o644)  # mkstemp's files are the owner's alone
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    log.log(level, "prepared in %.1f s", time.monotonic() - started)
