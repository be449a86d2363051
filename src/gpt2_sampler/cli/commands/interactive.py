"""Prompts -> their continuations: the command gpt2-interactive."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpt2_sampler.cli.session.editor import Editor

from gpt2_sampler.cli.flags.inputs import lines, prompt_of
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.cli.session.display import explain_colours
from gpt2_sampler.cli.session.keys import give_back
from gpt2_sampler.cli.session.loading import LOADER, Loader, Models, choose_seed, tokens_of
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.cli.session.session import QUESTION, Session
from gpt2_sampler.cli.session.slash import Leave, is_open, obey, unquote
from gpt2_sampler.cli.session.terminal import aside, complain, drop_what_is_buffered, notice, show
from gpt2_sampler.cli.session.typeahead import TypeAhead, type_ahead
from gpt2_sampler.cli.session.writer import CLOSING, write
from gpt2_sampler.decoding.scheduler import Texts


def interact(argv: Sequence[str], program: str, loader: Loader = LOADER) -> None:
    settings = parse(InteractiveSettings, argv, program)
    prompt = prompt_of(settings)
    asks = prompt is None and sys.stdin.isatty() and (sys.stderr.isatty() or sys.stdout.isatty())
    if not asks:
        give_back()
    with type_ahead() if asks else nullcontext() as typed:
        models = Models(settings, loader)
        settings = choose_seed(settings)
        explain_colours(settings)
        if asks:
            converse(Session(models.answering, settings), typed)
        else:
            answer(lines() if prompt is None else [prompt], models, settings)


def answer(prompts: Iterable[str], models: Models, settings: InteractiveSettings) -> None:
    """Continues each prompt in turn, without a conversation."""
    texts: Texts | None = None
    for prompt in prompts:
        model = models.answering(prompt)
        length = settings.sample_length(model.window)
        if texts is None or texts.batch.engine is not model.engine:
            texts = Texts(model.batch(settings.rows))
        tokens = tokens_of(prompt, model, settings.special_tokens)
        for _ in write(texts, model, settings, tokens, range(settings.nsamples), length=length):
            pass
        show(CLOSING)


def converse(session: Session, typed: TypeAhead | None = None) -> None:
    """Asks until the person leaves. No mistake or failure costs more than its own turn."""
    from gpt2_sampler.cli.session.editor import (
        Editor,  # takes longer to import than everything else
    )

    editor = Editor(is_open, typed)
    aside("a prompt is continued; /help tells what else can be typed, Ctrl-D leaves")
    while (line := ask(editor)) is not None:
        try:
            take(session, line)
        except Leave:
            return
        except KeyboardInterrupt:  # pressed once more than it took to stop the text
            continue
        except BrokenPipeError:
            drop_what_is_buffered()
            notice(
                "error: the program that read the samples has ended (tee does so at Ctrl-C, tee -i "
                "does not); /save FILE keeps the session, /quit leaves"
            )
        except Exception as error:
            complain(error, session.settings.verbose)


def ask(editor: Editor) -> str | None:
    """What was typed; None when the person leaves."""
    while True:
        with suppress(KeyboardInterrupt):  # pressed once more than it took to stop the text
            return editor.ask(QUESTION)


def take(session: Session, line: str) -> None:
    if line.startswith("/") and not line.startswith("//"):
        obey(session, line)
    elif (word := line.strip().lower()) in ("help", "quit", "exit"):
        command = "/help" if word == "help" else "/quit"
        notice(f'{command} is the command, with a slash; """{word}""" makes a prompt of it')
    elif prompt := unquote(line):
        session.ask(prompt)


def main(argv: Sequence[str] | None = None, loader: Loader = LOADER) -> int:
    return run(partial(interact, loader=loader), argv)
