"""An answer -> the bytes of its body as they come, or one of TRANSIENT. Knows no files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import requests

from gpt2_sampler.fetching.failure import TRANSIENT, Passing

READ = 1 << 18  # bytes at most in one read from a socket
LEAST = 1 << 10  # bytes that must come in the time after which a silent connection counts as dead


def read_body(response: requests.Response, seconds: float, *, decode: bool) -> Iterator[bytes]:
    """The body in pieces, unpacked if decode is set.

    Raises Passing when fewer than LEAST bytes come in so many seconds: a server can send a byte
    now and then, or the frame around the body without end, and no single wait is ever too long.
    """
    came, ended, slow = [0], threading.Event(), threading.Event()

    def watch() -> None:
        before = 0
        while not ended.wait(seconds):
            if came[0] < before + LEAST:
                slow.set()
                with contextlib.suppress(OSError, ValueError):  # it has just ended
                    response.raw.shutdown()
                return
            before = came[0]

    threading.Thread(target=watch, daemon=True).start()
    try:
        while data := response.raw.read1(READ, decode_content=decode):
            came[0] += len(data)
            yield data
    except TRANSIENT:
        if not slow.is_set():
            raise
    finally:
        ended.set()
    if slow.is_set():
        raise Passing(f"it sends less than {LEAST:,} bytes in {seconds:.0f} s")
