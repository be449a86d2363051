"""The digest of a model's files, remembered until one of them changes: of most formats it takes
reading them whole, which for a large model takes longer than starting it.

Knows no format.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import SamplerError, UsageError
from gpt2_sampler.files import own_folder
from gpt2_sampler.weights.format import Tensors
from gpt2_sampler.writing import write_whole

FOLDER = "digests"  # of notes, in the user's cache
SETTLED = 3.0
"""Seconds since the last change: files may change twice within a tick of their system's clock."""

DIGEST_SIZE = hashlib.sha256().digest_size
State = list[list[int]]


def find_digest(tensors: Tensors) -> bytes:
    """What tensors.digest() gives, or gave when the files were what they are now."""
    if tensors.checksums or not tensors.files:
        return tensors.digest()  # at once
    if os.name != "posix":  # where a change can keep all of a file's times
        return tensors.digest()
    try:
        note, state = note_of(tensors), state_of(tensors)
    except (OSError, UsageError):
        return tensors.digest()
    known = read_note(note)
    if known.get("state") == state:
        return bytes.fromhex(known["digest"])
    digest = tensors.digest()
    with contextlib.suppress(OSError, SamplerError):
        if has_settled(state) and state == state_of(tensors):
            remember(note, tensors, state, digest)
    return digest


def note_of(tensors: Tensors) -> Path:
    paths = "\n".join(os.path.realpath(path) for path in tensors.files)
    return own_folder("cache") / FOLDER / f"{hashlib.sha256(os.fsencode(paths)).hexdigest()}.json"


def state_of(tensors: Tensors) -> State:
    """What every change of a file changes; nobody can set the last of it."""
    states = (path.stat() for path in tensors.files)
    return [[s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for s in states]


def has_settled(state: State) -> bool:
    return all(time.time_ns() - changed > SETTLED * 1e9 for *_, changed in state)


def read_note(path: Path) -> dict[str, Any]:
    """Empty where there is none, or it is damaged."""
    try:
        note = json.loads(path.read_bytes())
        whole = len(bytes.fromhex(note["digest"])) == DIGEST_SIZE
        return note if whole and all(map(Path, note["files"])) else {}
    except (OSError, LookupError, TypeError, ValueError):
        return {}


def remember(path: Path, tensors: Tensors, state: State, digest: bytes) -> None:
    """Writes the note, and removes those of models that are gone. Raises OSError, SamplerError."""
    files = [os.path.realpath(file) for file in tensors.files]
    note = {"files": files, "state": state, "digest": digest.hex()}
    with write_whole(path) as new:
        new.write_text(json.dumps(note), encoding="ascii")
    for other in path.parent.glob("*.json"):
        if not all(Path(file).exists() for file in read_note(other).get("files", [""])):
            other.unlink(missing_ok=True)
