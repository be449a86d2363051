"""A model's name -> its files on this machine: the command gpt2-download."""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from gpt2_sampler.cli.commands.inventory import show_list, show_verified
from gpt2_sampler.cli.flags.fields import flag
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.remedies import command
from gpt2_sampler.cli.flags.settings import MODELS_DIR
from gpt2_sampler.cli.session import process, terminal
from gpt2_sampler.errors import DownloadError, UsageError, first_line
from gpt2_sampler.fetching.fetch_folder import Watch
from gpt2_sampler.fetching.fetch_model import (
    BASE_URL_VARIABLE,
    download,
    explain_unknown,
    import_files,
)
from gpt2_sampler.fetching.trouble import DiskError, SourceError, Trouble
from gpt2_sampler.registry import DEFAULT, HUB, canonical, models_folder
from gpt2_sampler.weights.checkpoint import open_checkpoint


@dataclasses.dataclass(frozen=True)
class DownloadSettings:
    """Fetches a GPT-2 model and checks every byte; without a name, 117M.

    Names are 117M (or 124M), 345M (355M), 774M and 1558M, or hf:OWNER/NAME[@REVISION] for a model
    of a Hugging Face hub, with HF_ENDPOINT and HF_TOKEN as usual. An interrupted download goes on
    where it stopped. Proxies are taken from HTTPS_PROXY.
    """

    name: str | None = flag(None, "the model, also without --name", "NAME")
    list: bool = flag(
        False,
        "print which models there are, which are here, and the memory that writing one text of "
        "full length takes on a CPU",
    )
    verify: bool = flag(False, "read every byte of NAME, or of every model that is here")
    models_dir: str | None = flag(None, MODELS_DIR, "DIR")
    base_url: tuple[str, ...] = flag(
        (),
        "fetch URL/NAME/FILE; repeat it, or use commas, for several URLs, which are tried in "
        f"order; also the environment variable {BASE_URL_VARIABLE}",
        "URL",
    )
    from_dir: str | None = flag(
        None, "or --from: take files downloaded by hand from DIR; nothing is fetched", "DIR"
    )
    quiet: bool = flag(False, "no progress bar and no messages")
    no_export: bool = flag(False, "do not prepare the model for this machine afterwards")

    def __post_init__(self) -> None:
        if self.list and (self.verify or self.from_dir is not None):
            raise UsageError("--list takes neither --verify nor --from")
        if self.verify and self.from_dir is not None:
            raise UsageError("give either --verify or --from, not both; --from verifies too")


class Bar(Watch):
    """One progress bar for all files if stderr is a terminal, with messages above it."""

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

    def advance(self, done: int) -> None:
        if self.bar is not None and not self.bar.disable:
            self.bar.update(done - self.bar.n)

    def finish(self) -> None:
        if self.bar is not None:
            self.bar.close()


def run(argv: Sequence[str], program: str) -> None:
    words = [re.sub(r"^--from(?==|$)", "--from_dir", word) for word in argv]
    settings = parse(DownloadSettings, words, program, positional="name")
    if settings.list:
        show_list(settings.models_dir)
    elif settings.verify:
        show_verified(settings.name, settings.models_dir)
    else:
        fetch(settings)


def fetch(settings: DownloadSettings) -> None:
    if settings.quiet:
        logging.getLogger("gpt2_sampler").setLevel(logging.WARNING)
    bar, name = Bar(settings.quiet), DEFAULT if settings.name is None else settings.name
    try:
        if settings.from_dir is not None:
            folder = import_files(name, settings.from_dir, settings.models_dir, bar)
        else:
            folder = download(name, settings.models_dir, settings.base_url, watch=bar)
    except (SourceError, DiskError) as error:
        raise DownloadError(f"{error}{remedy(error.trouble, name)}") from None
    except (KeyboardInterrupt, SystemExit):
        terminal.notice("stopped; the same command goes on from here")
        raise
    if not settings.no_export:
        export(folder)
    name = folder.relative_to(models_folder(settings.models_dir)).as_posix()
    where = ["--models_dir", settings.models_dir] if settings.models_dir else []
    next_command = command("gpt2-interactive", "--model_name", name, *where, "--top_k", "40")
    bar.say(f"{name} is complete; next: {next_command}")


def remedy(trouble: Trouble, name: str) -> str:
    """What to do about it for this model; "" if the error says so itself."""
    again = "run it again to go on from here"
    by_hand = "; if this network never lets it through, see --base_url and --from in --help"
    of_hub = name.startswith(HUB)
    remedies = {
        Trouble.MISSING: missing(name),
        Trouble.WRONG: "another place may have the right one: --base_url URL",
        Trouble.DENIED: (
            "set HF_TOKEN to the token of somebody who may read it"
            if of_hub
            else "the address may need a name and a password, or a signature in its query"
        ),
        Trouble.UNREACHABLE: again + by_hand * (not of_hub),
        Trouble.DISK: "make room, or choose another place with --models_dir DIR",
    }
    return f"; {remedies[trouble]}" if trouble in remedies else ""


def missing(name: str) -> str:
    """What to do where a server does not have a file of the model."""
    if name.startswith(HUB):
        model = name.partition("@")[0]
        return f"the hub lists it all the same; try again later, or a revision: {model}@REVISION"
    return "look for it elsewhere with --base_url URL" if canonical(name) else explain_unknown(name)


def export(folder: Path) -> None:
    """Prepares the model for this machine, which the first sampling would do otherwise."""
    try:
        from gpt2_sampler.engines.litert.export import export_model

        export_model(open_checkpoint(folder), "float32")
    except Exception as error:
        terminal.notice(
            f"the model is complete but was not prepared ({first_line(error)}); sampling will try"
        )


def main(argv: Sequence[str] | None = None) -> int:
    return process.run(run, argv)
