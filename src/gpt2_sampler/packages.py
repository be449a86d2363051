"""The name of a package that not every installation has -> whether it is there. Imports none."""

from __future__ import annotations

import importlib.util

from gpt2_sampler.errors import SamplerError


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def require(package: str, purpose: str, error: type[SamplerError] = SamplerError) -> None:
    """Raises error, with the package as a fact, unless it is installed. The purpose begins the
    message.

    >>> require("matplotlib", "a picture needs")
    """
    if not is_installed(package):
        raise error(f"{purpose} {package}, which is not installed", package=package)
