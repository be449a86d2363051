"""A file of prompts -> their continuations: the command gpt2-conditional."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

from gpt2_sampler.cli.commands.sample_sets import write_records
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings
from gpt2_sampler.cli.flags.inputs import STDIN, STDIN_NUMBER
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.session.loading import LOADER, Files, Loader
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.corpus.jobs import Job, Plan, after_prompts
from gpt2_sampler.corpus.prompts import JSON_LINES, Prompt, open_prompts, read_prompts
from gpt2_sampler.corpus.run import files_of_run
from gpt2_sampler.files import require_apart, user_path


def continue_prompts(argv: Sequence[str], program: str, loader: Loader = LOADER) -> None:
    settings = parse(ConditionalSettings, argv, program, positional="prompts")
    from_stdin = settings.prompts == "-"
    if settings.output is not None:
        inputs = [STDIN_NUMBER if from_stdin else user_path(settings.prompts)]
        require_apart(files_of_run(user_path(settings.output)), inputs)
    file = sys.stdin.buffer if from_stdin else open_prompts(user_path(settings.prompts))
    with file:
        prompts = prompts_of(settings, file)
        first = list(islice(prompts, 1))  # its language may choose the model

        def jobs(files: Files, plan: Plan) -> Iterable[Job]:
            hparams = files.checkpoint.hparams
            return after_prompts(chain(first, prompts), plan, files.tokenizer, hparams)

        prompt = first[0].text if first else ""
        write_records(settings, jobs, prompt, n_records(settings), loader)


def prompts_of(settings: ConditionalSettings, file: BinaryIO) -> Iterator[Prompt]:
    source = STDIN if settings.prompts == "-" else settings.prompts
    return read_prompts(
        file,
        source,
        json_lines=settings.jsonl or source.endswith(JSON_LINES),
        separator=settings.separator,
        encoding=sys.stdin.encoding if source == STDIN else "utf-8",
    )


def n_records(settings: ConditionalSettings) -> int | None:
    """How many there will be, where a bar shows it and the prompts can be read twice; else None."""
    path = user_path(settings.prompts)
    if settings.prompts == "-" or not settings.shows_progress or not path.is_file():
        return None
    with open_prompts(path) as file:
        return sum(1 if one.problem else settings.nsamples for one in prompts_of(settings, file))


def main(argv: Sequence[str] | None = None, loader: Loader = LOADER) -> int:
    return run(partial(continue_prompts, loader=loader), argv)
