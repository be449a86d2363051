"""Samples out of nothing: the command gpt2-generate. Knows no prompts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import partial

from gpt2_sampler.cli.flags.corpus_settings import GenerateSettings
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.session.display import explain_colours
from gpt2_sampler.cli.session.loading import LOADER, Files, Loader, choose_seed, load
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.cli.session.writer import write
from gpt2_sampler.corpus.jobs import Job, Plan, out_of_nothing
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.tokenizer.load import Tokenizer


def generate_samples(argv: Sequence[str], program: str, loader: Loader = LOADER) -> None:
    settings = parse(GenerateSettings, argv, program)
    if settings.makes_records:
        from gpt2_sampler.cli.commands.sample_sets import write_records

        write_records(settings, jobs, total=settings.nsamples or None, loader=loader)
        return
    model = load(settings, loader=loader)
    start = start_of(model.tokenizer)
    settings = choose_seed(settings)
    explain_colours(settings)
    first, stop = settings.first, settings.first + settings.nsamples
    numbers = range(first, stop) if settings.nsamples else itertools.count(first)
    length = settings.sample_length(model.window)
    for _ in write(
        Texts(model.batch(model.rows)), model, settings, [start], numbers, length=length
    ):
        pass


def jobs(files: Files, plan: Plan) -> Iterable[Job]:
    return out_of_nothing(start_of(files.tokenizer), plan)


def start_of(tokenizer: Tokenizer) -> int:
    start = tokenizer.start_of_text
    if start is None:
        raise CheckpointError(
            "the vocabulary has no <|endoftext|> to start from; use the interactive script"
        )
    return start


def main(argv: Sequence[str] | None = None, loader: Loader = LOADER) -> int:
    return run(partial(generate_samples, loader=loader), argv)
