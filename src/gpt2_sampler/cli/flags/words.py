"""A word of a command line -> whether it is a flag and, if not, what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from gpt2_sampler.errors import brief

FLAG = re.compile(r"--([\w-]+)(?:=(.*))?", re.DOTALL)
ALWAYS = {"help": ("all",), "version": (), "completion": ("bash", "zsh", "fish")}
"""Flags of every command, and the values that they take."""
LONGEST = 60  # characters
DASHES = "‐‑‒–—―−﹘﹣－"
CURLY = frozenset("“”„‘’‚«»")


def is_flag(word: str, kind_of: Mapping[str, type]) -> bool:
    """kind_of has the type of each flag, by name."""
    matched = FLAG.fullmatch(word)
    name = matched[1].replace("-", "_") if matched else ""
    return name in (*kind_of, *ALWAYS) or kind_of.get(name.removeprefix("no")) is bool


def explain_unknown(word: str, kind_of: Mapping[str, type]) -> str:
    """What to say about a word that is not a flag."""
    if hint := typography(word, kind_of):
        return hint
    if not word.startswith("-"):
        return f"{brief(word)} is not a flag; flags are written --name value (--help lists them)"
    name = word.lstrip("-").split("=")[0].replace("-", "_")
    near = difflib.get_close_matches(name.lower(), kind_of, n=1, cutoff=0.5)
    hint = f"did you mean --{near[0]}?" if near else "--help lists them"
    return f"there is no flag {shorten(word.partition('=')[0])}; {hint}"


def typography(word: str, kind_of: Mapping[str, type]) -> str | None:
    """What to say about a word that a web page or a word processor has beautified."""
    bare = word.lstrip(f"-{DASHES}")
    name = re.split(r"[=\s]", bare)[0]
    known = is_flag(f"--{name}", kind_of)
    if known and word[: len(word) - len(bare)].strip("-"):
        return (
            f"{brief(word)} begins with a dash as web pages print it; "
            f"with two hyphens it is --{name}"
        )
    if known and word.startswith("-") and re.search(r"\s", word):
        return f"{brief(word)} contains a space that separates no words; type: --{name} VALUE"
    if CURLY & set(word):
        return f"{brief(word)} has curly quotes, which no shell knows; type straight ones"
    return None


def shorten(name: str) -> str:
    """As much of a name that is none as a message has room for."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
