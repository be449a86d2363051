"""Flags, files and lines -> prompts, and prompts -> tokens. Knows no samples and no keys."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gpt2_sampler.cli.loading import Model
from gpt2_sampler.cli.settings import InteractiveSettings
from gpt2_sampler.cli.terminal import aside, notice
from gpt2_sampler.decoding.text import encode_prompt
from gpt2_sampler.encodings import decoded, read_all, read_lines
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import user_path

QUESTION = "Model prompt >>> "
QUOTES = '"""'


def prompt_of(settings: InteractiveSettings) -> str | None:
    """The prompt that the flags give, without its last line break; None if they give none.

    Raises UsageError if it cannot be read or is empty.
    """
    if settings.prompt == "-":
        prompt = read_all(sys.stdin.buffer, "stdin", sys.stdin.encoding)
    elif settings.prompt is not None:
        # Words of a command line are UTF-8 even where the locale, and so Python, thinks otherwise.
        prompt = decoded(os.fsencode(settings.prompt), "the prompt")
    elif settings.prompt_file is not None:
        prompt = read(user_path(settings.prompt_file))
    else:
        return None
    prompt = prompt.removesuffix("\n")
    if not prompt:
        raise UsageError("the prompt is empty; give it at least a word")
    return prompt


def read(path: Path) -> str:
    """The text of a file of any kind; a shell's <(command) is a pipe."""
    try:
        with path.open("rb") as file:
            return read_all(file, str(path))
    except OSError as error:
        raise UsageError(f"--prompt_file {path} cannot be read ({error.strerror})") from None


def lines() -> Iterator[str]:
    """Each line of stdin that is not empty."""
    return filter(None, read_lines(sys.stdin.buffer, "stdin", sys.stdin.encoding))


def is_open(typed: str) -> bool:
    """Whether the next line belongs to the same prompt."""
    if typed.startswith(QUOTES):
        return not typed[len(QUOTES) :].rstrip().endswith(QUOTES)
    return typed.endswith("\\")


def unquoted(typed: str) -> str:
    """What was typed -> the prompt, without the quotes around several lines, the backslashes at the
    ends of lines, or the first of two slashes."""
    if typed.startswith(QUOTES):
        inside = typed.rstrip()[len(QUOTES) : -len(QUOTES)]
        return inside.removeprefix("\n").removesuffix("\n")
    return typed.removeprefix("/").replace("\\\n", "\n")


def tokens_of(prompt: str, model: Model, special_tokens: bool | None = None) -> list[int]:
    """The prompt's tokens, or the last of them if the window is smaller. Raises UsageError for a
    prompt that cannot be continued."""
    if prompt.endswith(" "):
        aside("the prompt ends in a space; leave it out, as words begin with their own space")
    window = model.window
    tokens = encode_prompt(prompt, model.tokenizer, model.engine.hparams.n_vocab, special_tokens)
    if len(tokens) > window:
        left_out = len(tokens) - window
        notice(f"the prompt has {len(tokens)} tokens; the first {left_out} are left out")
    return tokens[-window:]
