"""The README's commands do what it says, run as they are printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SETUP = re.compile(r"python3 -m venv \S+ && \S+/pip install -q (?:-e|-r) (\S+) && ")
RULE = "=" * 40


def commands() -> list[str]:
    """Every line of the README's shell blocks that runs something, continuations joined."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def here(command: str) -> str:
    """With the Python that runs the tests, whose environment is set up."""
    command = SETUP.sub("", command).replace(".venv/bin/python", sys.executable)
    return re.sub(r"\bpython3\b", sys.executable, command)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", here(command)], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has: the files that git knows, nothing else."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def test_the_first_two_commands_set_everything_up_by_themselves() -> None:
    first, second = [command for command in commands() if SETUP.match(command)][:2]
    for command in (first, second):
        matched = SETUP.match(command)
        assert matched is not None and (ROOT / matched[1]).exists()
    assert here(second) == f"{sys.executable} -m pytest"


def test_the_first_command_prints_what_stands_below_it(clone: Path) -> None:
    done = run(commands()[0], clone)
    assert done.returncode == 0, done.stderr
    printed = re.search(r"It prints .*?\n```\n(.*?)```", README, re.DOTALL)
    assert printed is not None
    assert printed[1].startswith(f"{RULE} SAMPLE 1 {RULE}\n")
    assert done.stdout.startswith(printed[1])


def test_the_python_example_runs(clone: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 5
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(clone / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = README.partition(" SAMPLE 1 ")[2].partition("\n")[2].partition("\n```")[0]
    assert shown and done.stdout.startswith(shown)  # as the command above it writes


def test_the_chinese_command_prints_what_the_page_says(clone: Path) -> None:
    page = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    command, *others = re.findall(r"^(?:python3|printf) .*$", page, re.MULTILINE)
    printed = re.search(r"得到：\n\n```\n(.*?)```", page, re.DOTALL)
    done = run(command, clone)
    assert printed is not None and done.stdout == printed[1]
    for other in others:
        done = run(other.removesuffix(" | tee samples"), clone)
        assert done.returncode == 0 and done.stdout.startswith(f"{RULE} SAMPLE 1 {RULE}\n")
