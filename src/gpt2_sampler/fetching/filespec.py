"""What is known about a file -> what is wrong with the one on disk.

Knows neither models nor networks.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from pathlib import Path

from gpt2_sampler.files import LIMIT

CHUNK = 1 << 20  # bytes
MISSING = "missing"


@dataclasses.dataclass(frozen=True)
class Version:
    """One valid content of a file: its size in bytes and, if known, its SHA-256."""

    size: int
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class FileSpec:
    """A file's name, relative to its folder, and its valid contents; none if they are not known.

    An optional file is fetched if a source has it, and may be missing. Only a large one may have
    more than LIMIT bytes where its size is not known, and only as many as its server announces.
    """

    name: str
    versions: tuple[Version, ...] = ()
    optional: bool = False
    large: bool = False

    @property
    def has_sha256(self) -> bool:
        """Whether its SHA-256 is known."""
        return bool(self.versions) and all(version.sha256 for version in self.versions)

    def matters(self, wrong: str | None) -> bool:
        """Whether what problem() found is a fault: an optional file may be missing."""
        return wrong is not None and not (self.optional and wrong == MISSING)

    def size_problem(self, size: int) -> str | None:
        sizes = [version.size for version in self.versions]
        if size in sizes or (not sizes and size <= self.most(size)):
            return None
        right = " or ".join(f"{right:,}" for right in sizes) or f"at most {LIMIT:,}"
        return f"{size:,} bytes, not {right}"

    def most(self, announced: int | None) -> int:
        """How many bytes to take at most from a server that announces so many, if any number."""
        if self.versions:
            return max(version.size for version in self.versions)
        return announced if self.large and announced is not None else LIMIT

    def sha256_problem(self, sha256: str) -> str | None:
        if not self.has_sha256 or sha256 in {version.sha256 for version in self.versions}:
            return None
        return f"SHA-256 {sha256[:12]}…, not {(self.versions[0].sha256 or '')[:12]}…"


def problem(path: Path, spec: FileSpec, *, contents: bool = True) -> str | None:
    """What is wrong with the file at path: MISSING, its size, its SHA-256; None if nothing.

    Without contents only the size is checked. Raises OSError if the file cannot be read.
    """
    if not path.is_file():
        return MISSING
    wrong_size = spec.size_problem(path.stat().st_size)
    if wrong_size or not contents or not spec.has_sha256:
        return wrong_size
    return spec.sha256_problem(sha256_of(path))


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Digest:
    """The checksum to compare, if there is one (SHA-256 or MD5), fed with the file in order."""

    def __init__(self, spec: FileSpec, md5: str | None) -> None:
        self.name = "sha256" if spec.has_sha256 else "md5" if md5 else None
        self.hash = hashlib.new(self.name, usedforsecurity=False) if self.name else None
        self.at = 0  # bytes

    def update(self, data: bytes) -> None:
        self.at += len(data)
        if self.hash:
            self.hash.update(data)

    def hex(self) -> str:
        return self.hash.hexdigest() if self.hash else ""

    def base64(self) -> str:
        return base64.b64encode(self.hash.digest()).decode() if self.hash else ""
