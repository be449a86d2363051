"""Words of a command line -> settings. The settings here are the test's own."""

from __future__ import annotations

import dataclasses

import pytest

from gpt2_sampler.cli.flags.fields import flag
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Settings:
    """Does this and that."""

    name: str | None = flag(None, "a name", "NAME")
    count: int = flag(1, "a number", "N")
    seed: int | None = flag(None, "a number, if any", "N")
    share: float = flag(0.5, "a share", "P")
    loud: bool = flag(False, "or not")
    word: tuple[str, ...] = flag((), "may be repeated", "WORD")


def parsed(*argv: str) -> Settings:
    return parse(Settings, argv, "program", "name")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], Settings()),
        (["--count", "7"], Settings(count=7)),
        (["--count=7"], Settings(count=7)),
        (["--count", "-7"], Settings(count=-7)),
        (["--count", "1", "--count", "2"], Settings(count=2)),
        (["--seed", "None"], Settings(seed=None)),
        (["--seed=None", "--name", "None"], Settings(name="None")),
        (["--share", "1"], Settings(share=1.0)),
        (["--share", "1e-3"], Settings(share=0.001)),
        (["--loud"], Settings(loud=True)),
        (["--loud", "False"], Settings(loud=False)),
        (["--loud=true", "--count", "2"], Settings(loud=True, count=2)),
        (["--noloud"], Settings(loud=False)),
        (["--loud", "king"], Settings(loud=True, name="king")),
        (["king"], Settings(name="king")),
        (["--name", "117"], Settings(name="117")),
        (["--name", "[1, 2]"], Settings(name="[1, 2]")),
        (["--name", "-"], Settings(name="-")),
        (["--name=--count"], Settings(name="--count")),
        (["--name", "--Oh no"], Settings(name="--Oh no")),
        (["--name", "---"], Settings(name="---")),
        (["--name", "--"], Settings(name="--")),
        (["--name", "-h"], Settings(name="-h")),
        (["--name", "--unknown"], Settings(name="--unknown")),
        (["--name", "—count"], Settings(name="—count")),
        (["--name=--help"], Settings(name="--help")),
        (["--word", "---", "--word", "-h", "--count", "2"], Settings(word=("---", "-h"), count=2)),
        (["--", "--count", "2"], Settings(count=2)),
        (["--name="], Settings(name="")),
        (["--name", ""], Settings(name="")),
        (["--name", "two\nlines, (no) tuple"], Settings(name="two\nlines, (no) tuple")),
        (["--word", "a b", "--word=c=d", "--word", "1"], Settings(word=("a b", "c=d", "1"))),
        (["--word", "'q'"], Settings(word=("'q'",))),
    ],
)
def test_words_become_settings(argv: list[str], expected: Settings) -> None:
    assert parsed(*argv) == expected


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--cuont", "7"], "there is no flag --cuont; did you mean --count?"),
        (["--COUNT", "7"], "there is no flag --COUNT; did you mean --count?"),
        (["--zzz"], "there is no flag --zzz; --help lists them"),
        (["-c", "7"], "there is no flag -c"),
        (["--zzz", "-1"], "there is no flag --zzz; --help lists them"),
        (["--count"], "--count takes a whole number; none was given"),
        (["--count", "--loud"], "--count takes a whole number; none was given"),
        (["--count", "1.5"], "--count takes a whole number, not '1.5'"),
        (["--share", "much"], "--share takes a number, not 'much'"),
        (["--loud=perhaps"], "--loud takes True or False, not 'perhaps'"),
        (["king", "queen"], "'queen' is not a flag"),
        (["--Oh no"], "there is no flag --Oh no"),
        (["--name", "--count", "2"], "none was given; one that begins with dashes is written --na"),
        (["--name"], "--name takes a value; none was given"),
        (["—count", "2"], "'—count' begins with a dash as web pages print it; with two hyphens it"),
        (["–count=2"], "it is --count"),
        (["-–count", "2"], "it is --count"),
        (["−−count", "2"], "it is --count"),
        (["--count\xa02"], "contains a space that separates no words; type: --count VALUE"),
        (["a", "“two", "words”"], "curly quotes"),
        (["--count", "9" * 5000], "--count takes a whole number, not '999"),
        (["--count", "1e24"], "--count takes a whole number, not '1e24'"),
        (["--" + "x" * 5000], "there is no flag --xxx"),
        (["a", "b" * 5000], "is not a flag"),
    ],
)
def test_a_mistake_is_named(argv: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*argv)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--", "--help"], ["--count", "x", "--help"]])
def test_help_names_every_flag(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "Does this and that." in out
    for field in dataclasses.fields(Settings):
        assert f"--{field.name}" in out and field.metadata["help"] in out
