"""A mapped file that is shortened while it is read ends the process in one line, not by SIGBUS."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from gpt2_sampler.cli.session import terminal
from gpt2_sampler.compiled import load_library
from tests.checkpoints import ROOT

pytestmark = pytest.mark.skipif(
    load_library(Path(terminal.__file__).parent, "_bus_error") is None, reason="no C compiler"
)
WHOLE = 4 * mmap.PAGESIZE
READ_WHAT_IS_GONE = """
import os, sys
import numpy as np
from gpt2_sampler.cli.session.keys import hold
from gpt2_sampler.cli.session.quiet import quiet
from gpt2_sampler.cli.session.process import run
from gpt2_sampler.files import map_bytes

def read(words, program):
    hold()
    data = map_bytes(__import__("pathlib").Path(sys.argv[1]))
    os.truncate(sys.argv[1], 1)
    with quiet(verbose=False):
        data[-1]

sys.exit(run(read, []))
"""


def test_the_line_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model \N{SNOWMAN}.safetensors"
    path.write_bytes(bytes(WHOLE))
    done = subprocess.run(
        [sys.executable, "-c", READ_WHAT_IS_GONE, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    named = path if Path("/proc/self/maps").exists() else "a file"
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {named} was shortened, or its disk failed, while it was")
    assert done.stderr.count("\n") == 1


def test_the_terminal_is_usable_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(WHOLE))
    shell = pexpect.spawn(
        "/bin/sh",
        ["-c", '"$0" -c "$1" "$2"; stty -a', sys.executable, READ_WHAT_IS_GONE, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        encoding="utf-8",
        timeout=60,
    )
    shell.expect_exact("was shortened")
    shell.expect_exact(pexpect.EOF)
    assert {"icanon", "echo", "icrnl", "isig"} <= set(str(shell.before).split())
