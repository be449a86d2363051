"""A file of prompts -> their continuations: the command gpt2-conditional."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain, islice

from gpt2_sampler.cli.corpus_settings import ConditionalSettings
from gpt2_sampler.cli.flags import parse
from gpt2_sampler.cli.loading import Files
from gpt2_sampler.cli.records import write_records
from gpt2_sampler.cli.terminal import run
from gpt2_sampler.cli.texts import STDIN
from gpt2_sampler.corpus.jobs import Job, Plan, after_prompts
from gpt2_sampler.corpus.prompts import JSON_LINES, open_prompts, read_prompts
from gpt2_sampler.files import user_path


def continue_prompts(argv: Sequence[str], program: str) -> None:
    settings = parse(ConditionalSettings, argv, program, positional="prompts")
    if settings.prompts == "-":
        file, source = sys.stdin.buffer, STDIN
    else:
        file, source = open_prompts(user_path(settings.prompts)), settings.prompts
    json_lines = settings.jsonl or source.endswith(JSON_LINES)

    prompts = read_prompts(
        file,
        source,
        json_lines=json_lines,
        separator=settings.separator,
        encoding=sys.stdin.encoding if source == STDIN else "utf-8",
    )

    def jobs(files: Files, plan: Plan) -> Iterable[Job]:
        return after_prompts(chain(first, prompts), plan, files.tokenizer, files.checkpoint.hparams)

    with file:
        first = list(islice(prompts, 1))  # its language may choose the model
        write_records(settings, jobs, first[0].text if first else "")


def main(argv: Sequence[str] | None = None) -> int:
    return run(continue_prompts, argv)
