"""The scripts start as articles start them, and Ctrl-C ends them from their first line on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import ROOT

SCRIPTS = [ROOT / "download_model.py", *sorted((ROOT / "src").glob("*.py"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_started_by_its_path(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")


PRESS = """
import os, runpy, signal, sys

def press(event, arguments):
    if event == "import" and arguments[0] == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(press)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of Windows cannot be sent")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_ctrl_c_before_the_package_is_imported_prints_nothing(script: Path) -> None:
    for imported in ("gpt2_sampler", "gpt2_sampler.cli.session.keys"):
        done = subprocess.run(
            [sys.executable, "-c", PRESS, script, imported],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            check=False,
        )
        assert (done.returncode, done.stderr) == (-signal.SIGINT, b""), imported


@pytest.mark.skipif(sys.platform != "linux", reason="counts its threads")
def test_numpy_starts_no_threads_for_a_command_unless_it_is_told_to() -> None:
    modules = "gpt2_sampler.cli.commands.start, numpy, os"
    count = f"import {modules}; print(len(os.listdir('/proc/self/task')))"
    without = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    for asked, threads in ({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, min(2, os.cpu_count() or 1)):
        environment = {**without, **asked, "PYTHONPATH": str(ROOT / "src")}
        counted = subprocess.check_output([sys.executable, "-c", count], env=environment)
        assert int(counted) == threads
