"""A model's name -> what OpenAI released under it, and its folder on this machine.

Knows names, shapes and folders, but not their content.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import own_folder, user_path

DEMO, DEMO_ZH = BUNDLED = "demo", "demo-zh"
"""The models that come with a checkout, for English and for Chinese. A wheel has the first, the
second is in a wheel of its own, which puts it into the installed package."""
DEFAULT = "117M"
DEEPEST = 8  # folders in folders in the models folder
HUB = "hf:"
"""The prefix of a model on a Hugging Face hub, OWNER/NAME, which is also its folder's name."""


@dataclasses.dataclass(frozen=True)
class Released:
    """A model that OpenAI released. OpenAI's server has it under the last of its names; shape has
    the keys of hparams.json."""

    names: tuple[str, ...]
    shape: Mapping[str, Any]


def shape(n_embd: int, n_head: int, n_layer: int) -> dict[str, Any]:
    return {"n_vocab": 50257, "n_ctx": 1024, "n_embd": n_embd, "n_head": n_head, "n_layer": n_layer}


RELEASED: Mapping[str, Released] = {
    model.names[0]: model
    for model in (
        Released(("117M", "124M"), shape(768, 12, 12)),
        Released(("345M", "355M"), shape(1024, 16, 24)),
        Released(("774M",), shape(1280, 20, 36)),
        Released(("1558M",), shape(1600, 25, 48)),
    )
}
"""By the main name, the first of names."""


KNOWN_AS: Mapping[str, str] = {
    "gpt2": "117M",
    "gpt2-medium": "345M",
    "gpt2-large": "774M",
    "gpt2-xl": "1558M",
    "distilgpt2": f"{HUB}distilbert/distilgpt2",
}
"""The names that transformers has for models, of which OpenAI's are also openai-community's."""
OPENAI = "openai-community/"
OF_A_HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""OWNER/NAME, which may also be a path."""
FROM_HERE = re.compile(r"\.\.?([/\\].*)?", re.DOTALL)
"""Paths that begin in the current folder or above it, and are no names."""


def known_as(name: str) -> str:
    """The name that a model is downloaded by; the same one unless transformers has another."""
    plain = name.lower()
    found = KNOWN_AS.get(plain.removeprefix(HUB)) or KNOWN_AS.get(plain.removeprefix(OPENAI))
    return found or name


def canonical(name: str) -> str | None:
    """The main name of a released model ("124m" -> "117M"), None for any other name."""
    for main, model in RELEASED.items():
        if name.upper() in model.names:
            return main
    return None


def aliases(name: str) -> tuple[str, ...]:
    """All names of the same weights, the main one first; only the name itself if not released."""
    main = canonical(name)
    return RELEASED[main].names if main else (name,)


def models_folder(models_dir: str | None = None) -> Path:
    """Where models are kept: the folder asked for, else ./models if it exists, else the checkout's,
    else one in the user's data folder, else ./models."""
    if models_dir is not None:
        return user_path(models_dir)
    here, sources = Path("models"), checkout()
    if here.is_dir() or sources is not None:
        return here if here.is_dir() or sources is None else sources / "models"
    try:
        return own_folder("data") / "models"
    except UsageError:  # a container's user without a home
        return here


def checkout() -> Path | None:
    """The folder with the scripts, if the package runs from its sources."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "download_model.py").is_file() else None


def bundled_folder(name: str) -> Path:
    """The folder of a bundled model: part of the installed package, or in the checkout's models."""
    package = Path(__file__).resolve().parent
    installed = package / name.replace("-", "_")
    return installed if installed.is_dir() else package.parents[1] / "models" / name


def find_model(name: str, models_dir: str | None = None) -> Path:
    """The folder of the model of that name. Either of two names of the same weights will do.
    A name can also be a path: of a folder, or of one checkpoint in it.

    Raises UsageError if there is none, with the fact that it can be fetched, if it can.
    """
    models, source = models_folder(models_dir), known_as(name)
    path = user_path(name) if name and not name.startswith(HUB) else None
    for candidate in (name, *aliases(source)):
        folder = models / candidate.removeprefix(HUB)
        if name and not FROM_HERE.fullmatch(name) and folder.is_dir():
            return folder
    if name in BUNDLED and bundled_folder(name).is_dir():
        return bundled_folder(name)
    if name in BUNDLED:
        package = f"gpt2-sampler-{name}"
        raise UsageError(f"{name} is in a package of its own, {package}", package=package)
    if path and (os.path.exists(path) or os.path.exists(f"{path}.index")):  # noqa: PTH110, may raise
        return path
    missing = f"there is no model {name!r} in {models}"
    if canonical(source) or source.startswith(HUB):
        raise UsageError(missing, fetch=(source, models_dir))
    if OF_A_HUB.fullmatch(name) and not Path(name).parent.exists():
        raise UsageError(f"{missing} and no such path", hub=(HUB + name, models_dir))
    here = {*BUNDLED, *(path.name for path in folders_in(models))}
    if near := difflib.get_close_matches(name, here | {*RELEASED}, n=1):
        raise UsageError(f"{missing}; did you mean {near[0]}?")
    others = ", ".join(sorted({*RELEASED} - here))
    raise UsageError(
        f"{missing}; here are {', '.join(sorted(here))}"
        + f", to be downloaded {others}" * bool(others)
    )


def find_default(models_dir: str | None = None) -> Path:
    """The model to use if none was named: DEFAULT if it is here, else the bundled English one."""
    try:
        return find_model(DEFAULT, models_dir)
    except UsageError:
        return find_model(DEMO, models_dir)


def model_folders(models_dir: str | None = None) -> list[Path]:
    """Where models may be: the folders in the models folder, and the folders in those, since models
    of a hub are named OWNER/NAME, and those in OWNER/NAME@REVISION, as in NAME@refs/pr/1."""
    models = models_folder(models_dir)
    found = [folder for owner in folders_in(models) for folder in (owner, *folders_in(owner))]
    for folder in found:
        parts = folder.relative_to(models).parts
        if len(parts) in range(2, DEEPEST) and "@" in parts[1]:
            found += folders_in(folder)
    return found


def base_folders(model: Path, models_dir: str | None = None) -> Iterator[Path]:
    """The models that the fine-tuned one at this path may have started from: those where models are
    kept, and those in a folder called models near it.

    Released names come first, as other folders may be fine-tuned models with vocabularies of their
    own.
    """
    folder = (model if model.is_dir() else model.parent).resolve()
    near = [parent / "models" for parent in (folder, *folder.parents[:3])]
    released = {name for one in RELEASED.values() for name in one.names}
    for models in (models_folder(models_dir), *near):
        yield from sorted(folders_in(models), key=lambda folder: folder.name not in released)


def folders_in(folder: Path) -> list[Path]:
    """Sorted by name, without hidden ones, such as a folder that is being written."""
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())
