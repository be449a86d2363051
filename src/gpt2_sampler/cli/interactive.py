"""Prompts -> their continuations: the command gpt2-interactive."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from gpt2_sampler.cli.flags import parse
from gpt2_sampler.cli.settings import InteractiveSettings
from gpt2_sampler.cli.terminal import run, show
from gpt2_sampler.cli.writer import RULE, find, open_session

QUESTION = "Model prompt >>> "


def interact(argv: Sequence[str], program: str) -> None:
    settings = parse(InteractiveSettings, argv, program)
    session = open_session(settings, find(settings))
    length = settings.length or session.engine.hparams.n_ctx // 2
    for prompt in prompts():
        session.write(session.encoder.encode(prompt), length, settings.nsamples)
        show(f"{RULE}{RULE}\n")


def prompts() -> Iterator[str]:
    """A line at a time, empty ones passed over."""
    while True:
        if sys.stdin.isatty():
            sys.stderr.write(QUESTION)
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        if line.rstrip("\r\n"):
            yield line.rstrip("\r\n")


def main(argv: Sequence[str] | None = None) -> int:
    return run(interact, argv)
