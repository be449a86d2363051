"""Keys at a terminal -> what was typed, with line editing and history. Knows no prompts."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import create_output
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal

from gpt2_sampler.cli.session.terminal import as_standard_output, aside, let_samples_arrive, notice
from gpt2_sampler.cli.session.typeahead import TypeAhead, split_paste
from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import own_folder

# Otherwise prompt_toolkit prints a warning on terminals that do not report the cursor's position.
os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")


AT_ONCE = 64  # characters: fewer may be the keys of somebody who types fast
PAUSE = 0.02  # seconds without a key after which a paste is over
CHUNK, LONGEST = 1 << 16, 1 << 24  # bytes to read in one go, characters of one paste
MOST = 100_000
"""Characters of one paste that go into the editor, which looks at all of them at each key. No
model's window holds as many."""
CTRL_C, END_OF_PASTE = "\x03", "\x1b[201~"
NOT_PLAIN = re.compile(r"(\x1b.{0,16}|[\x00-\x1f\x7f-\x9f])", re.DOTALL)


if sys.platform == "win32":

    def keyboard() -> Input:
        return create_input(sys.stdin)

else:
    from prompt_toolkit.input.vt100 import Vt100Input

    class Keyboard(Vt100Input):
        """Takes text that comes at once as one paste, also where the terminal does not mark it as
        such: key by key, each would be kept for undo, with all of the text before it."""

        left_out = 0
        """Characters of pastes that were too long."""

        def read_keys(self) -> list[KeyPress]:
            text = self._read()
            if text == CTRL_C and self.vt100_parser._in_bracketed_paste:
                text = END_OF_PASTE + CTRL_C  # of one that has no end, and would take every key
            if len(text) < AT_ONCE:
                self.vt100_parser.feed(text)
            else:
                self._take(text)
            presses, self._buffer = self._buffer, []
            return [self._shorten(press) for press in presses]

        def _read(self) -> str:
            """What has been typed or pasted, and what comes with it without a pause."""
            text = self.stdin_reader.read(CHUNK)
            parts, length = [text], len(text)
            while AT_ONCE <= length < LONGEST and select.select([self], [], [], PAUSE)[0]:
                text = self.stdin_reader.read(CHUNK)
                if not text:
                    break
                parts.append(text)
                length += len(text)
            return "".join(parts)

        def _take(self, text: str) -> None:
            """Keys go through the parser, as does what may end an escape sequence; the plain text
            between them is one paste each."""
            parser, rest = self.vt100_parser, len(text)
            for n, part in enumerate(("", text[:16], *NOT_PLAIN.split(text[16:]))):
                rest -= len(part)
                if n % 2 or len(part) < 2:
                    parser.feed(part)
                else:
                    self._buffer.append(KeyPress(Keys.BracketedPaste, part))
                if parser._in_bracketed_paste:  # prompt_toolkit has no public name for it
                    parser.feed(text[len(text) - rest :])
                    return

        def _shorten(self, press: KeyPress) -> KeyPress:
            if press.key != Keys.BracketedPaste or len(press.data) <= MOST:
                return press
            self.left_out += len(press.data) - MOST
            return KeyPress(press.key, press.data[-MOST:])

    def keyboard() -> Input:
        return Keyboard(sys.stdin)


class Editor:
    """Asks questions on the terminal that stderr leads to, or else stdout."""

    def __init__(self, is_open: Callable[[str], bool], typed: TypeAhead | None = None) -> None:
        """is_open says whether Enter adds a line to the text typed so far, rather than sending it;
        typed holds the keys that were pressed before a question."""
        self._typed = typed
        keys = KeyBindings()

        @keys.add("enter")
        def enter(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if is_open(buffer.text):
                buffer.newline(copy_margin=False)
            else:
                buffer.validate_and_handle()

        @keys.add(Keys.Vt100MouseEvent)
        def ignore(event: KeyPressEvent) -> None:
            """Colours in a pasted text look like a mouse, by which prompt_toolkit is upset."""

        stream = sys.stderr if sys.stderr.isatty() else sys.stdout
        with as_standard_output(stream):
            output = PlainTextOutput(stream) if is_dumb_terminal() else create_output(stream)
        self._keyboard = keyboard()
        with create_app_session(
            input=self._keyboard, output=output
        ):  # PromptSession(output=...) would ignore TERM=dumb
            self._session: PromptSession[str] = PromptSession(
                history=history(),
                key_bindings=keys,
                multiline=True,  # so that a paste may hold line breaks
                prompt_continuation="... ",
                enable_suspend=True,
                reserve_space_for_menu=0,
                input_processors=[Unjoined()],
            )

    def _before_it(self) -> AbstractContextManager[list[str]]:
        return self._typed.hand_over() if self._typed else nullcontext([])

    def ask(self, question: str) -> str | None:
        """What was typed; None if the person leaves, with Ctrl-D or with Ctrl-C twice."""
        # Only a styled question keeps the space at its end, which programs may wait for.
        styled = FormattedText([("bold ansidefault", question)])
        cleared = False
        while True:
            try:
                with self._before_it() as bursts:
                    let_samples_arrive()
                    store_typeahead(self._session.input, keys_of(bursts))
                    text = self._session.prompt(styled)
                self._tell_what_is_left_out()
                return text
            except EOFError:
                return None
            except KeyboardInterrupt:
                if cleared and not self._session.default_buffer.text:
                    return None
                cleared = True
                aside("Ctrl-C again leaves")

    def _tell_what_is_left_out(self) -> None:
        if n_characters := getattr(self._keyboard, "left_out", 0):
            notice(
                f"the first {n_characters:,} characters of what was pasted are left out; "
                "--prompt_file FILE continues a text of any length"
            )
            self._keyboard.left_out = 0  # type: ignore[attr-defined]


def keys_of(bursts: Iterable[str]) -> list[KeyPress]:
    """What was typed before the question, as if it were typed now; pastes stay pastes."""
    presses = list[KeyPress]()
    parser = Vt100Parser(presses.append)
    for burst in bursts:
        text, keys = split_paste(burst)
        if text:
            presses.append(KeyPress(Keys.BracketedPaste, text))
        parser.feed(keys)
        parser.flush()
    return presses


class Unjoined(Processor):
    """Shows joined emoji side by side, and flags as their two letters. prompt_toolkit counts the
    columns of every part, most terminals those of the one picture they make; deleting them would
    delete part of the question as well."""

    def apply_transformation(self, line: TransformationInput) -> Transformation:
        apart = [(style, text.translate(APART), *more) for style, text, *more in line.fragments]
        return Transformation(apart)  # type: ignore[arg-type]


FLAG_A = 0x1F1E6
APART = {0x200D: 0x200C} | {FLAG_A + n: ord("A") + n for n in range(26)}  # joiner, non-joiner


def history() -> History:
    """Kept between runs if the state folder can be written to."""
    try:
        path = own_folder("state") / "history"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return KeptHistory(path) if path.is_file() else InMemoryHistory()
    except (OSError, UsageError):
        return InMemoryHistory()


class KeptHistory(FileHistory):
    """Survives a file that fails, and content that is not text: neither may end the session."""

    def load_history_strings(self) -> Iterable[str]:
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string.encode("utf-8", "replace").decode())
