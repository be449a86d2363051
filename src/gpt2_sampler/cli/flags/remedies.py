"""An error's facts -> what to type, in one line. Knows the flags, not what went wrong."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import SamplerError
from gpt2_sampler.files import WINDOWS, quote
from gpt2_sampler.registry import canonical, checkout, models_folder

SCRIPTS = {
    "gpt2-conditional": "src/generate_conditional_samples.py",
    "gpt2-download": "download_model.py",
    "gpt2-interactive": "src/interactive_conditional_samples.py",
}
CHANGES = {
    "base_url": "say where it is with --base_url URL",
    "batch_size": "try a smaller --batch_size",
    "checkpoint": "leave --checkpoint out",
    "device": "try --device cpu",
    "from": "take files that are on this machine with --from DIR",
    "length": "try a shorter --length",
    "output": "choose another --output, or the same settings",
    "port": "choose another --port; 0 takes one that is free",
    "precision": "try --precision int8",
}
"""How to change a setting, by its name."""


def describe(error: SamplerError) -> str:
    """The error's message and what to type, if anything helps."""
    words: dict[str, Callable[[Any], str]] = {
        "fits": lambda fits: f"what fits: {flags(fits)}",
        "change": lambda names: "; ".join(CHANGES[name] for name in names),
        "fetch": lambda fetch: f"download it with: {download(*fetch)}",
        "hub": lambda fetch: f"from a Hugging Face hub: {download(*fetch)}",
        "file": fetch_again,
        "package": lambda package: f"type: {install(package)}",
    }
    remedies = [words[fact](value) for fact, value in error.facts.items() if fact in words]
    return "; ".join([str(error), *filter(None, remedies)])


def flags(settings: Mapping[str, object]) -> str:
    return " ".join(f"--{name} {quote(str(value))}" for name, value in settings.items())


def command(program: str, *words: str) -> str:
    """A command line that can be pasted into the shell that started this program."""
    return " ".join(map(quote, [*launcher(program), *words]))


def launcher(program: str) -> list[str]:
    """How to start another program: as a script of the checkout if this one is such a script; else
    by its name, or by its path if the shell does not find it."""
    sources = checkout()
    beside = Path(sys.argv[0]).with_name(f"{program}.exe" if WINDOWS else program)
    if sources is not None and sys.argv[0].endswith(".py"):
        return [interpreter(), nearest(sources / SCRIPTS[program])]
    return [program if shutil.which(program) or not beside.is_file() else nearest(beside)]


def interpreter() -> str:
    """What to type for the Python that runs; another one would not have its packages."""
    names = ("python3", "python")
    ours = Path(sys.executable)
    return next((name for name in names if Path(shutil.which(name) or "") == ours), nearest(ours))


def nearest(path: Path) -> str:
    """The relative path, or the absolute one if that is shorter or the only one."""
    whole = str(path.absolute())
    with contextlib.suppress(ValueError):  # another drive
        return min(os.path.relpath(whole), whole, key=len)
    return whole


def download(name: str, models_dir: str | None) -> str:
    where = [] if models_dir is None else ["--models_dir", models_dir]
    return command("gpt2-download", name, *where)


def install(*words: str) -> str:
    """How to install packages for the Python that runs, whichever pip the shell would find; uv's
    environments have none."""
    python, has_pip = interpreter(), importlib.util.find_spec("pip")
    pip = [python, "-m", "pip", "install"] if has_pip else ["uv", "pip", "install", "-p", python]
    return " ".join(map(quote, [*pip, *words]))


def fetch_again(file: Path) -> str:
    """How to fetch a file again, if its folder's name is that of a released model."""
    name = file.parent.name
    if not canonical(name):
        return ""
    models = file.parent.parent
    where = None if models == models_folder() else str(models)
    return f"{download(name, where)} fetches what is missing or damaged"
