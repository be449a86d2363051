"""Keys that are pressed while nobody asks -> kept whole, until the editor asks. Knows no prompts.

A terminal that waits for whole lines cuts them at 4,095 bytes, and hands out what was pasted as
one line after another, each of them a prompt.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import FrameType

from gpt2_sampler.cli.keys import STDIN, give_back, hold, in_front

BURST = 0.05  # seconds without a key that part what was pasted from what was typed
CHUNK = 1 << 16  # bytes
QUEUE = 0.3  # seconds that what is being pasted may take to go on


class TypeAhead:
    """The keys of the terminal on stdin, read from a thread: the terminal's own buffer is small.

    Ctrl-C and Ctrl-Z work as before. As long as keys are collected, none is shown.
    """

    def __init__(self) -> None:
        self._bursts: list[bytes] = []
        self._last = 0.0  # when the last key came, by the monotonic clock
        self._thread: threading.Thread | None = None

    def __enter__(self) -> TypeAhead:
        self._collect()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        give_back()

    @contextlib.contextmanager
    def handed_over(self) -> Iterator[list[str]]:
        """Within it somebody else reads the keys; gives what was typed before, a text for each
        burst of them. The terminal waits for no lines in between: a Ctrl-D would be lost there."""
        self._leave()
        bursts, self._bursts = self._bursts, []
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            yield [decoder.decode(burst) for burst in bursts]
        finally:
            self._collect()

    def _collect(self) -> None:
        if not hold():
            return
        self._before = signal.signal(signal.SIGTSTP, self._suspend)
        self._stop, self._wake = os.pipe()
        thread = threading.Thread(target=self._read, args=(self._stop,), daemon=True)
        thread.start()
        self._thread = thread

    def _leave(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            signal.signal(signal.SIGTSTP, self._before)
            os.close(self._wake)
            thread.join()
            os.close(self._stop)
            until = self._last + QUEUE  # what is being pasted has not all come yet
            while time.monotonic() < until and self._come(until - time.monotonic()):
                until = self._last + BURST

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its terminal as it was."""
        self._leave()
        give_back()
        os.kill(os.getpid(), signal.SIGTSTP)
        self._collect()

    def _read(self, stop: int) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            while True:
                ready, _, _ = select.select([STDIN, stop], [], [])
                if stop in ready or not self._keep():
                    return

    def _come(self, seconds: float) -> bool:
        """Whether more keys came, and were kept, within that time."""
        with contextlib.suppress(OSError):
            ready, _, _ = select.select([STDIN], [], [], seconds)
            return bool(ready) and self._keep()
        return False

    def _keep(self) -> bool:
        if not in_front():
            return False
        keys, now = os.read(STDIN, CHUNK), time.monotonic()
        if keys and self._bursts and now < self._last + BURST:
            self._bursts[-1] += keys
        elif keys:
            self._bursts.append(keys)
        self._last = now
        return bool(keys)


def type_ahead() -> AbstractContextManager[TypeAhead | None]:
    """Collects keys within it, where that can be done."""
    return contextlib.nullcontext() if sys.platform == "win32" else TypeAhead()


def pasted(burst: str) -> tuple[str, str]:
    """A burst of keys -> the text in it that goes into a line as it is, and the keys after it.

    One line with Enter is a line with Enter. Several are a text that was pasted: whether that is a
    prompt, and what else belongs to it, the person says who sees it.
    """
    text = burst.replace("\r\n", "\n").replace("\r", "\n")
    body = text.removesuffix("\n")
    if not all(character.isprintable() or character in "\n\t" for character in body):
        return "", burst
    return body, "\r" * (body != text and "\n" not in body)
