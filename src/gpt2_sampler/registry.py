"""A model's name -> its folder. Knows names and folders, not what is in them."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import platformdirs

from gpt2_sampler.errors import UsageError
from gpt2_sampler.fetching.released import DEFAULT, RELEASED, aliases, canonical

DEMO = "demo"
HUB = "hf:"
"""Before the name of a model on a Hugging Face hub, OWNER/NAME; its folder is named so too."""


def models_folder(models_dir: str | None = None) -> Path:
    """Where models are kept: the one asked for, else ./models where that exists, else a folder
    in the user's data folder."""
    if models_dir is not None:
        return Path(models_dir).expanduser()
    here = Path("models")
    return here if here.is_dir() else platformdirs.user_data_path("gpt2-sampler") / "models"


def demo_folder() -> Path:
    """The bundled model: part of the installed package, or models/demo of the checkout."""
    package = Path(__file__).resolve().parent
    installed = package / DEMO
    return installed if installed.is_dir() else package.parents[1] / "models" / DEMO


def find_model(name: str, models_dir: str | None = None) -> Path:
    """The folder of the model of that name. Either of two names of the same weights will do.
    A name can also be a path: of a folder, or of one checkpoint in it.

    Raises UsageError that says how to get the model where it is not there.
    """
    models = models_folder(models_dir)
    folder_name = name.removeprefix(HUB)
    for candidate in (folder_name, *aliases(name)):
        if name and (models / candidate).is_dir():
            return models / candidate
    if name == DEMO:
        return demo_folder()
    path = Path(name).expanduser()
    if name and (path.exists() or path.with_name(f"{path.name}.index").exists()):
        return path
    known = {DEMO, *RELEASED, *(path.name for path in models.glob("*") if path.is_dir())}
    if canonical(name) or name.startswith(HUB):
        remedy = f"download it with: {download_command(name)}"
        if models_dir is not None:
            remedy += f" --models_dir {models_dir}"
    elif near := difflib.get_close_matches(name, known, n=1):
        remedy = f"did you mean {near[0]}?"
    else:
        remedy = f"there are {', '.join(sorted(known))}"
    raise UsageError(f"there is no model {name!r} in {models}; {remedy}")


def find_default(models_dir: str | None = None) -> tuple[Path, str | None]:
    """The model for who named none: 117M where it is, else the bundled one, with a notice."""
    try:
        return find_model(DEFAULT, models_dir), None
    except UsageError:
        notice = f"{DEFAULT} is not here, so the small demo model writes; for {DEFAULT} run: "
        return find_model(DEMO, models_dir), notice + download_command(DEFAULT)


def download_command(name: str) -> str:
    """What to type, from a checkout or an installation."""
    from_checkout = sys.argv[0].endswith(".py")
    return f"{'python3 download_model.py' if from_checkout else 'gpt2-download'} {name}"
