"""The streams of a command, and what a person may be shown on them.

stdout carries samples, everything else goes to stderr. Whatever a person sees goes through notice,
aside, complain or show, which let no control character through to the terminal. Knows no samples.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from gpt2_sampler.cli.flags.remedies import describe
from gpt2_sampler.errors import SamplerError
from gpt2_sampler.files import WINDOWS

HARMLESS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {*map(ord, "\n\t")}, "\ufffd")
"""Control characters, which samples, file names and servers' answers may contain and which must not
reach a terminal."""
PATIENCE, TICK = 0.3, 0.01  # seconds
STD_OUTPUT_HANDLE, ENABLE_VIRTUAL_TERMINAL_PROCESSING = -11, 4  # of Windows' console


class OutputError(SamplerError):
    """Nothing more can be written to stdout."""


def drop_what_is_buffered() -> None:
    """What stdout could not take must not fail again later or at exit."""
    descriptor = sys.stdout.fileno()
    kept, nowhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    sys.stdout.flush()
    os.dup2(kept, descriptor)
    os.close(kept)
    os.close(nowhere)


def prepare_streams() -> None:
    """Lets bytes that are not text pass through stdin, and replaces characters that the output
    cannot show. Pipes carry UTF-8 unless PYTHONIOENCODING says otherwise."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: a file opened later must not take its number
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        chosen = "PYTHONIOENCODING" in os.environ or stream.isatty()
        stream.reconfigure(  # type: ignore[union-attr]
            encoding=None if chosen else "utf-8",
            errors="surrogateescape" if stream is sys.stdin else "replace",
        )


class Notices(logging.Handler):
    """Shows the person what the package logs."""

    def emit(self, record: logging.LogRecord) -> None:
        notice(record.getMessage())


def pass_on_logs() -> None:
    """Warnings of libraries are for those who ask Python for them (-W)."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.lastResort = Notices(logging.WARNING)
    log = logging.getLogger("gpt2_sampler")
    log.handlers = [Notices()]
    log.setLevel(logging.INFO)
    log.propagate = False


def notice(text: str, style: str = "{}") -> None:
    """Shows the person one line or several. The stream may be closed."""
    let_samples_arrive()
    with contextlib.suppress(OSError):
        print(style.format(text.translate(HARMLESS)), file=sys.stderr, flush=True)


def let_samples_arrive() -> None:
    """Gives whatever reads stdout, such as tee, a moment to show it before the next stderr line."""
    if sys.platform == "win32" or not sys.stderr.isatty():
        return
    import fcntl
    import termios

    until = time.monotonic() + PATIENCE
    with contextlib.suppress(OSError, ValueError):  # not a pipe, or one that cannot tell
        descriptor = sys.stdout.fileno()
        while stat.S_ISFIFO(os.fstat(descriptor).st_mode) and time.monotonic() < until:
            waiting = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
            time.sleep(TICK)  # to show what has just been taken from the pipe
            if not any(waiting):
                return


def aside(text: str) -> None:
    """Shows a line that matters only to somebody at a terminal."""
    if sys.stderr.isatty():
        notice(text, "\x1b[2m{}\x1b[0m" if wants_colour(sys.stderr) else "{}")


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is coloured, as no-color.org, force-color.org and bixense.com/clicolors say,
    in this order."""
    value = os.environ.get
    if value("NO_COLOR"):
        return False
    if any(value(name, "") not in ("", "0", "false") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and value("CLICOLOR") != "0" and understands_escapes(stream)


def understands_escapes(stream: TextIO) -> bool:
    """Whether escape sequences steer the terminal that the stream leads to. A console of Windows is
    asked to understand them, which none does before Windows 10."""
    if sys.platform != "win32":
        return os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    import ctypes
    import msvcrt

    kernel, mode = ctypes.windll.kernel32, ctypes.c_ulong()
    console = msvcrt.get_osfhandle(stream.fileno())
    if not kernel.GetConsoleMode(console, ctypes.byref(mode)):
        return False
    return bool(kernel.SetConsoleMode(console, mode.value | ENABLE_VIRTUAL_TERMINAL_PROCESSING))


@contextlib.contextmanager
def as_standard_output(stream: TextIO) -> Iterator[None]:
    """Within it a stream is the process's standard output as Windows knows it, where prompt_toolkit
    draws whatever stream it is given. Python's sys.stdout goes where it went before."""
    if sys.platform != "win32":
        yield
        return
    import ctypes
    import msvcrt

    kernel = ctypes.windll.kernel32
    before = kernel.GetStdHandle(STD_OUTPUT_HANDLE)
    kernel.SetStdHandle(STD_OUTPUT_HANDLE, msvcrt.get_osfhandle(stream.fileno()))
    try:
        yield
    finally:
        kernel.SetStdHandle(STD_OUTPUT_HANDLE, before)


def complain(error: Exception, verbose: bool = False) -> None:
    """Says in one line what went wrong and what to type; if verbose, with the traceback of an error
    that is not one of ours."""
    if isinstance(error, SamplerError):
        text = describe(error)
    else:
        if verbose:
            notice("".join(traceback.format_exception(error)).rstrip())
        text = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        if isinstance(error, OSError) and error.strerror:
            text = f"{error.filename or 'a file or a stream'}: {error.strerror}"
        if isinstance(error, MemoryError):
            text = explain_no_room(str(error).strip())
    notice(f"error: {' '.join(text.split(chr(10)))}")


def explain_no_room(said: str) -> str:
    """What a MemoryError means, which seldom says anything itself."""
    text = f"there is no room in memory ({said})" if said else "there is no room in memory"
    if not WINDOWS:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            text += f"; ulimit -v gives this process {limit // 1024:,} kB, which it needs more of"
    return text


def harmless(text: str) -> str:
    """Without control characters, except line breaks and tabs."""
    return text.translate(HARMLESS)


def show(text: str, made_harmless: bool = False) -> None:
    """Writes text to stdout at once. Raises BrokenPipeError, or OutputError if it cannot be
    written."""
    raw = made_harmless or not sys.stdout.isatty()
    try:
        sys.stdout.write(text if raw else harmless(text))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if WINDOWS and error.errno == errno.EINVAL:  # what a closed pipe is called there
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        drop_what_is_buffered()
        raise OutputError(f"stdout cannot be written ({error.strerror or error})") from None
