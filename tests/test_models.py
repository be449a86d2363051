"""A name finds its folder, or one line says what to type."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from gpt2_sampler.errors import UsageError
from gpt2_sampler.models import find_default, find_model, models_folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["gpt2-generate"])
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_models_are_here_where_there_is_such_a_folder(models: Path) -> None:
    assert models_folder() == Path("models")
    models.rmdir()
    assert models_folder() == models.parent / "data" / "gpt2-sampler" / "models"
    assert models_folder("elsewhere") == Path("elsewhere")


def test_either_name_of_the_same_weights_will_do_in_any_case(models: Path) -> None:
    (models / "124M").mkdir()
    for name in ("117M", "124M", "124m"):
        assert find_model(name) == Path("models/124M")


def test_who_names_none_gets_the_default_or_the_demo_with_a_notice(models: Path) -> None:
    folder, notice = find_default()
    assert (folder / "hparams.json").exists()
    assert notice is not None and notice.endswith("gpt2-download 117M")
    (models / "117M").mkdir()
    assert find_default() == (Path("models/117M"), None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("345M", "download it with: gpt2-download 345M"),
        ("demos", "did you mean demo?"),
        ("mine2", "did you mean mine?"),
        ("x", "there are 117M, 1558M, 345M, 774M, demo, mine"),
        ("", "there is no model ''"),
    ],
)
def test_a_name_without_a_folder_says_what_to_type(models: Path, name: str, says: str) -> None:
    (models / "mine").mkdir()
    with pytest.raises(UsageError, match=re.escape(says)):
        find_model(name)


def test_from_a_checkout_the_command_is_the_script(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["src/generate_unconditional_samples.py"])
    with pytest.raises(UsageError, match=r"python3 download_model\.py 117M --models_dir other"):
        find_model("117M", "other")
