"""Prompts -> their continuations: the command gpt2-interactive."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from gpt2_sampler.cli.commands import Leave, obey
from gpt2_sampler.cli.flags import parse
from gpt2_sampler.cli.loading import Model, load, seeded
from gpt2_sampler.cli.prompts import QUESTION, is_open, lines, prompt_of, tokens_of, unquoted
from gpt2_sampler.cli.session import Session
from gpt2_sampler.cli.settings import InteractiveSettings
from gpt2_sampler.cli.terminal import complain, run, show
from gpt2_sampler.cli.writer import CLOSING, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.errors import SamplerError


def interact(argv: Sequence[str], program: str) -> None:
    settings = parse(InteractiveSettings, argv, program)
    prompt = prompt_of(settings)
    model = load(settings)
    settings = seeded(settings)
    if prompt is not None:
        answer([prompt], model, settings)
    elif sys.stdin.isatty() and (sys.stderr.isatty() or sys.stdout.isatty()):
        converse(Session(model, settings))
    else:
        answer(lines(), model, settings)


def answer(prompts: Iterable[str], model: Model, settings: InteractiveSettings) -> None:
    """Continues each prompt, with nobody there to say more."""
    length = settings.sample_length(model.window)
    batch = Batch(model.engine, settings.rows)
    for prompt in prompts:
        tokens = tokens_of(prompt, model)
        for _ in write(batch, model, settings, tokens, range(settings.nsamples), length=length):
            pass
        show(CLOSING)


def converse(session: Session) -> None:
    """Asks until the person leaves; a mistake or a failure does not end it."""
    from gpt2_sampler.cli.editor import Editor  # takes longer to import than all the rest

    editor = Editor(is_open)
    while True:
        try:
            typed = editor.ask(QUESTION)
            if typed is None:
                return
            if typed.startswith("/") and not typed.startswith("//"):
                obey(session, typed)
            elif prompt := unquoted(typed):
                session.ask(prompt)
        except Leave:
            return
        except KeyboardInterrupt:  # pressed once more than the text needed
            continue
        except SamplerError as error:
            complain(error)


def main(argv: Sequence[str] | None = None) -> int:
    return run(interact, argv)
