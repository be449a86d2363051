"""A file of prompts -> one after another, with the settings that a line gives. Knows no tokens.

What is no prompt comes in its place, with what is wrong: one bad line ends no run.
"""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import reason, require_regular

JSON_LINES = (".jsonl", ".jsonl.gz")
"""How the names of files end whose lines are JSON objects."""
NO_TEXT = re.compile("[\ud800-\udfff]")
"""Bytes that are no UTF-8, as Python keeps them, or half a character that a line of JSON has."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    line: int
    """In which it begins, 1 for the first."""
    text: str
    id: int | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Its own ones, by name, as they came."""
    problem: str = ""
    """Why it is none."""


def open_prompts(path: Path) -> BinaryIO:
    """A file's bytes, unpacked where its name ends in .gz. Raises UsageError."""
    try:
        require_regular(path, path.stat(), UsageError)
        return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
    except OSError as problem:
        raise UsageError(f"{path} cannot be read ({reason(problem)})") from None


def read_prompts(
    file: BinaryIO, *, json_lines: bool, separator: str | None = None
) -> Iterator[Prompt]:
    """Each line is a prompt, or a JSON object that has one; with a separator, what stands between
    lines that are it. Empty ones are passed over. Raises UsageError where the file ends badly."""
    try:
        lines = enumerate(text_lines(file), 1)
        yield from map_lines(lines) if json_lines else plain_prompts(lines, separator)
    except (OSError, EOFError, UnicodeError) as problem:
        raise UsageError(f"the prompts cannot be read to their end ({reason(problem)})") from None


def text_lines(file: BinaryIO) -> Iterator[str]:
    """Without their ends. UTF-8, or UTF-16 where the file begins with its mark."""
    buffered = file if hasattr(file, "peek") else io.BufferedReader(file)  # type: ignore[type-var]
    utf_16 = buffered.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = (
        io.TextIOWrapper(buffered, "utf-16")
        if utf_16
        else io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape")
    )
    for line in text:
        yield line.removesuffix("\n")


def plain_prompts(lines: Iterable[tuple[int, str]], separator: str | None) -> Iterator[Prompt]:
    if separator is None:
        for number, line in lines:
            if line:
                yield checked(Prompt(number, line))
        return
    part: list[str] = []
    began = 1
    for number, line in lines:
        if line == separator:
            yield from joined(part, began)
            part, began = [], number + 1
        else:
            part.append(line)
    yield from joined(part, began)


def joined(part: list[str], began: int) -> Iterator[Prompt]:
    if any(part):
        yield checked(Prompt(began, "\n".join(part).strip("\n")))


def map_lines(lines: Iterable[tuple[int, str]]) -> Iterator[Prompt]:
    for number, line in lines:
        if line.strip():
            yield of_json(number, line)


def of_json(number: int, line: str) -> Prompt:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as problem:
        return Prompt(number, "", problem=f"it is no JSON ({problem})")
    if not isinstance(content, dict) or not isinstance(content.get("prompt"), str):
        return Prompt(number, "", problem='it is no object with a text called "prompt"')
    id, text = content.pop("id", None), content.pop("prompt")
    if id is not None and (isinstance(id, bool) or not isinstance(id, int) or id < 0):
        return Prompt(number, shown(text), problem=f"its id must be 0 or more, not {id!r:.40}")
    return checked(Prompt(number, text, id, content))


def checked(prompt: Prompt) -> Prompt:
    if not prompt.text:
        return dataclasses.replace(prompt, problem="its prompt is empty")
    if NO_TEXT.search(prompt.text):
        return dataclasses.replace(
            prompt, text=shown(prompt.text), problem="it is no text in UTF-8"
        )
    return prompt


def shown(text: str) -> str:
    """As text that can be written."""
    return NO_TEXT.sub("\ufffd", text)
