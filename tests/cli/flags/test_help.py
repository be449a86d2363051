"""Help can be read at any terminal's width."""

from __future__ import annotations

import dataclasses

import pytest

from gpt2_sampler.cli.commands.conversion import ConvertSettings
from gpt2_sampler.cli.commands.download import DownloadSettings
from gpt2_sampler.cli.commands.scoring import ScoreSettings
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings, GenerateSettings
from gpt2_sampler.cli.flags.help import help_text
from gpt2_sampler.cli.flags.parser import flag
from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.cli.session.slash import help_text as help_at_the_prompt

ALL = (
    *(GenerateSettings, ConditionalSettings, InteractiveSettings),
    *(ScoreSettings, DownloadSettings, ConvertSettings),
)


@pytest.mark.parametrize("columns", [80, 200])
def test_no_line_is_longer_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for text in (help_at_the_prompt(), *(help_text(settings, "program", None) for settings in ALL)):
        assert max(map(len, text.splitlines())) <= min(columns, 96)


def test_a_narrow_terminal_gets_long_lines_rather_than_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "5")
    assert "/undo" in help_at_the_prompt()


def test_what_a_sampler_is_asked_for_first_comes_first() -> None:
    names = [field.name for field in dataclasses.fields(InteractiveSettings)]
    assert names.index("top_k") < names.index("model_name") < names.index("color")


def test_help_has_one_margin() -> None:
    @dataclasses.dataclass(frozen=True)
    class Documented:
        """First.

        Second.
        """

        count: int = flag(1, "a number", "N")

    assert "\nFirst.\n\nSecond.\n" in help_text(Documented, "program", None)
