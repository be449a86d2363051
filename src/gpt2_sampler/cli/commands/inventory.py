"""The models on this machine -> a table of them, or what is right and wrong with their files.

Knows no network.
"""

from __future__ import annotations

from pathlib import Path

from gpt2_sampler.cli.session.terminal import show
from gpt2_sampler.engines.load import PRECISIONS
from gpt2_sampler.engines.memory import memory_needed, size
from gpt2_sampler.errors import DownloadError, UsageError
from gpt2_sampler.fetching.fetch_model import overview
from gpt2_sampler.fetching.released import download_size
from gpt2_sampler.fetching.verify import verify
from gpt2_sampler.registry import (
    BUNDLED,
    bundled_folder,
    find_model,
    model_folders,
    models_folder,
)
from gpt2_sampler.weights.checkpoint import holds_model
from gpt2_sampler.weights.hparams import HParams, load_hparams

HEADS = ("name", "parameters", "download", *(f"memory {p}" for p in PRECISIONS), "here")


def show_list(models_dir: str | None) -> None:
    """Prints OpenAI's models and the bundled ones."""
    show_row(HEADS)
    for found in overview(models_dir):
        state = str(found.folder or "no")
        if found.folder and found.right < found.needed:
            state += f", not whole: {found.right} of {found.needed} files"
        download = size(download_size(found.model.names[0]))
        show_model(" = ".join(found.model.names), HParams(**found.model.shape), download, state)
    for name in BUNDLED:
        if (folder := bundled_folder(name)).is_dir():
            show_model(name, load_hparams(folder), "-", f"{folder}, bundled")


def show_model(name: str, hparams: HParams, download: str, state: str) -> None:
    memory = (size(memory_needed(hparams, p, rows=1, tokens=hparams.n_ctx)) for p in PRECISIONS)
    show_row((name, f"{hparams.n_parameters:,}", download, *memory, state))


def show_row(cells: tuple[str, ...]) -> None:
    name, *numbers, state = cells
    show(f"{name:12}{''.join(f' {number:>14}' for number in numbers)}   {state}\n")


def show_verified(name: str | None, models_dir: str | None) -> None:
    """Prints the state of every file of the model, or of all models. Raises DownloadError if one
    is missing or damaged."""
    if name is not None:
        paths = [find_model(name, models_dir)]
    else:
        paths = [path for path in model_folders(models_dir) if holds_model(path)]
    if not paths:
        raise UsageError(f"there is no model in {models_folder(models_dir)}")
    broken: dict[Path, Path] = {}
    for path in paths:
        for file, (right, state) in verify(path, models_dir).items():
            show(f"{file}: {state}\n")
            if not right:
                broken.setdefault(path if path.is_dir() else path.parent, file)
    if broken:
        folders = ", ".join(map(str, broken))
        raise DownloadError(f"not whole: {folders}", file=next(iter(broken.values())))
