"""The process around a command: its streams, its exit code, and how it ends when interrupted.

Knows no samples: stdout carries them, everything else goes to stderr.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from gpt2_sampler.cli.remedies import described
from gpt2_sampler.errors import SamplerError

Command = Callable[[Sequence[str], str], None]
"""Takes the words after the program's name, and that name."""
HARMLESS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {*map(ord, "\n\t")}, "\ufffd")
"""A model can write any character; those that steer a terminal must not reach one."""
SIGPIPE = 13  # Windows has no name for it


class Terminated(SystemExit):
    """The process was asked to end; asyncio lets no other exceptions than SystemExit through."""


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """Runs a command -> its exit code: 0, 1 failed, 2 misused. Ended by a signal, the process
    ends as that signal ends one, so that a shell's loop around it ends too."""
    program, *words = sys.argv if argv is None else ["", *argv]
    prepare_streams()
    pass_on_logs()
    signal.signal(signal.SIGTERM, terminate)
    try:
        command(words, Path(program).name)
        sys.stdout.flush()
        return 0
    except SamplerError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except Terminated:
        return end_by(signal.SIGTERM)
    except BrokenPipeError:
        # The reader has what it wanted. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return end_by(SIGPIPE)
    except Exception as error:
        if "--verbose" in words:
            raise
        first_line = str(error).strip().partition("\n")[0]
        notice(f"error: {type(error).__name__}: {first_line}")
        return SamplerError.exit_code


def terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(128 + number)


def end_by(number: int) -> int:
    """Ends the process by the signal; where that cannot be, the exit code that shells make of it"""
    if os.name == "posix":
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 128 + number


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C raises nothing at first: it makes the function given true. A second one
    raises KeyboardInterrupt."""
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


def prepare_streams() -> None:
    """Bytes that are no text pass through stdin; characters that the output cannot show are
    replaced; pipes speak UTF-8 unless PYTHONIOENCODING says otherwise."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: a file opened later must not take its place
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        chosen = "PYTHONIOENCODING" in os.environ or stream.isatty()
        stream.reconfigure(  # type: ignore[union-attr]
            encoding=None if chosen else "utf-8",
            errors="surrogateescape" if stream is sys.stdin else "replace",
        )


class Notices(logging.Handler):
    """What the package logs is for the person."""

    def emit(self, record: logging.LogRecord) -> None:
        notice(record.getMessage())


def pass_on_logs() -> None:
    log = logging.getLogger("gpt2_sampler")
    log.handlers = [Notices()]
    log.setLevel(logging.INFO)
    log.propagate = False


def notice(text: str) -> None:
    """A line for the person, who may have closed the stream."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def complain(error: SamplerError) -> None:
    """What went wrong and what to type, in one line."""
    notice(f"error: {described(error)}")


def aside(text: str) -> None:
    """A line that only somebody at a terminal wants to see."""
    if sys.stderr.isatty():
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        notice(text if plain else f"\x1b[2m{text}\x1b[0m")


def show(text: str) -> None:
    """Text of a sample, at once."""
    sys.stdout.write(text.translate(HARMLESS) if sys.stdout.isatty() else text)
    sys.stdout.flush()
