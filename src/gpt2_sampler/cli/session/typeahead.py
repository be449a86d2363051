"""Keys that are pressed while no question is asked -> kept until the editor asks. Knows no prompts.

A terminal in line mode cuts lines at 4,095 bytes, and would hand out what was pasted line by line,
each of them a prompt.
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

from gpt2_sampler.cli.session.keys import STDIN, give_back, hold, in_front

BURST = 0.05  # seconds without a key after which a burst, such as a paste, is over
CHUNK = 1 << 16  # bytes
QUEUE = 0.3  # seconds to wait for more of what is being pasted


class TypeAhead:
    """The keys of the terminal on stdin, read in a thread, as the terminal's own buffer is small.

    Ctrl-C and Ctrl-Z work as usual. Keys are not echoed while they are collected.
    """

    def __init__(self) -> None:
        self._bursts: list[bytes] = []
        self._last = 0.0  # monotonic time of the last key
        self._thread: threading.Thread | None = None

    def __enter__(self) -> TypeAhead:
        self._collect()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        give_back()

    @contextlib.contextmanager
    def hand_over(self) -> Iterator[list[str]]:
        """Within it somebody else reads the keys; gives what was typed before, one text for each
        burst. The terminal stays out of line mode in between, where a Ctrl-D would be lost."""
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
            until = self._last + QUEUE  # a paste may not have arrived in full
            while time.monotonic() < until and self._come(until - time.monotonic()):
                until = self._last + BURST

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: gives the shell its terminal back as it was."""
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
        """Waits that long for more keys, and keeps them -> whether there were any."""
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
    """Collects keys within it, where that is possible."""
    return contextlib.nullcontext() if sys.platform == "win32" else TypeAhead()


def split_paste(burst: str) -> tuple[str, str]:
    """A burst of keys -> the text that goes into the editor as it is, and the keys to press then.

    A single line keeps its Enter. Several lines are a pasted text, which waits in the editor: the
    person may want to add to it before sending it.
    """
    text = burst.replace("\r\n", "\n").replace("\r", "\n")
    body = text.removesuffix("\n")
    if not all(character.isprintable() or character in "\n\t" for character in body):
        return "", burst
    return body, "\r" * (body != text and "\n" not in body)
