"""The version of the package and, for bug reports, of Python and the packages it builds on."""

from __future__ import annotations

import platform
import re

from gpt2_sampler import __version__

PACKAGES = (
    *("ai-edge-litert", "tensorflow", "numpy", "regex", "tokenizers", "fire", "prompt_toolkit"),
    *("requests", "urllib3", "filelock"),
)


def version_text(details: bool) -> str:
    here = extras()
    lines = [f"gpt2-sampler {__version__}" + f", with {', '.join(here)}" * bool(here)]
    if details:
        from gpt2_sampler.engines.litert.attention import implementation

        lines += [
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.platform()}, {platform.processor() or platform.machine()}",
            f"attention by {implementation()}",
            *(f"{package} {version_of(package) or 'is not installed'}" for package in PACKAGES),
        ]
    return "\n".join(lines)


def extras() -> list[str]:
    """The extras of the package, all of whose packages are installed."""
    wanted: dict[str, list[str]] = {}
    for requirement in requirements():
        if found := re.match(r"([\w.-]+).*\bextra == ['\"]([\w-]+)", requirement):
            wanted.setdefault(found[2], []).append(found[1])
    return [extra for extra, packages in wanted.items() if all(map(version_of, packages))]


def requirements() -> list[str]:
    from importlib import metadata  # takes as long to import as many commands take to start

    try:
        return metadata.requires("gpt2-sampler") or []
    except metadata.PackageNotFoundError:  # run from a checkout
        return []


def version_of(package: str) -> str | None:
    """None if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
