"""What an error knows becomes words that can be typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpt2_sampler import files
from gpt2_sampler.cli.flags import remedies
from gpt2_sampler.cli.flags.remedies import CHANGES, command, describe
from gpt2_sampler.errors import SamplerError
from tests.checkpoints import ROOT


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gpt2-generate"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()


def test_without_facts_the_message_says_it_all() -> None:
    assert describe(SamplerError("it failed")) == "it failed"
    assert describe(SamplerError("it failed", elsewhere=1)) == "it failed"


def test_settings_that_fit_are_flags() -> None:
    error = SamplerError("no room", fits={"precision": "int8", "batch_size": 2})
    assert describe(error) == "no room; what fits: --precision int8 --batch_size 2"


def test_each_setting_that_may_help_has_its_words() -> None:
    for name in CHANGES:
        assert f"--{name}" in describe(SamplerError("no", change=[name]))
    both = describe(SamplerError("no room", change=["batch_size", "length"]))
    assert both == "no room; try a smaller --batch_size; try a shorter --length"


def test_a_missing_package_is_installed_for_the_python_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/an environment/bin/python")
    said = describe(SamplerError("no", package="tensorflow[and-cuda]"))
    assert said.endswith("type: '/an environment/bin/python' -m pip install 'tensorflow[and-cuda]'")


def test_an_environment_of_uv_has_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/an environment/bin/python")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = describe(SamplerError("no", package="h5py"))
    assert said.endswith("type: uv pip install -p '/an environment/bin/python' h5py")


def test_a_model_that_can_be_fetched_has_its_command() -> None:
    assert describe(SamplerError("no", fetch=("117M", None))).endswith("with: gpt2-download 117M")
    elsewhere = describe(SamplerError("no", fetch=("117M", "my models")))
    assert elsewhere.endswith("with: gpt2-download 117M --models_dir 'my models'")


@pytest.mark.parametrize("where", [".", "src", "tests/cli", "/"])
def test_from_a_checkout_a_command_can_be_pasted_where_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(ROOT / where)
    monkeypatch.setattr(sys, "argv", ["any/script.py"])
    line = command("gpt2-download", "--list")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert "117M = 124M" in done.stdout


def test_a_script_runs_with_the_python_that_has_its_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("python3", "my python"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["any/script.py"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert command("gpt2-download").startswith("python3 ")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my python"))
    assert command("gpt2-download").startswith("'my python' ")


def test_a_program_that_the_shell_does_not_find_is_a_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gpt2-download").touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "gpt2-generate")])
    assert command("gpt2-download", "117M") == "bin/gpt2-download 117M"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert command("gpt2-download", "117M") == "gpt2-download 117M"


def test_a_file_of_a_released_model_can_be_fetched_and_no_other() -> None:
    here = SamplerError("damaged", file=Path("models/117M/encoder.json"))
    assert describe(here) == ("damaged; gpt2-download 117M fetches what is missing or damaged")
    there = SamplerError("damaged", file=Path("/kept/117M/encoder.json"))
    assert "gpt2-download 117M --models_dir /kept fetches" in describe(there)
    assert describe(SamplerError("damaged", file=Path("models/own/vocab.bpe"))) == "damaged"


def test_on_windows_a_command_is_typed_as_its_shell_takes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripts = tmp_path / "my env" / "Scripts"
    scripts.mkdir(parents=True)
    (scripts / "gpt2-download.exe").touch()
    monkeypatch.setattr(sys, "argv", [str(scripts / "gpt2-generate.exe")])
    monkeypatch.setattr(remedies, "WINDOWS", True)
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(remedies.shutil, "which", lambda name: None)
    assert command("gpt2-download", "117M", "--models_dir", "a b") == (
        '"my env/Scripts/gpt2-download.exe" 117M --models_dir "a b"'
    )
