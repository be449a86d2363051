"""Samples at a terminal: lines that fit, wide characters whole, paint where it is wanted.

The engine is fake (fake_command.py): it writes BOOK from where the prompt ends.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are not for Windows", allow_module_level=True)

import pexpect
import pyte

from gpt2_sampler.cli.session.display import colours
from tests.cli.commands.test_unconditional import command, complete, environment, run
from tests.fake_command import make_folder

if sys.platform == "linux":
    from tests.forked import ForkedSession as Session
else:
    from pexpect import spawn as Session

PROMPT = "Once"
TEXT = (
    "There was a king, and 从前有一个国王，他有三个女儿，她们住在一座很大的城堡里 "
    "with é€😀 towers so high that nobody\never saw an end of them."
)
BOOK = f"{'x' * len(PROMPT)}{TEXT}|"
ESCAPE = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_folder(folder / "fake", n_ctx=997)
    return folder


def written(
    models: Path, *flags: str, columns: int = 80, variables: dict[str, str] | None = None
) -> str:
    """All that the command writes to a terminal."""
    words = command("gpt2-interactive", models, "--prompt", PROMPT, "--length", "400", *flags)
    base = environment(BOOK)
    for name in ("NO_COLOR", "COLORTERM", "COLUMNS", "LINES"):
        base.pop(name, None)
    base |= {"TERM": "xterm-256color"} | (variables or {})
    session = Session(
        words[0], words[1:], env=base, encoding="utf-8", timeout=20, dimensions=(50, columns)
    )
    try:
        session.expect(pexpect.EOF)
        return str(session.before)
    finally:
        session.close(force=True)


def sample(shown: str) -> str:
    """What stands between the header and the remark."""
    return shown.replace("\r", "").split("=\n", 1)[1].split("\n\x1b[2m[")[0].split("\n[")[0]


def screen(shown: str, columns: int) -> list[str]:
    """The lines of a terminal that was given it; it wraps by itself what does not fit."""
    terminal = pyte.Screen(columns, 50)
    pyte.Stream(terminal).feed(shown)
    return [line.rstrip() for line in terminal.display]


def test_lines_break_at_words_and_between_wide_characters(models: Path) -> None:
    shown = sample(written(models))
    assert shown.split("\n") == [
        "There was a king, and 从前有一个国王，他有三个女儿，她们住在一座很大的城堡里",
        "with é€😀 towers so high that nobody",
        "ever saw an end of them.",
    ]
    assert screen(shown.replace("\n", "\r\n"), 80)[:3] == shown.split("\n")


@pytest.mark.parametrize("columns", [20, 33, 47])
def test_no_line_is_wrapped_by_the_terminal_itself(models: Path, columns: int) -> None:
    shown = sample(written(models, columns=columns))
    lines = shown.split("\n")
    assert screen(shown.replace("\n", "\r\n"), columns)[: len(lines)] == lines
    assert "".join(shown.split()) == "".join(TEXT.split())


def test_nowrap_and_pipes_get_the_text_as_it_is(models: Path) -> None:
    assert sample(written(models, "--nowrap", columns=20)) == TEXT
    flags = "--prompt", PROMPT, "--length", "400", "--color"
    piped = run("gpt2-interactive", models, *flags, book=BOOK).stdout.decode()
    assert TEXT in piped and "\x1b" not in piped


@pytest.mark.parametrize(
    ("variables", "code"),
    [({}, "48;5;"), ({"COLORTERM": "truecolor"}, "48;2;"), ({"TERM": "xterm-direct"}, "48;2;")],
)
def test_paint_is_in_the_colours_that_the_terminal_has(
    models: Path, variables: dict[str, str], code: str
) -> None:
    shown = written(models, "--color", variables=variables)
    assert code in sample(shown)
    assert set(re.findall(r"48;\d;", shown)) == {code}
    assert shown.count("top 1,000") == 1


def test_half_a_character_is_shown_as_its_bytes_in_lines_that_fit(models: Path) -> None:
    shown = ESCAPE.sub("", sample(written(models, "--color")))
    assert "<E4><BB><8E>从" in "".join(shown.split())
    assert "<F0><9F><98><80>😀" in "".join(shown.split())
    assert "nobody↵\n" in shown
    lines = shown.split("\n")
    assert screen(shown.replace("\n", "\r\n"), 80)[: len(lines)] == lines


def test_a_line_ends_without_paint(models: Path) -> None:
    for line in sample(written(models, "--color", columns=30)).split("\n"):
        assert "\x1b[" not in line or line.endswith("\x1b[0m")


@pytest.mark.parametrize(
    "variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "COLORTERM": "truecolor"}]
)
def test_there_is_no_paint_where_none_is_wanted(models: Path, variables: dict[str, str]) -> None:
    shown = written(models, "--color", variables=variables)
    assert "48;" not in shown and "top 10" not in shown and "<" not in shown
    assert "é€😀" in shown


@pytest.mark.parametrize(
    ("variables", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "3", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"CLICOLOR": "0"}, False, False),
        ({"CLICOLOR": "1"}, True, False),
        ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "unknown"}, False, False),
        ({"TERM": ""}, True, False),
    ],
)
def test_colours_are_where_the_usual_variables_want_them(
    variables: dict[str, str], terminal: bool, pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | variables).items():
        monkeypatch.setenv(name, value)
    for isatty, wanted in ((True, terminal), (False, pipe)):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda isatty=isatty: isatty)
        assert (colours(stream) > 0) is wanted


def test_paint_goes_through_a_pipe_where_it_is_forced(models: Path) -> None:
    words = command("gpt2-interactive", models, "--prompt", PROMPT, "--length", "9", "--color")
    shown = {
        forced: complete(words, env=environment(BOOK, FORCE_COLOR=forced)).stdout
        for forced in ("", "1")
    }
    assert b"48;5;" in shown["1"] and b"\x1b" not in shown[""]
    assert re.sub(rb"\x1b\[[\d;]*m", b"", shown["1"]).startswith(shown[""][:100])


@pytest.fixture
def scored(models: Path) -> Iterator[str]:
    program = [sys.executable, *command("gpt2-score", models)[1:3]]
    flags = ["--models_dir", str(models), "--model_name", "fake", "--show", "--text", TEXT]
    env = environment(None, TERM="xterm-256color") | {"COLORTERM": "truecolor"}
    session = Session(
        program[0], [*program[1:], *flags], env=env, encoding="utf-8", dimensions=(50, 80)
    )
    session.expect(pexpect.EOF)
    yield str(session.before).replace("\r", "")
    session.close(force=True)


def test_a_scored_text_is_painted_by_rank_with_a_mark_for_each_class(scored: str) -> None:
    legend, shown = scored.split("\n\n")[:2]
    assert "top 1,000" in legend
    assert ESCAPE.sub("", shown).startswith("There was a king, and")
    assert "<BB>" in ESCAPE.sub("", shown)
    codes = set(re.findall(r"\x1b\[((?:[14];)*)38;2", shown))
    assert codes >= {"", "4;", "1;4;"}  # of 257 tokens some are of rank 101 to 257, none beyond
