"""Help can be read at any terminal's width."""

from __future__ import annotations

import dataclasses
import re

import pytest

from gpt2_sampler.cli.commands.conversion import ConvertSettings
from gpt2_sampler.cli.commands.download import DownloadSettings
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings, GenerateSettings
from gpt2_sampler.cli.flags.fields import flag
from gpt2_sampler.cli.flags.help import help_text
from gpt2_sampler.cli.flags.score_settings import ScoreSettings
from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.cli.session.slash import help_text as help_at_the_prompt

ALL = (
    *(GenerateSettings, ConditionalSettings, InteractiveSettings),
    *(ScoreSettings, DownloadSettings, ConvertSettings),
)


@pytest.mark.parametrize("columns", [80, 200])
def test_no_line_is_longer_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    texts = [
        help_text(settings, "program", None, full) for settings in ALL for full in (False, True)
    ]
    for text in (help_at_the_prompt(), *texts):
        assert max(map(len, text.splitlines())) <= min(columns, 96)


def test_a_narrow_terminal_gets_long_lines_rather_than_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "5")
    assert "/undo" in help_at_the_prompt()


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.__name__)
def test_help_fits_one_screen_with_a_line_for_each_flag(
    settings: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = help_text(settings, "gpt2-interactive", "prompts").splitlines()
    assert len(lines) < 24  # the last row is the shell's
    first = next(n for n, line in enumerate(lines) if line.startswith("  --"))
    assert all(line.startswith("  --") or line.endswith(":") for line in lines[first:-1])


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.__name__)
def test_all_of_the_help_is_a_word_away(settings: type) -> None:
    usual = help_text(settings, "program", None)
    whole = help_text(settings, "program", None, full=True)
    names = [one.name for one in dataclasses.fields(settings)]
    assert [name for name in names if f"  --{name}" not in whole] == []
    n_rare = len(names) - sum(f"  --{name}" in usual for name in names)
    assert (f"--help all shows {n_rare} more" in usual) == (n_rare > 0)
    assert whole.endswith("zsh or fish") and usual.endswith("SHELL" if n_rare else "zsh or fish")


@pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.__name__)
def test_names_and_descriptions_stand_in_two_columns(settings: type) -> None:
    whole = help_text(settings, "program", None, full=True)
    places = set()
    for one in dataclasses.fields(settings):
        begin = f"  --{one.name} {one.metadata['value']}".rstrip()
        [line] = [line for line in whole.splitlines() if line.startswith(f"{begin}  ")]
        places.add(len(line) - len(line.removeprefix(begin).lstrip()))
    assert len(places) == 1


def test_defaults_and_limits_are_shown() -> None:
    text = " ".join(help_text(GenerateSettings, "program", None, full=True).split())
    for said in (
        "chosen and shown [0 to 4294967295]",
        "0 for no end [default 0; 0 or more]",
        "the likeliest token [default 1.0; 0 or more]",
        "1 for all [default 1.0; above 0 and at most 1]",
        "cpu or gpu [default auto]",
        "[1 to 1024]",
    ):
        assert said in text


def test_what_a_sampler_is_asked_for_first_comes_first() -> None:
    names = [field.name for field in dataclasses.fields(InteractiveSettings)]
    assert names.index("top_k") < names.index("model_name") < names.index("color")


@pytest.mark.parametrize("settings", ALL[:3], ids=lambda settings: settings.__name__)
def test_samplers_show_the_same_few_flags_first(settings: type) -> None:
    usual = re.findall(r"^  --(\w+)", help_text(settings, "program", None), re.MULTILINE)
    assert usual[:11] == [
        *("seed", "nsamples", "batch_size", "length", "temperature", "top_k", "top_p", "stop"),
        *("model_name", "device", "precision"),
    ]
    assert len(usual) <= 14


def test_help_has_one_margin() -> None:
    @dataclasses.dataclass(frozen=True)
    class Documented:
        """First.

        Second.
        """

        count: int = flag(1, "a number", "N")

    assert "\nFirst.\n\nSecond.\n" in help_text(Documented, "program", None, full=True)
