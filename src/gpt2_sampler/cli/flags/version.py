"""The version of the package and, for bug reports, of Python and the packages it builds on."""

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
        from gpt2_sampler.engines.litert.attention import implementation

        lines += [
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.platform()}, {platform.processor() or platform.machine()}",
            f"attention by {implementation()}",
            *(f"{package} {version_of(package) or 'is not installed'}" for package in PACKAGES),
        ]
    return "\n".join(lines)


def version_of(package: str) -> str | None:
    """None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
