"""A name finds its folder, or one line says which names there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpt2_sampler import registry
from gpt2_sampler.errors import UsageError
from gpt2_sampler.registry import find_default, find_model, models_folder
from tests.checkpoints import ROOT


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_models_are_here_where_there_is_such_a_folder(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models_folder() == Path("models")
    models.rmdir()
    assert models_folder() == ROOT / "models"
    monkeypatch.setattr(registry, "checkout", lambda: None)
    assert models_folder() == models.parent / "data" / "gpt2-sampler" / "models"
    assert models_folder("elsewhere") == Path("elsewhere")


def test_either_name_of_the_same_weights_will_do_in_any_case(models: Path) -> None:
    (models / "124M").mkdir()
    for name in ("117M", "124M", "124m"):
        assert find_model(name) == Path("models/124M")


def test_who_names_none_gets_the_default_or_the_demo_with_a_notice(models: Path) -> None:
    assert (find_default() / "hparams.json").exists()
    (models / "117M").mkdir()
    assert find_default() == Path("models/117M")


def test_a_path_will_do_for_a_name(models: Path) -> None:
    run = models.parent / "checkpoint" / "run1"
    run.mkdir(parents=True)
    (run / "model-1000.index").touch()
    assert find_model("checkpoint/run1") == Path("checkpoint/run1")
    assert find_model(str(run)) == run
    for name in ("model-1000", "model-1000.index"):
        assert find_model(f"checkpoint/run1/{name}") == Path("checkpoint/run1") / name


def test_a_model_of_a_hub_is_found_with_and_without_its_prefix(models: Path) -> None:
    (models / "uer" / "gpt2").mkdir(parents=True)
    for name in ("hf:uer/gpt2", "uer/gpt2"):
        assert find_model(name) == Path("models/uer/gpt2")
    with pytest.raises(UsageError, match="there is no model") as error:
        find_model("hf:uer/other", "elsewhere")
    assert error.value.facts == {"fetch": ("hf:uer/other", "elsewhere")}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("345M", "there is no model '345M' in models"),
        ("demos", "did you mean demo?"),
        ("mine2", "did you mean mine?"),
        ("x", "here are demo, demo-zh, mine, to be downloaded 117M, 1558M, 345M, 774M"),
        ("", "there is no model ''"),
    ],
)
def test_a_name_without_a_folder_says_which_there_are(models: Path, name: str, says: str) -> None:
    (models / "mine").mkdir()
    (models / ".writing-x").mkdir()
    with pytest.raises(UsageError, match=re.escape(says)):
        find_model(name)
