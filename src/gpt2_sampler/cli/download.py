"""A model's name -> its files on this machine: the command gpt2-download."""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gpt2_sampler.cli import terminal
from gpt2_sampler.cli.flags import flag, parse
from gpt2_sampler.cli.remedies import command
from gpt2_sampler.engines.load import PRECISIONS
from gpt2_sampler.engines.memory import needed, size
from gpt2_sampler.errors import DownloadError, UsageError
from gpt2_sampler.fetching.client import SourceError, Trouble
from gpt2_sampler.fetching.fetch_folder import DiskError, Watch
from gpt2_sampler.fetching.fetch_model import (
    BASE_URL_VARIABLE,
    download,
    import_files,
    overview,
    unknown,
)
from gpt2_sampler.fetching.released import download_size
from gpt2_sampler.fetching.verify import verify
from gpt2_sampler.registry import (
    BUNDLED,
    DEFAULT,
    HUB,
    bundled_folder,
    canonical,
    find_model,
    model_folders,
    models_folder,
)
from gpt2_sampler.weights.checkpoint import holds_model, open_checkpoint
from gpt2_sampler.weights.hparams import HParams, load_hparams


@dataclasses.dataclass(frozen=True)
class DownloadSettings:
    """Fetches a GPT-2 model and checks every byte. Without a name: 117M.

    Known are 117M (also called 124M), 345M (355M), 774M and 1558M; hf:OWNER/NAME[@REVISION] is a
    model of a Hugging Face hub, for which HF_ENDPOINT and HF_TOKEN are obeyed. What an interrupted
    run has fetched is kept. Proxies are taken from HTTPS_PROXY.
    """

    name: str | None = flag(None, "the model, also without --name", "NAME")
    list: bool = flag(
        False,
        "show on stdout the models there are, which are here, and the memory that writing one text "
        "of full length takes on a CPU",
    )
    verify: bool = flag(False, "read every byte of NAME, or of every model that is here")
    models_dir: str | None = flag(
        None, "where models are; without it ./models, or else your data folder", "DIR"
    )
    base_url: tuple[str, ...] = flag(
        (),
        "fetch URL/NAME/FILE; several, tried in order, by repeating it or with commas; also the "
        f"environment variable {BASE_URL_VARIABLE}",
        "URL",
    )
    from_dir: str | None = flag(
        None, "or --from: fetch nothing, take files that were fetched by hand into DIR", "DIR"
    )
    quiet: bool = flag(False, "no progress bar and no notices")
    no_export: bool = flag(False, "do not prepare the model for this machine afterwards")

    def __post_init__(self) -> None:
        if self.list and (self.verify or self.from_dir):
            raise UsageError("--list takes neither --verify nor --from")
        if self.verify and self.from_dir:
            raise UsageError("--verify and --from exclude each other; --from verifies too")


