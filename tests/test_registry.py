"""A name finds its folder, or one line says which names there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpt2_sampler import registry
from gpt2_sampler.errors import UsageError
from gpt2_sampler.registry import (
    base_folders,
    find_default,
    find_model,
    model_folders,
    models_folder,
)
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


def test_a_path_from_here_is_no_name_of_a_model_that_is_kept(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (models / "own", models.parent / "own"):
        folder.mkdir()
    assert find_model("own") == Path("models/own") and find_model("./own") == Path("own")
    monkeypatch.chdir("own")
    assert find_model(".") == Path() and find_model("../own") == Path("../own")


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


@pytest.mark.parametrize(
    ("name", "downloaded"),
    [
        ("gpt2", "117M"),
        ("openai-community/gpt2", "117M"),
        ("GPT2-medium", "345M"),
        ("gpt2-large", "774M"),
        ("openai-community/gpt2-xl", "1558M"),
        ("hf:gpt2", "117M"),
        ("distilgpt2", "hf:distilbert/distilgpt2"),
    ],
)
def test_the_names_that_transformers_has_are_known(
    models: Path, name: str, downloaded: str
) -> None:
    with pytest.raises(UsageError, match=f"there is no model '{name}'") as error:
        find_model(name)
    assert error.value.facts == {"fetch": (downloaded, None)}
    folder = Path("models") / downloaded.removeprefix("hf:")
    folder.mkdir(parents=True)
    assert find_model(name) == folder
    own = Path("models") / name.removeprefix("hf:")
    own.mkdir(parents=True)
    assert find_model(name) == own


def test_what_may_be_a_model_of_a_hub_is_said_to_be_one_where_it_is_no_path(models: Path) -> None:
    with pytest.raises(UsageError, match="no such path") as error:
        find_model("uer/gpt2-chinese")
    assert error.value.facts == {"hub": ("hf:uer/gpt2-chinese", None)}
    with pytest.raises(UsageError) as error:
        find_model("models/rnu1")
    assert error.value.facts == {}


def test_without_a_home_the_bundled_model_is_there_and_others_go_to_this_folder(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(kind: str) -> Path:
        raise UsageError("this user has no home")

    models.rmdir()
    monkeypatch.setattr(registry, "checkout", lambda: None)
    monkeypatch.setattr(registry, "own_folder", none)
    assert (find_default() / "hparams.json").exists()
    assert find_model("demo-zh").is_dir()
    assert models_folder() == Path("models")


def test_a_revision_with_slashes_is_among_the_models(models: Path) -> None:
    for name in ("mine/deep/er", "o/n@refs/pr/1", "o/n@v2"):
        (models / name).mkdir(parents=True)
    (models / "o" / "n@v2" / "loop").symlink_to(models / "o")
    found = [folder.relative_to("models").as_posix() for folder in model_folders()]
    assert {"mine", "mine/deep", "o", "o/n@v2", "o/n@refs/pr/1"} <= set(found)
    assert "mine/deep/er" not in found
    assert len(found) < 100


def test_base_models_are_where_models_are_kept_and_near_the_run_released_ones_first(
    models: Path,
) -> None:
    run = models.parent / "work" / "checkpoint" / "run1"
    near = models.parent / "work" / "models"
    for folder in (run, near / "b", near / "345M", models / "a", models / "117M"):
        folder.mkdir(parents=True)
    (run / "model-7.index").touch()
    expected = [Path("models/117M"), Path("models/a"), near / "345M", near / "b"]
    for path in (run, run / "model-7.index"):
        assert [base for base in base_folders(path) if base in expected] == expected
