"""Whatever a person sees is one line, in colours where they are wanted and understood."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TextIO, cast

import pytest

from gpt2_sampler.cli.session.terminal import (
    as_standard_output,
    complain,
    understands_escapes,
    wants_colour,
)
from gpt2_sampler.errors import UsageError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UsageError("there is\nno text"), "there is no text"),
        (OSError(28, "No space left on device", "a file"), "a file: No space left on device"),
        (OSError(28, "No space left on device"), "a file or a stream: No space left on device"),
        (OSError("odd"), "OSError: odd"),
        (ValueError("odd\nand long"), "ValueError: odd"),
        (MemoryError(), "there is no room in memory"),
        (MemoryError("for 9 GB"), "there is no room in memory (for 9 GB)"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    complain(error)
    assert capsys.readouterr() == ("", f"error: {said}\n")


class Kernel32:
    """What is asked of Windows. Its console has the handle 7, a pipe any other one."""

    def __init__(self, is_old: bool = False) -> None:
        self.is_old = is_old
        self.mode = 3
        self.output = 5

    def GetConsoleMode(self, handle: int, mode: object) -> bool:
        mode._obj.value = self.mode  # type: ignore[attr-defined]
        return handle == 7

    def SetConsoleMode(self, handle: int, mode: int) -> bool:
        if not self.is_old:
            self.mode = mode
        return not self.is_old

    def GetStdHandle(self, number: int) -> int:
        assert number == -11
        return self.output

    def SetStdHandle(self, number: int, handle: int) -> None:
        assert number == -11
        self.output = handle


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernel32], TextIO]:
    def begin(kernel: Kernel32) -> TextIO:
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
        handles = SimpleNamespace(get_osfhandle=lambda descriptor: descriptor)
        monkeypatch.setitem(sys.modules, "msvcrt", handles)
        for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"):
            monkeypatch.delenv(name, raising=False)
        return cast(TextIO, SimpleNamespace(isatty=lambda: True, fileno=lambda: 7))

    return begin


def test_a_console_of_windows_is_asked_to_understand_colours(
    on_windows: Callable[[Kernel32], TextIO],
) -> None:
    console = on_windows(kernel := Kernel32())
    assert wants_colour(console)
    assert kernel.mode == 3 | 4


def test_one_that_does_not_understand_them_gets_none(
    on_windows: Callable[[Kernel32], TextIO],
) -> None:
    assert not wants_colour(on_windows(Kernel32(is_old=True)))
    pipe = cast(TextIO, SimpleNamespace(isatty=lambda: False, fileno=lambda: 8))
    assert not understands_escapes(pipe) and not wants_colour(pipe)


def test_questions_go_to_the_console_where_samples_go_into_a_pipe(
    on_windows: Callable[[Kernel32], TextIO],
) -> None:
    console = on_windows(kernel := Kernel32())
    with as_standard_output(console):
        assert kernel.output == 7
    assert kernel.output == 5
