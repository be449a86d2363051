"""A file of prompts -> one after another, with what else a line gives. Knows no tokens.

A line that is not a prompt takes its turn too, with what is wrong: one bad line does not end a run.
Lines of JSON may also be requests of OpenAI's and vLLM's batch files, with custom_id and body.
"""

from __future__ import annotations

import dataclasses
import difflib
import gzip
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.encodings import decode, open_file, raw_lines
from gpt2_sampler.errors import UsageError

JSON_LINES = (".jsonl", ".jsonl.gz")
"""How the names of files end whose lines are JSON objects."""
Id = int | float | str
"""A JSON value that is neither a list nor an object. Python's bool is an int."""
TOP_ID = 2**63 - 1
"""The largest whole number that tables hold."""
COUNTS = ("seed", "length")
OWN = (*COUNTS, *(field.name for field in dataclasses.fields(Sampling)))
"""The settings that a prompt may have of its own."""
NEAR = 0.8
"""How much alike (1 for equal) a name and a setting's are if the name is taken for a mistake."""
IN_BODY = {"max_tokens": "length", "max_completion_tokens": "length"}
"""Settings that have other names in the body of a batch file's request."""
NEUTRAL = {"n": 1, "best_of": 1, "stream": False, "echo": False}
"""What a body may say that changes nothing here. Other values are refused as unknown settings."""
UNREAD = ("model", "user", "metadata", "store")
"""What a body says that is no setting: it comes back with the other columns."""
NO_PROMPT = 'it is not a JSON object with a text called "prompt"'
HALF = re.compile("[\ud800-\udfff]")
"""A half of UTF-16's pairs, which JSON can have by itself."""


@dataclasses.dataclass(frozen=True)
class Prompt:
    line: int
    """Where it begins, from 1 on."""
    text: str
    id: Id | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Its own, by name, as they came."""
    problem: str = ""
    """Why it is not a prompt."""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What else its line has, for its records."""


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
            for text in decode(data, "it", encoding).removesuffix("\n").split("\n"):
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
    try:
        content = json.loads(line.text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        return dataclasses.replace(line, text="", problem=f"it is not JSON ({error})")
    if not isinstance(content, dict):
        return dataclasses.replace(line, text="", problem=NO_PROMPT)
    id = content.pop("custom_id", None)
    if id is None:
        id = content.pop("id", None)
    if "prompt" not in content and isinstance(content.get("body"), dict):
        text, settings, extra = of_body(content.pop("body"))
        extra = content | extra
    else:
        text = content.pop("prompt", None)
        settings = {name: content[name] for name in content if is_setting(name)}
        extra = {name: content[name] for name in content if name not in settings}
    problem = problem_of(text, id)
    return Prompt(
        line.line,
        HALF.sub("\ufffd", text) if isinstance(text, str) else "",
        id if is_id(id) else None,
        {name: value for name, value in settings.items() if value is not None},
        problem,
        extra,
    )


def of_body(body: dict[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The body of a batch file's request -> its prompt, settings and other columns."""
    text = body.pop("prompt", None)
    extra = {name: body.pop(name) for name in UNREAD if name in body}
    settings = {
        IN_BODY.get(name, name): value
        for name, value in body.items()
        if value is not None and not (name in NEUTRAL and value == NEUTRAL[name])
    }
    return text, settings, extra


def problem_of(text: Any, id: Any) -> str:
    """Why a line's prompt or id cannot be one; "" if both can."""
    if not isinstance(text, str):
        return NO_PROMPT
    if id is not None and not is_id(id):
        return f"its id must be a text, a number of 64 bits, true or false, not {id!r:.40}"
    if not text:
        return "its prompt is empty"
    return "its prompt contains half a character, which is not text" if HALF.search(text) else ""


def is_id(id: object) -> bool:
    if isinstance(id, int):
        return -TOP_ID <= id <= TOP_ID
    if isinstance(id, float):
        return math.isfinite(id)
    return isinstance(id, str) and not HALF.search(id)


@lru_cache
def is_setting(name: str) -> bool:
    """Whether a line's name is that of a setting, or so near to one that it is a mistyped one."""
    return name in OWN or bool(difflib.get_close_matches(name, [*OWN, *IN_BODY], 1, NEAR))


def refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity, which Python's JSON has and nobody else's."""
    raise ValueError(f"{name} is no JSON")
