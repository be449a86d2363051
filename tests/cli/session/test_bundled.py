"""Where nobody asked for a model and none was downloaded, a prompt's language chooses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.cli.session.bundled import DAY, is_chinese, is_first_of_the_day
from gpt2_sampler.cli.session.loading import Models
from gpt2_sampler.registry import DEMO, DEMO_ZH
from tests.checkpoints import ROOT, byte_vocabulary, random_checkpoint


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("特朗普和普京在游泳池打起来了", True),
        ("川普想建牆", True),
        ("《紅樓夢》，第一回", True),
        ("話說 Trump 想建一道很高的牆", True),
        ("Once upon a time", False),
        ("The Chinese word 牆 means wall", False),
        ("すべての文字", False),
        ("1, 2, 3 …", False),
        ("", False),
    ],
)
def test_a_prompt_is_chinese_if_most_of_its_letters_are(text: str, chinese: bool) -> None:
    assert is_chinese(text) == chinese


def test_each_language_is_answered_by_its_own_model_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = Models(InteractiveSettings(models_dir=str(tmp_path)))
    names = [models.answering(text).name for text in ("Once", "川普想建牆", "話說", "Twice")]
    assert names == [DEMO, DEMO_ZH, DEMO_ZH, DEMO]
    said = capsys.readouterr().err
    assert said.count("the text is Chinese") == said.count("文字是中文") == 1


@pytest.mark.parametrize("asked", [None, "117M", "demo"])
def test_who_has_or_names_a_model_is_answered_by_it(tmp_path: Path, asked: str | None) -> None:
    byte_vocabulary(random_checkpoint(tmp_path / "117M"))
    models = Models(InteractiveSettings(models_dir=str(tmp_path), model_name=asked))
    assert models.answering("川普想建牆").name == (asked or "117M")


@pytest.mark.parametrize(
    ("script", "flags"),
    [("score_text.py", []), ("generate_conditional_samples.py", ["--length", "3", "--seed", "1"])],
)
@pytest.mark.parametrize(("text", "chinese"), [("Once", False), ("川普想建牆", True)])
def test_files_are_read_by_the_model_for_their_language(
    script: str, flags: list[str], text: str, chinese: bool, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "src" / script), "--models_dir", str(tmp_path), *flags]
    done = subprocess.run(
        command, input=text, capture_output=True, encoding="utf-8", check=True, timeout=60
    )
    assert (f"the bundled model {DEMO_ZH}" in done.stderr) == chinese


def test_a_remark_is_made_once_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert is_first_of_the_day("a-remark")
    assert not is_first_of_the_day("a-remark")
    assert is_first_of_the_day("another")
    yesterday, tomorrow = time.time() - DAY - 1, time.time() + DAY
    for then in (yesterday, tomorrow):  # a clock that was wrong silences nothing
        [note] = tmp_path.rglob("a-remark")
        os.utime(note, (then, then))
        assert is_first_of_the_day("a-remark")


def test_a_remark_is_made_each_time_where_nothing_can_be_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a file"))
    assert is_first_of_the_day("a-remark") and is_first_of_the_day("a-remark")
