"""A line that was typed -> a prompt, or what a command does to the session. Knows no model."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from gpt2_sampler.cli.flags.help import describe, fill
from gpt2_sampler.cli.flags.settings import change, list_changeable
from gpt2_sampler.cli.flags.words import DASHES, shorten
from gpt2_sampler.cli.session.display import explain_colours
from gpt2_sampler.cli.session.loading import choose_seed
from gpt2_sampler.cli.session.process import interruptible
from gpt2_sampler.cli.session.session import Session
from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.errors import UsageError, brief
from gpt2_sampler.files import require_place, user_path
from gpt2_sampler.seeing.bars import can_show_blocks
from gpt2_sampler.seeing.why import explain
from gpt2_sampler.writing import write_whole

REMINDER = 60  # characters
TOP = 10  # choices that /why shows of a place
DIGITS = 9  # of any number of a sample, a place or a rank, at most
QUOTES = '"""'
SETTING = re.compile(rf"[-{DASHES}]*(\w[\w-]*)(?:=|\s+(?:=\s+)?|$)(.*)", re.DOTALL)


class Leave(Exception):
    """The person wants to leave."""


class Command(NamedTuple):
    usage: str
    help: str
    obey: Callable[[Session, str], None]
    """Takes the words after the command's name."""


def obey(session: Session, line: str) -> None:
    """Raises UsageError for an unknown command or an impossible argument, Leave when it is over."""
    name, _, words = line.removeprefix("/").strip().partition(" ")
    name = name.lower()
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean /{near[0]}?" if near else "/help lists them"
        raise UsageError(
            f"there is no command /{shorten(name)}; {hint} "
            "(a prompt that starts with a slash needs two)"
        )
    COMMANDS[name].obey(session, words.strip())


def set_flag(session: Session, words: str) -> None:
    matched = SETTING.fullmatch(words)
    if not matched:
        raise UsageError("/set takes a flag and its value, as /set top_k 40; /show lists them")
    name, word = matched[1].replace("-", "_").lower(), matched[2]
    before = session.settings
    session.settings = choose_seed(change(before, name, word))
    if session.settings.color and not before.color:
        explain_colours(session.settings)


def more(session: Session, words: str) -> None:
    session.more(number_of(words, "/more takes the number of a sample") - 1 if words else None)


def why(session: Session, words: str) -> None:
    place = number_of(words, "/why takes a place in the text") if words else None
    blocks = can_show_blocks(sys.stderr.encoding)
    with interruptible() as stopped:
        for at, drawn, top in session.why(place, TOP):
            sampling = session.last_text().request.sampling
            lines = explain(drawn, top, sampling, session.look, blocks)
            notice("\n".join([f"place {at}: {session.look(drawn.id)}", *lines]))
            if stopped():
                break
    notice(f"/take {'' if place else 'PLACE '}RANK goes on from another choice")


def take(session: Session, words: str) -> None:
    numbers = [number_of(word, "/take takes [PLACE] RANK") for word in words.split()]
    if len(numbers) not in (1, 2):
        raise UsageError("/take takes [PLACE] RANK: /take 3, or /take 12 3")
    *places, rank = numbers
    session.take(rank, *places)


def number_of(word: str, takes: str) -> int:
    """The number in a word. Raises UsageError, which begins with what the command takes."""
    if not (word.isascii() and word.isdecimal() and len(word) <= DIGITS):
        raise UsageError(f"{takes}, from 1 on, not {brief(word)}")
    return int(word)


def undo(session: Session) -> None:
    text = " ".join(session.undo().split())
    end = text if len(text) <= REMINDER else f"…{text[-REMINDER:]}"
    notice(f"back to the text that ends: {end}" if text else "back at the start")


def save(session: Session, words: str) -> None:
    if not words:
        raise UsageError("/save takes the name of a file")
    quoted = re.fullmatch(r"(['\"])(.+)\1", words)
    path = user_path(quoted[2] if quoted else words)
    if path.exists():
        raise UsageError(f"{path} is there already; give another name")
    require_place(path)
    with write_whole(path) as new:
        new.write_text(session.transcript(), encoding="utf-8", errors="replace")
    notice(f"saved in {path}")


def leave() -> None:
    raise Leave


def is_open(typed: str) -> bool:
    """Whether the next line belongs to the same prompt."""
    if typed.startswith(QUOTES):
        return not typed[len(QUOTES) :].rstrip().endswith(QUOTES)
    return typed.endswith("\\")


def unquote(typed: str) -> str:
    """What was typed -> the prompt, without the quotes around several lines, the backslashes at the
    ends of lines, or the first of two slashes."""
    if typed.startswith(QUOTES):
        inside = typed.rstrip()[len(QUOTES) : -len(QUOTES)]
        return inside.removeprefix("\n").removesuffix("\n")
    return typed.removeprefix("/").replace("\\\n", "\n")


def help_text() -> str:
    rows = ((command.usage, command.help) for command in COMMANDS.values())
    return f"{describe(rows)}\n\n{fill(KEYS)}"


KEYS = '''\
Anything else is a prompt; type // to begin one with a slash. Several lines make one prompt between
""" and """, with a backslash at the end of each, or when pasted. Ctrl-C stops a text or clears the
line; twice, it leaves, and so does Ctrl-D.'''

COMMANDS = {
    command.usage.split()[0].removeprefix("/"): command
    for command in (
        Command(
            "/set FLAG VALUE",
            "set a flag, as in /set top_k 40; without a value, to its default",
            set_flag,
        ),
        Command(
            "/show", "show the flags", lambda session, _: notice(list_changeable(session.settings))
        ),
        Command("/retry", "draw the last text anew", lambda session, _: session.retry()),
        Command("/more [SAMPLE]", "go on where the last text, or its sample SAMPLE, stopped", more),
        Command(
            "/why [PLACE]",
            "show what else the model could have said, at every place of the last text or at one",
            why,
        ),
        Command("/take [PLACE] RANK", "go on from another of these choices", take),
        Command("/undo", "take back the last text", lambda session, _: undo(session)),
        Command("/seed N", "the same as /set seed N", lambda s, n: set_flag(s, f"seed {n}")),
        Command("/save FILE", "write the session so far to a file", save),
        Command("/help", "show this", lambda session, _: notice(help_text())),
        Command("/quit", "leave", lambda session, _: leave()),
    )
}
