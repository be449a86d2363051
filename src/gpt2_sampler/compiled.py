"""What was compiled from C when the package was installed: its libraries, and what they take."""

from __future__ import annotations

import ctypes
import importlib.machinery
import logging
from pathlib import Path
from typing import Any

import numpy.typing as npt

log = logging.getLogger(__name__)


def address(numbers: npt.NDArray[Any]) -> int:
    """Where an array's memory begins; its ctypes.data takes three times as long to say so."""
    where: int = numbers.__array_interface__["data"][0]
    return where


def load_library(folder: Path, name: str) -> ctypes.CDLL | None:
    """The library in a package's folder, if the installation has one that can be loaded: without a
    C compiler it has none."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.exists():
            try:
                return ctypes.CDLL(str(path))
            except OSError as error:
                log.debug("%s cannot be loaded (%s)", path, error)
    return None
