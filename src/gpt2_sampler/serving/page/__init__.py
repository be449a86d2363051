"""The page to play on -> its files, as a server answers them. Knows no server and no model."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
SHARED = "paint.css", "paint.js"
"""Files of seeing, which the page of gpt2-score has too."""
INDEX = "index.html"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy that the page is written for."""


class File(NamedTuple):
    kind: str
    """Its Content-Type."""
    content: bytes


def page_files() -> Mapping[str, File]:
    """Each file of the page by its name: index.html is answered at /, the others at page/NAME
    beside it."""
    own = files(__name__)
    found = [entry for entry in own.iterdir() if entry.name.rpartition(".")[2] in TYPES]
    found += [files("gpt2_sampler.seeing").joinpath(name) for name in SHARED]
    return {
        entry.name: File(
            f"{TYPES[entry.name.rpartition('.')[2]]}; charset=utf-8", entry.read_bytes()
        )
        for entry in found
    }
