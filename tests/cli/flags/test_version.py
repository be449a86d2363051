"""What --version prints."""

from __future__ import annotations

import platform
import re

import pytest

from gpt2_sampler import __version__
from gpt2_sampler.cli.flags import version
from tests.cli.flags.test_parser import parsed


@pytest.mark.parametrize("argv", [["--version"], ["--count", "x", "--version"]])
def test_the_version_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 0
    assert re.fullmatch(rf"gpt2-sampler {__version__}(, with [\w, ]+)?\n", capsys.readouterr().out)


def test_the_version_names_the_extras_that_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [
        "fire>=1",
        'numpy>=1; extra == "one"',
        "fire; extra == 'two'",
        'no-such>=2; extra == "two"',
    ]
    monkeypatch.setattr(version, "requirements", lambda: wanted)
    with pytest.raises(SystemExit):
        parsed("--version")
    assert capsys.readouterr().out == f"gpt2-sampler {__version__}, with one\n"


def test_the_version_can_tell_what_it_stands_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--version", "--verbose")
    out = capsys.readouterr().out
    for part in (__version__, platform.python_version(), platform.platform(), "ai-edge-litert 2."):
        assert part in out
    assert re.search(r"^numpy \d", out, re.MULTILINE)
