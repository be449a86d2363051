"""Lets a mapped file that is shortened while it is read end in one line, where bus_error.c could be
compiled. Elsewhere the system ends the process."""

from __future__ import annotations

from pathlib import Path

from gpt2_sampler.compiled import compiled


def handle_bus_errors() -> None:
    library = compiled(Path(__file__).parent, "_bus_error")
    if library is not None and hasattr(library, "handle_bus_errors"):
        library.handle_bus_errors()
