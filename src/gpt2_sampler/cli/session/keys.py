"""The terminal on stdin: from line mode, which cuts lines at 4,095 bytes, to single keys and back.

Imports next to nothing, as it is the first thing that a session does.
"""

from __future__ import annotations

import os
import sys

if sys.platform != "win32":
    import termios

STDIN = 0
usual: list | None = None
"""The terminal's settings before hold changed them."""


def hold() -> bool:
    """From now on keys are neither cut nor echoed; Ctrl-C and Ctrl-Z work as usual. False if stdin
    is not a terminal, or not this process's to change."""
    global usual  # noqa: PLW0603
    if sys.platform == "win32" or not os.isatty(STDIN) or not in_front():
        return False
    usual = usual or termios.tcgetattr(STDIN)
    held = [*usual[:6], [*usual[6]]]
    held[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    held[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
    held[6][termios.VMIN], held[6][termios.VTIME] = 1, 0
    termios.tcsetattr(STDIN, termios.TCSANOW, held)
    return True


def give_back() -> None:
    """Undoes hold."""
    if sys.platform == "win32" or usual is None:
        return
    try:
        if in_front():
            termios.tcsetattr(STDIN, termios.TCSANOW, usual)
    except (OSError, termios.error):  # the terminal is gone
        pass


def in_front() -> bool:
    """Whether this is the foreground process: another one would be stopped for touching it."""
    return sys.platform != "win32" and os.tcgetpgrp(STDIN) == os.getpgrp()
