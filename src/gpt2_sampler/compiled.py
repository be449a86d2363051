"""A name -> the library of that name that was compiled from C when the package was installed."""

from __future__ import annotations

import ctypes
import importlib.machinery
import logging
from pathlib import Path

log = logging.getLogger(__name__)


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