class Bar(Watch):
    """One progress bar for all files, where stderr is a terminal; lines above it."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.bar: tqdm | None = None

    def say(self, line: str) -> None:
        if not self.quiet:
            with tqdm.external_write_mode(file=sys.stderr):
                terminal.notice(line)

    def start(self, total: int, done: int) -> None:
        self.bar = tqdm(
            total=total,
            initial=done,
            unit="B",
            unit_scale=True,
            disable=True if self.quiet else None,
            file=sys.stderr,
        )

    def moved(self, done: int) -> None:
        if self.bar is not None and not self.bar.disable:
            self.bar.update(done - self.bar.n)

    def finish(self) -> None:
        if self.bar is not None:
            self.bar.close()


def run(argv: Sequence[str], program: str) -> None:
    words = [re.sub(r"^--from(?==|$)", "--from_dir", word) for word in argv]
    settings = parse(DownloadSettings, words, program, positional="name")
    if settings.list:
        show_list(settings)
    elif settings.verify:
        show_verified(settings)
    else:
        bring(settings)


def bring(settings: DownloadSettings) -> None:
    if settings.quiet:
        logging.getLogger("gpt2_sampler").setLevel(logging.WARNING)
    bar, name = Bar(settings.quiet), settings.name or DEFAULT
    try:
        if settings.from_dir:
            folder = import_files(name, settings.from_dir, settings.models_dir, bar)
        else:
            folder = download(name, settings.models_dir, settings.base_url, watch=bar)
    except (SourceError, DiskError) as error:
        raise DownloadError(f"{error}{remedy(error.trouble, name)}") from None
    except (KeyboardInterrupt, SystemExit):
        terminal.notice("stopped; what is here is kept, the same command goes on from there")
        raise
    if not settings.no_export:
        export(folder)
    name = folder.relative_to(models_folder(settings.models_dir)).as_posix()
    where = ["--models_dir", settings.models_dir] if settings.models_dir else []
    next_command = command("gpt2-interactive", "--model_name", name, *where, "--top_k", "40")
    bar.say(f"{name} is whole; next: {next_command}")


def remedy(trouble: Trouble, name: str) -> str:
    """What to do about it, for this model; nothing where the error says so itself."""
    again = "run it again to go on from what is here"
    by_hand = "; if this network never lets it through: --help tells of --base_url and --from"
    of_hub = name.startswith(HUB)
    remedies = {
        Trouble.MISSING: (
            "look for it elsewhere with --base_url URL" if canonical(name) else unknown(name)
        ),
        Trouble.WRONG: "nothing of it is kept; another place may have it right: --base_url URL",
        Trouble.DENIED: (
            "set HF_TOKEN to the token of somebody who may read it"
            if of_hub
            else "the address may need a name and a password, or a signature in its query"
        ),
        Trouble.UNREACHABLE: again + by_hand * (not of_hub),
        Trouble.DISK: "make room, or choose another place with --models_dir DIR",
    }
    return f"; {remedies[trouble]}" if trouble in remedies else ""


def export(folder: Path) -> None:
    """Prepares the model for this machine; without it the first sampling does."""
    try:
        from gpt2_sampler.engines.litert.export import exported

        exported(open_checkpoint(folder), "float32")
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        terminal.notice(f"the model is whole but was not prepared ({first}); sampling will try")


def show_list(settings: DownloadSettings) -> None:
    rows = [("name", "parameters", "download", *(f"memory {p}" for p in PRECISIONS), "here")]
    for found in overview(settings.models_dir):
        state = "no" if not found.folder else str(found.folder)
        if found.folder and found.right < found.needed:
            state += f", not whole: {found.right} of {found.needed} files"
        hparams = HParams(**found.model.shape)
        memory = [needed(hparams, p, rows=1, tokens=hparams.n_ctx) for p in PRECISIONS]
        rows.append(
            (
                " = ".join(found.model.names),
                f"{hparams.n_parameters:,}",
                *map(size, (download_size(found.model.names[0]), *memory)),
                state,
            )
        )
    for name in BUNDLED:
        folder = bundled_folder(name)
        hparams = load_hparams(folder)
        memory = [needed(hparams, p, rows=1, tokens=hparams.n_ctx) for p in PRECISIONS]
        state = f"{folder}, bundled"
        rows.append((name, f"{hparams.n_parameters:,}", "-", *map(size, memory), state))
    for name, *numbers, state in rows:
        terminal.show(f"{name:12}{''.join(f' {number:>14}' for number in numbers)}   {state}\n")


def show_verified(settings: DownloadSettings) -> None:
    if settings.name:
        paths = [find_model(settings.name, settings.models_dir)]
    else:
        paths = [path for path in model_folders(settings.models_dir) if holds_model(path)]
    if not paths:
        raise UsageError(f"there is no model in {models_folder(settings.models_dir)}")
    broken = []
    for path in paths:
        found = verify(path, settings.models_dir)
        for file, (_, says) in found.items():
            terminal.show(f"{file}: {says}\n")
        broken += [file for file, (right, _) in found.items() if not right][:1]
    if broken:
        folders = ", ".join(dict.fromkeys(str(file.parent) for file in broken))
        raise DownloadError(f"not whole: {folders}", file=broken[0])


def main(argv: Sequence[str] | None = None) -> int:
    return terminal.run(run, argv)
