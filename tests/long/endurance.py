"""Long runs of the real commands -> a table of their memory, early and late.

    python -m tests.long.endurance [--minutes 30] [--prompts 10000] [--tokens 100000] [--write]

Memory is what the process has for itself, without the files that it maps: at most in the second
tenth of a run, when everything has been used once, and at most in the last one. --write puts the
table into tests/README.md.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO, NamedTuple

import psutil

from tests.long.attack import DEMO, Place, place, put_into_readme, table, take_demo

LOOK = 0.5  # seconds between two looks
MB = 1e6
FLAT = 6.0  # MB that a run may grow by: what is kept of a text of 100,000 tokens takes 4.4
WORDS = 400  # of a prompt at most: some have more tokens than the window


class Result(NamedTuple):
    run: str
    minutes: float
    early: float
    late: float
    """Megabytes."""

    def row(self) -> tuple[str, ...]:
        return (self.run, *(f"{number:.1f}" for number in self[1:]))


def watched(process: subprocess.Popen[bytes], seconds: float | None = None) -> list[float]:
    """The process's own memory in megabytes from time to time, until it ends well or, where
    seconds are given, until they are over."""
    found, began = list[float](), time.monotonic()
    looked_at = psutil.Process(process.pid)
    while process.poll() is None:
        if seconds is not None and time.monotonic() - began > seconds:
            process.terminate()
            process.communicate()
            return found
        try:
            memory = looked_at.memory_info()
        except psutil.Error:
            break
        found.append((memory.rss - getattr(memory, "shared", 0)) / MB)
        time.sleep(LOOK)
    _, errors = process.communicate()
    if process.returncode or seconds is not None:
        raise RuntimeError(f"ended with {process.returncode}: {(errors or b'').decode()}")
    return found


def told(run: str, began: float, memory: list[float]) -> Result:
    tenth = max(1, len(memory) // 10)
    early, late = max(memory[tenth : 2 * tenth] or memory), max(memory[-tenth:])
    return Result(run, (time.monotonic() - began) / 60, early, late)


def endless(here: Place, minutes: float) -> Result:
    began = time.monotonic()
    with here.start("generate", "--model_name", "demo", "--seed", "1") as process:
        memory = watched(process, 60 * minutes)
    return told("samples without end", began, memory)


def prompts(here: Place, count: int) -> Result:
    """Of any length, all through one process."""
    draw, began = random.Random(1), time.monotonic()
    words = (DEMO / "README.md").read_text(encoding="utf-8").split()
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answered:
        for _ in range(count):
            n_words = draw.randrange(1, draw.choice((5, 20, WORDS)))
            asked.write(" ".join(draw.choices(words, k=n_words)).encode() + b"\n")
        asked.seek(0)
        flags = ["--model_name", "demo", "--seed", "1", "--length", "20"]
        # Thousands of remarks on long prompts would fill a pipe that nobody reads meanwhile.
        unread = subprocess.DEVNULL
        with here.start(
            "interactive", *flags, stdin=asked, stdout=answered, stderr=unread
        ) as process:
            memory = watched(process)
        answers = content(answered).count(b"= SAMPLE 1 =")
    if answers != count:
        raise RuntimeError(f"{answers} of {count} prompts were answered")
    return told(f"{count:,} prompts through one process", began, memory)


def sliding(here: Place, tokens: int) -> Result:
    began = time.monotonic()
    flags = ["--model_name", "demo", "--nsamples", "1", "--length", str(tokens), "--ignore_eot"]
    with (
        tempfile.TemporaryFile() as written,
        here.start("generate", *flags, "--seed", "1", stdout=written) as process,
    ):
        memory = watched(process)
        size = len(content(written))
    if size < tokens:
        raise RuntimeError(f"{tokens} tokens have {size} bytes")
    return told(f"one text of {tokens:,} tokens", began, memory)


def content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="of samples without end")
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=100_000, help="of one text")
    parser.add_argument("--write", action="store_true", help="put the table into tests/README.md")
    chosen = parser.parse_args()
    runs: tuple[Callable[[Place], Result], ...] = (
        lambda here: endless(here, chosen.minutes),
        lambda here: prompts(here, chosen.prompts),
        lambda here: sliding(here, chosen.tokens),
    )
    results = []
    for run in runs:
        with place() as here:
            take_demo(here)
            results.append(run(here))
        print(results[-1], file=sys.stderr, flush=True)
    made = table(
        ("what ran", "minutes", "MB early", "MB late"), (result.row() for result in results)
    )
    print(made, end="")
    if chosen.write:
        put_into_readme(made, "tests/long/endurance.py")
    return int(any(result.late - result.early > FLAT for result in results))


if __name__ == "__main__":
    sys.exit(main())
