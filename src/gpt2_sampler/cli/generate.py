"""Samples out of nothing: the command gpt2-generate. Knows no prompts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from gpt2_sampler.cli.display import explain_colours
from gpt2_sampler.cli.flags import parse
from gpt2_sampler.cli.loading import load, seeded
from gpt2_sampler.cli.settings import GenerateSettings
from gpt2_sampler.cli.terminal import run
from gpt2_sampler.cli.writer import write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.errors import CheckpointError


def generate_samples(argv: Sequence[str], program: str) -> None:
    settings = parse(GenerateSettings, argv, program)
    model = load(settings)
    start = model.encoder.start_of_text
    if start is None:
        raise CheckpointError(
            "the vocabulary has no <|endoftext|> to start from; use the interactive script"
        )
    settings = seeded(settings)
    explain_colours(settings)
    numbers = range(settings.nsamples) if settings.nsamples else itertools.count()
    length = settings.sample_length(model.window)
    batch = Batch(model.engine, settings.rows)
    for _ in write(batch, model, settings, [start], numbers, length=length):
        pass


def main(argv: Sequence[str] | None = None) -> int:
    return run(generate_samples, argv)
