"""What an error knows becomes words that can be typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpt2_sampler.cli.remedies import CHANGES, described
from gpt2_sampler.errors import SamplerError


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gpt2-generate"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()


def test_without_facts_the_message_says_it_all() -> None:
    assert described(SamplerError("it failed")) == "it failed"
    assert described(SamplerError("it failed", elsewhere=1)) == "it failed"


def test_settings_that_fit_are_flags() -> None:
    error = SamplerError("no room", fits={"precision": "int8", "batch_size": 2})
    assert described(error) == "no room; what fits: --precision int8 --batch_size 2"


def test_each_setting_that_may_help_has_its_words() -> None:
    for name in CHANGES:
        assert f"--{name}" in described(SamplerError("no", change=[name]))
    both = described(SamplerError("no room", change=["batch_size", "length"]))
    assert both == "no room; try a smaller --batch_size; try a shorter --length"


@pytest.mark.parametrize("program", ["gpt2-download", "python3 download_model.py"])
def test_a_model_that_can_be_fetched_has_its_command(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program.endswith(".py"):
        monkeypatch.setattr(sys, "argv", ["src/generate_unconditional_samples.py"])
    assert described(SamplerError("no", fetch=("117M", None))).endswith(f"with: {program} 117M")
    elsewhere = described(SamplerError("no", fetch=("117M", "my models")))
    assert elsewhere.endswith(f"with: {program} 117M --models_dir 'my models'")


def test_a_file_of_a_released_model_can_be_fetched_and_no_other() -> None:
    here = SamplerError("damaged", file=Path("models/117M/encoder.json"))
    assert described(here) == ("damaged; gpt2-download 117M fetches what is missing or damaged")
    there = SamplerError("damaged", file=Path("/kept/117M/encoder.json"))
    assert "gpt2-download 117M --models_dir /kept fetches" in described(there)
    assert described(SamplerError("damaged", file=Path("models/own/vocab.bpe"))) == "damaged"
