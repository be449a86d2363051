"""A file of prompts -> one after another, with the settings that a line gives. Knows no tokens.

A line that is not a prompt takes its turn too, with what is wrong: one bad line does not end a run.
"""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_sampler.encodings import decoded, open_file, raw_lines
from gpt2_sampler.errors import UsageError

JSON_LINES = (".jsonl", ".jsonl.gz")
"""How the names of files end whose lines are JSON objects."""
TOP_ID = 2**63 - 1
"""What a Parquet file holds."""
HALF = re.compile("[\ud800-\udfff]")
"""A half of UTF-16's pairs, which JSON can have by itself."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    line: int
    """Where it begins, from 1 on."""
    text: str
    id: int | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Its own, by name, as they came."""
    problem: str = ""
    """Why it is not a prompt."""


def open_prompts(path: Path) -> BinaryIO:
    """A file of any kind, unpacked if its name ends in .gz. Raises UsageError."""
    file = open_file(path)
    return gzip.open(file) if path.suffix == ".gz" else file  # type: ignore[return-value]


def read_prompts(
    file: BinaryIO,
    source: str,
    *,
    json_lines: bool,
    separator: str | None = None,
    encoding: str = "utf-8",
) -> Iterator[Prompt]:
    """Each line is a prompt, or a JSON object that has one. With a separator, a prompt is what
    stands between two lines that equal it. Empty prompts are skipped. Raises UsageError for a file
    that cannot be read."""
    lines = text_lines(file, source, encoding)
    if separator is not None:
        yield from between(lines, separator)
        return
    for line in lines:
        if line.problem or line.text:
            yield of_json(line) if json_lines and not line.problem else line


def text_lines(file: BinaryIO, source: str, encoding: str) -> Iterator[Prompt]:
    """Each line with its number and, if it is not text, what is wrong with it."""
    number = itertools.count(1)
    for data in raw_lines(file, source):
        try:
            # Where lines end as on old Macs, with CR alone, several come as one.
            for text in decoded(data, "it", encoding).removesuffix("\n").split("\n"):
                yield Prompt(next(number), text)
        except UsageError as error:
            text = data.decode(errors="replace").rstrip("\r\n")
            yield Prompt(next(number), text, problem=str(error))


def between(lines: Iterable[Prompt], separator: str) -> Iterator[Prompt]:
    """Prompts of several lines."""
    part: list[Prompt] = []
    for line in itertools.chain(lines, [Prompt(0, separator)]):
        if line.text != separator:
            part.append(line)
        elif any(one.text for one in part):
            problem = next((one.problem for one in part if one.problem), "")
            text = "\n".join(one.text for one in part).strip("\n")
            yield Prompt(part[0].line, text, problem=problem)
            part = []
        else:
            part = []


def of_json(line: Prompt) -> Prompt:
    def problem(what: str) -> Prompt:
        return dataclasses.replace(line, text="", problem=what)

    try:
        content = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        return problem(f"it is not JSON ({error})")
    if not isinstance(content, dict) or not isinstance(content.get("prompt"), str):
        return problem('it is not a JSON object with a text called "prompt"')
    id, text = content.pop("id", None), content.pop("prompt")
    if id is not None and not (type(id) is int and 0 <= id <= TOP_ID):
        return problem(f"its id must be a whole number, 0 to {TOP_ID}, not {id!r:.40}")
    if not text:
        return problem("its prompt is empty")
    if HALF.search(text):
        return problem("its prompt contains half a character, which is not text")
    return Prompt(line.line, text, id, content)
