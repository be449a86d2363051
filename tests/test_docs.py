"""The pages are true: their commands print what stands below them, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools.write_flags import flags_page

from tests.checkpoints import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md", *DOCS]
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def environment(folder: Path) -> dict[str, str]:
    """Where the commands are those of the Python that runs the tests."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("generate", "conditional", "interactive", "score"):
        program = programs / f"gpt2-{name}"
        program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom gpt2_sampler.cli.commands import start\n"
            f"sys.exit(start.{name}())\n"
        )
        program.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if CONSOLE.search(read(p))], ids=lambda p: p.name
)
def test_commands_print_what_stands_below_them(page: Path, tmp_path: Path) -> None:
    for block in CONSOLE.findall(read(page)):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment(tmp_path),
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            assert done.returncode == 0, done.stderr
            said = [line for line in done.stderr.splitlines() if "is not here" not in line]
            shown = done.stdout or "".join(f"{line}\n" for line in said)
            assert shown == expected, command


@pytest.mark.parametrize("page", [p for p in DOCS if PYTHON.search(read(p))], ids=lambda p: p.name)
def test_python_examples_run(page: Path) -> None:
    for example in PYTHON.findall(read(page)):
        done = subprocess.run(
            [sys.executable, "-c", example],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert (page.parent / name).exists(), name


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_says_first_whom_it_is_for_and_is_in_the_index(page: Path) -> None:
    title, _, first, *_ = read(page).splitlines()
    assert title.startswith("# ") and first.startswith(("For whoever", "給", "For "))
    if page.name != "README.md":
        assert f"({page.name})" in read(ROOT / "docs" / "README.md")
        assert page.name in read(ROOT / "mkdocs.yml")


def test_the_page_of_flags_is_what_the_settings_say() -> None:
    assert read(ROOT / "docs" / "flags.md") == flags_page(), "python3 tools/write_flags.py"


def test_the_readme_takes_a_minute() -> None:
    text = read(ROOT / "README.md")
    assert len(text) <= 6500 and len(text.splitlines()) <= 110


def test_the_pages_render_as_a_site(tmp_path: Path) -> None:
    if shutil.which("mkdocs") is None and not (Path(sys.executable).parent / "mkdocs").exists():
        pytest.skip("mkdocs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
