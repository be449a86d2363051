"""Samples out of nothing: the command gpt2-generate."""

from __future__ import annotations

from collections.abc import Sequence

from gpt2_sampler.cli.flags import parse
from gpt2_sampler.cli.settings import GenerateSettings
from gpt2_sampler.cli.terminal import run
from gpt2_sampler.cli.writer import find, open_session
from gpt2_sampler.errors import CheckpointError


def generate_samples(argv: Sequence[str], program: str) -> None:
    settings = parse(GenerateSettings, argv, program)
    session = open_session(settings, find(settings))
    start = session.encoder.end_of_text
    if start is None:
        raise CheckpointError(
            "the vocabulary has no <|endoftext|> to start from; use the interactive script"
        )
    length = settings.length or session.engine.hparams.n_ctx
    session.write([start], length, settings.nsamples)


def main(argv: Sequence[str] | None = None) -> int:
    return run(generate_samples, argv)
