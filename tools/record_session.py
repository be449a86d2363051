"""A real session in a pseudo-terminal -> docs/session.svg, as it looked at its end.

    pip install -r requirements-dev.txt
    python3 tools/record_session.py

Nothing is edited: the keys below are pressed, and what the terminal showed is drawn.
"""

from __future__ import annotations

import html
import io
import os
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

import fire
import pexpect
import pyte
import pyte.graphics

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (
    "python3 src/interactive_conditional_samples.py --model_name demo"
    " --top_k 40 --temperature 0.7 --length 60 --seed 7"
)
LINES_TYPED = (
    "Once upon a time there was a king who had",
    "/why 3",
    "/take 4",
    "/undo",
    "/more",
    "/set length 5000",
    "/set no_repeat_ngram 4",
)
LAST_LINE, SECONDS = "The little tailor", 0.3  # until Ctrl-C stops the text
CTRL_C, CTRL_D = "\x03", "\x04"
SHELL_READY = "$ "
READY = "\x1b[?2004h"  # the line editor asks for bracketed paste when it waits for keys
COLUMNS, ROWS = 96, 120
CHARACTER, ROW, MARGIN = 8.43, 19, 16  # pixels
STYLE = """
rect { fill: #15171c }
text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d5d8de }
.bold { font-weight: bold; fill: #fff }
.faint { fill: #858b96 }
"""

pyte.graphics.TEXT[2] = "+italics"  # it knows no faint, and nothing here is in italics


def main(out: str = str(ROOT / "docs" / "session.svg")) -> None:
    """Records the session and writes the picture."""
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.Stream(screen).feed(record())
    Path(out).parent.mkdir(exist_ok=True)
    Path(out).write_text(drawing(screen), encoding="utf-8")


def record() -> str:
    """All that the terminal was sent."""
    with tempfile.TemporaryDirectory() as state:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        shell = pexpect.spawn(
            "bash",
            ["--norc"],
            env=os.environ
            | {"PS1": SHELL_READY, "PATH": path, "XDG_STATE_HOME": state, "TERM": "xterm"},
            cwd=str(ROOT),
            encoding="utf-8",
            dimensions=(ROWS, COLUMNS),
            timeout=120,
        )
        shell.logfile_read = io.StringIO()
        press(shell, SHELL_READY, f"{COMMAND}\r")
        for line in (*LINES_TYPED, LAST_LINE):
            press(shell, READY, f"{line}\r")
        time.sleep(SECONDS)
        shell.send(CTRL_C)
        press(shell, READY, CTRL_D)
        shell.expect_exact(SHELL_READY)
        return shell.logfile_read.getvalue()


def press(shell: pexpect.spawn, ready: str, keys: str) -> None:
    shell.expect_exact(ready)
    time.sleep(0.1)  # what is ready to read keys has yet to draw its line
    shell.send(keys)


def drawing(screen: pyte.Screen) -> str:
    """The screen as SVG."""
    n_rows = max(row for row, text in enumerate(screen.display) if text.strip())  # without "$ "
    width, height = COLUMNS * CHARACTER + 2 * MARGIN, n_rows * ROW + 2 * MARGIN
    texts = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + ROW * (row + 0.75):g}">{spans(screen, row)}</text>'
        for row in range(n_rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" rx="8"/>\n{texts}\n</svg>\n'
    )


def spans(screen: pyte.Screen, row: int) -> str:
    cells = [screen.buffer[row][column] for column in range(len(screen.display[row].rstrip()))]
    parts = []
    for style, group in groupby(cells, lambda c: "bold" if c.bold else "faint" * c.italics):
        text = html.escape("".join(cell.data for cell in group)).replace(" ", "\u00a0")
        parts.append(f'<tspan class="{style}">{text}</tspan>' if style else text)
    return "".join(parts)


if __name__ == "__main__":
    fire.Fire(main)
