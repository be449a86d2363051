"""The process around a command: its exit code, and how it ends when it is interrupted.

Knows no samples.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from gpt2_sampler.cli.session.terminal import (
    complain,
    drop_what_is_buffered,
    pass_on_logs,
    prepare_streams,
    show,
)
from gpt2_sampler.compiled import load_library
from gpt2_sampler.errors import SamplerError

Command = Callable[[Sequence[str], str], None]
"""Takes the words after the program's name, and that name."""
SIGPIPE = 13  # Windows has no name for it
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Terminated(SystemExit):
    """The process was asked to end. asyncio lets only SystemExit and its subclasses through."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """Runs a command -> its exit code: 0, or 1 if it failed, 2 if it was misused. If a signal ends
    the process, the shell is told so: a loop around the command must end too."""
    program, *words = sys.argv if argv is None else ["", *argv]
    try:
        prepare_streams()
        pass_on_logs()
        handle_signals()
        handle_bus_errors()
        command(words, Path(program).name)
        show("")  # what is still buffered
        return 0
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except Terminated as end:
        return end_by(end.number)
    except BrokenPipeError:  # the reader has what it wanted
        drop_what_is_buffered()
        return end_by(SIGPIPE)
    except Exception as error:
        if number := signal_behind(error):
            return end_by(number)
        complain(error, verbose="--verbose" in words)
        return error.exit_code if isinstance(error, SamplerError) else SamplerError.exit_code


def handle_signals() -> None:
    """Makes Ctrl-C and the ENDING signals raise exceptions, unless they are ignored (nohup)."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, terminate)


def handle_bus_errors() -> None:
    """Lets the process end in one line if a mapped file is shortened while it is read, where
    bus_error.c could be compiled. Elsewhere the system ends it without a word."""
    library = load_library(Path(__file__).parent, "_bus_error")
    if library is not None and hasattr(library, "handle_bus_errors"):
        library.handle_bus_errors()


def signal_behind(error: BaseException | None) -> int:
    """The signal that is the cause, or 0: native modules turn it into an ImportError."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return signal.SIGINT
        if isinstance(error, Terminated):
            return error.number
        error = error.__cause__ or error.__context__
    return 0


def terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def end_by(number: int) -> int:
    """Ends the process by the signal; gives a shell's exit code for it where that is impossible."""
    if os.name == "posix":
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 128 + number


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C raises nothing; the function that is given turns true instead. A
    second one raises KeyboardInterrupt."""
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
