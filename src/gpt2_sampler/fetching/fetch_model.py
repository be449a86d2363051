"""A GPT-2's name -> its folder under models, complete and checked.

Knows what belongs to a model, but not how a file is fetched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpt2_sampler.errors import UsageError
from gpt2_sampler.fetching import hub, released
from gpt2_sampler.fetching.address import below, hide_secrets, origin
from gpt2_sampler.fetching.checks import CHECKS, check_of
from gpt2_sampler.fetching.client import NETWORK, Network
from gpt2_sampler.fetching.fetch_folder import SILENT, Watch, fault, fetch_folder
from gpt2_sampler.fetching.filespec import FileSpec, problem
from gpt2_sampler.fetching.import_folder import import_folder
from gpt2_sampler.fetching.released import files_of
from gpt2_sampler.fetching.trouble import DiskError
from gpt2_sampler.files import user_path
from gpt2_sampler.registry import (
    HUB,
    OF_A_HUB,
    RELEASED,
    Released,
    aliases,
    canonical,
    known_as,
    models_folder,
)
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.writing import writing

BASE_URL_VARIABLE = "GPT2_SAMPLER_BASE_URL"


def download(
    name: str,
    models_dir: str | None = None,
    base_urls: Sequence[str] = (),
    network: Network = NETWORK,
    watch: Watch = SILENT,
) -> Path:
    """Fetches a model to models/NAME -> its folder, or that of an alias which is already complete.

    hf:OWNER/NAME is fetched from a Hugging Face hub to models/OWNER/NAME. Any other name that is
    not OpenAI's is looked for where base_urls or the environment say. Raises UsageError for an
    impossible name or address, DownloadError for everything else.
    """
    bases = base_urls_of(base_urls)
    own = bases != [released.BASE_URL]
    name = name if own else known_as(name)
    if name.startswith(HUB):
        return download_from_hub(name, models_dir, base_urls, network, watch)
    name = folder_name(name, own)
    folder, files = user_path(models_folder(models_dir) / name), files_of(name)
    if whole := whole_folder(name, folder.parent, watch):
        return whole
    sources = [below(base, alias) for base in bases for alias in reversed(aliases(name))]
    watch.say(f"fetching {name} from {hide_secrets(bases[0])} into {folder}")
    with filling(folder):
        fetch_folder(folder, files, sources, checks=CHECKS, network=network, watch=watch)
    return folder


def download_from_hub(
    name: str, models_dir: str | None, base_urls: Sequence[str], network: Network, watch: Watch
) -> Path:
    plan = hub.plan(name, base_urls_of(base_urls) if base_urls else [], network, watch.say)
    folder = user_path(models_folder(models_dir) / plan.folder)
    watch.say(f"fetching {name} from {hide_secrets(plan.source)} into {folder}")
    with filling(folder):
        fetch_folder(
            folder,
            plan.files,
            [plan.source],
            checks={file.name: check_of(file) for file in plan.files},
            network=plan.network,
            watch=watch,
        )
    return folder


def import_files(
    name: str, origin: str, models_dir: str | None = None, watch: Watch = SILENT
) -> Path:
    """The same, with files that were downloaded by hand into the folder origin."""
    name = folder_name(name, own=True)
    source, folder = user_path(origin), user_path(models_folder(models_dir) / name)
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder to take files from")
    if whole := whole_folder(name, folder.parent, watch):
        return whole
    with filling(folder):
        import_folder(folder, files_of(name), source, CHECKS, watch)
    return folder


@contextlib.contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Around whatever brings the files. Raises DiskError if they cannot be written, CheckpointError
    if they do not make a model together."""
    with writing(folder, DiskError):
        yield
    open_checkpoint(folder)


def folder_name(name: str, own: bool) -> str:
    """The name of the model's folder. Raises UsageError for a model that is not known, unless it is
    somebody's own."""
    if canonical(name):
        return name.upper()
    if own and re.fullmatch(r"\w[\w.-]{,199}", name):
        return name
    raise UsageError(
        f"{explain_unknown(name)}; one of your own must be told where it is",
        change=["base_url", "from"],
    )


def explain_unknown(name: str) -> str:
    names = [alias for model in RELEASED.values() for alias in model.names]
    near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.5)
    near = [HUB + name] if OF_A_HUB.fullmatch(name) else near
    hint = f" (did you mean {near[0]}?)" if near else ""
    known = ", ".join(" = ".join(model.names) for model in RELEASED.values())
    return f"{hide_secrets(name)!r:.80} is not a released model{hint}; there are {known}"


def base_urls_of(asked: Sequence[str]) -> list[str]:
    """The base URLs. Each value, and the environment variable, may have several with commas."""
    texts = asked or [os.environ.get(BASE_URL_VARIABLE) or released.BASE_URL]
    bases = [url.strip(" ,") for text in texts for url in re.split(r",(?=\s*\w+://)", text)]
    for url in bases:
        try:
            origin(url)
        except ValueError:
            raise UsageError(
                f"a base URL is written https://HOST/FOLDER, not {hide_secrets(url)!r}"
            ) from None
    return bases


def whole_folder(name: str, models: Path, watch: Watch) -> Path | None:
    """The folder of this name, or of an alias, in which every file is right, if there is one."""
    for alias in dict.fromkeys((name, *aliases(name))):
        folder = models / alias
        if not any(faults(folder, files_of(name)).values()):
            watch.say(f"{name} is already here, whole: {folder}")
            return folder
    return None


def faults(folder: Path, files: Sequence[FileSpec]) -> dict[str, str | None]:
    """What is wrong with each file on disk, None if nothing. Reads every byte."""
    found = [(spec, fault(folder / spec.name, spec, CHECKS)) for spec in files]
    return {spec.name: wrong for spec, wrong in found if wrong is None or spec.matters(wrong)}


@dataclasses.dataclass(frozen=True)
class Overview:
    """A released model, its folder if it has one, and how many of the files needed are there."""

    model: Released
    folder: Path | None
    right: int
    needed: int


def overview(models_dir: str | None = None) -> Iterator[Overview]:
    """Looks at sizes only: a name is given to what was checked."""
    models = models_folder(models_dir)
    for main, model in RELEASED.items():
        needed = [spec for spec in files_of(main) if not spec.optional]
        found = {
            models / name: sum(
                problem(models / name / spec.name, spec, contents=False) is None for spec in needed
            )
            for name in model.names
        }
        folder = max(found, key=lambda path: found[path])
        yield Overview(model, folder if folder.is_dir() else None, found[folder], len(needed))
