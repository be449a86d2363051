"""The process around a command: its streams, its exit code, and how it ends when interrupted.

stdout carries samples, everything else goes to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gpt2_sampler.errors import SamplerError

Command = Callable[[Sequence[str], str], None]
"""Takes the words after the program's name, and that name."""


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """Runs a command -> its exit code: 0, 1 failed, 2 misused, 128 + n ended by signal n."""
    program, *words = sys.argv if argv is None else ["", *argv]
    prepare_streams()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        command(words, Path(program).name)
        sys.stdout.flush()
        return 0
    except SamplerError as error:
        notice(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader has what it wanted. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def prepare_streams() -> None:
    """Bytes that are no text pass through stdin; characters that the output cannot show are
    replaced; pipes speak UTF-8 unless PYTHONIOENCODING says otherwise."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is None:
            continue
        chosen = "PYTHONIOENCODING" in os.environ or stream.isatty()
        stream.reconfigure(  # type: ignore[union-attr]
            encoding=None if chosen else "utf-8",
            errors="surrogateescape" if stream is sys.stdin else "replace",
        )


def notice(text: str) -> None:
    """A line for the person, who may have closed the stream."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        pass


def show(text: str) -> None:
    """Text of a sample, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()
