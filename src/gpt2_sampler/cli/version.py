"""What runs here -> its version and, for a report of a fault, those of what it stands on."""

from __future__ import annotations

import platform
from importlib import metadata

from gpt2_sampler import __version__

PACKAGES = (
    *("ai-edge-litert", "tensorflow", "numpy", "regex", "tokenizers", "fire", "prompt_toolkit"),
    *("requests", "urllib3", "filelock"),
)


def version_text(details: bool) -> str:
    lines = [f"gpt2-sampler {__version__}"]
    if details:
        lines += [
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.platform()}, {platform.processor() or platform.machine()}",
            *(f"{package} {version_of(package)}" for package in PACKAGES),
        ]
    return "\n".join(lines)


def version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"
