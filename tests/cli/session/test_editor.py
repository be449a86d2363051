"""What comes from a keyboard at once is a paste, however it is marked and cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are not for Windows", allow_module_level=True)

from prompt_toolkit.keys import Keys

from gpt2_sampler.cli.session.editor import AT_ONCE, MOST, Keyboard

BEGIN, END = "\x1b[200~", "\x1b[201~"
LONG = "Once upon a time there was a king. " * 20


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin, os.fdopen(master):
        yield Keyboard(stdin)


def read(keyboard: Keyboard, *arrivals: str) -> list[tuple[str, str]]:
    """The keys and the text of each, of texts that arrive one after another."""
    presses = []
    for text in arrivals:
        keyboard._read = lambda text=text: text  # type: ignore[method-assign,misc]
        presses += keyboard.read_keys()
    return [(str(press.key), press.data) for press in presses]


PASTE = str(Keys.BracketedPaste)


def text_of(presses: list[tuple[str, str]]) -> str:
    return "".join(data for _, data in presses)


def test_typed_keys_are_keys(keyboard: Keyboard) -> None:
    assert read(keyboard, "Once\r\x1b[A") == [
        *((c, c) for c in "Once"),
        ("Keys.ControlM", "\r"),
        ("Keys.Up", "\x1b[A"),
    ]


def test_a_paste_that_is_not_marked_is_a_few_keys(keyboard: Keyboard) -> None:
    presses = read(keyboard, f"{LONG}\r{LONG}")
    assert text_of(presses) == f"{LONG}\r{LONG}"
    assert len(presses) < 20
    assert [key for key, _ in presses[-3:]] == [PASTE, "Keys.ControlM", PASTE]


@pytest.mark.parametrize("cut", [0, 1, 3, 6, 7, 30, 400])
def test_a_paste_that_is_marked_is_one_key_wherever_it_is_cut(keyboard: Keyboard, cut: int) -> None:
    whole = f"{LONG}{BEGIN}{LONG}\n{LONG}{END}{LONG}"
    at = len(LONG) + cut
    presses = read(keyboard, whole[:at], whole[at:])
    assert text_of(presses) == f"{LONG}{LONG}\n{LONG}{LONG}"
    assert (PASTE, f"{LONG}\n{LONG}") in presses


@pytest.mark.parametrize("cut", range(8))
def test_keys_between_texts_stay_keys_wherever_they_are_cut(keyboard: Keyboard, cut: int) -> None:
    whole = f"{LONG}\x1b[1;5D{LONG}"
    at = len(LONG) + cut
    presses = read(keyboard, whole[:at], whole[at:])
    assert [data for key, data in presses if key == "Keys.ControlLeft"] == ["\x1b[1;5D"]
    assert text_of(presses) == whole


def test_of_a_paste_beyond_all_windows_the_end_is_kept(keyboard: Keyboard) -> None:
    presses = read(keyboard, "x" * 16 + "a" * 1000 + "b" * MOST)
    assert presses[16:] == [(PASTE, "b" * MOST)] and keyboard.left_out == 1000
    assert len(text_of(read(keyboard, f"{BEGIN}{'a' * 1000}{'b' * MOST}{END}"))) == MOST
    assert keyboard.left_out == 2000


def test_what_a_terminal_sends_without_a_pause_is_read_in_one_go() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave) as stdin, os.fdopen(master, "wb", buffering=0) as terminal:
        keyboard = Keyboard(stdin)
        with keyboard.raw_mode():
            terminal.write(b"a" * (AT_ONCE - 1))
            assert len(keyboard.read_keys()) == AT_ONCE - 1
            terminal.write(b"a" * 3000)
            assert len(keyboard.read_keys()) == 17


def test_ctrl_c_ends_a_paste_that_has_no_end(keyboard: Keyboard) -> None:
    presses = read(keyboard, f"{BEGIN}{LONG}", "more\r", "\x03", "k")
    assert presses == [(PASTE, f"{LONG}more\r"), ("Keys.ControlC", "\x03"), ("k", "k")]
    assert (PASTE, f"{LONG}\x03") in read(keyboard, f"{BEGIN}{LONG}\x03{END}")
