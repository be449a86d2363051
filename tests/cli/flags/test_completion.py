"""The completions are what shells say they are: bash is asked, zsh and fish where they are."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from gpt2_sampler.cli.commands.conversion import ConvertSettings
from gpt2_sampler.cli.commands.download import DownloadSettings
from gpt2_sampler.cli.flags.completion import completion
from gpt2_sampler.cli.flags.corpus_settings import ConditionalSettings, GenerateSettings
from gpt2_sampler.cli.flags.parser import parse
from gpt2_sampler.cli.flags.score_settings import ScoreSettings
from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.errors import UsageError

COMMANDS = [
    (GenerateSettings, "gpt2-generate", None),
    (ConditionalSettings, "gpt2-conditional", "prompts"),
    (InteractiveSettings, "gpt2-interactive", None),
    (ScoreSettings, "gpt2-score", "files"),
    (DownloadSettings, "gpt2-download", "name"),
    (ConvertSettings, "gpt2-convert", "paths"),
]


def completed(script: str, program: str, *words: str, folder: Path | None = None) -> list[str]:
    """What bash offers for the last of the words."""
    listed = " ".join(f"'{word}'" for word in (program, *words))
    ask = f"""
COMP_WORDS=({listed})
COMP_CWORD={len(words)}
_{program.replace("-", "_")}
printf "%s\\n" "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True, cwd=folder
    )
    assert done.stderr == ""
    return done.stdout.split()


needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="no bash")


@needs_bash
@pytest.mark.parametrize(("settings", "program", "positional"), COMMANDS)
def test_every_flag_of_every_command_is_offered(
    settings: type, program: str, positional: str | None
) -> None:
    script = completion(settings, program, positional, "bash")
    names = {f"--{one.name}" for one in dataclasses.fields(settings)}
    assert set(completed(script, program, "--")) == names | {"--help", "--version"}


@needs_bash
def test_values_are_offered_where_they_are_known(tmp_path: Path) -> None:
    (tmp_path / "some.txt").touch()
    (tmp_path / "so").mkdir()
    script = completion(ScoreSettings, "gpt2-score", "files", "bash")
    for words, offered in (
        (["--pre"], ["--precision"]),
        (["--device", ""], ["auto", "cpu", "gpu"]),
        (["--precision", "i"], ["int8"]),
        (["--model_name", "1"], ["1558M", "117M"]),
        (["--html", "som"], ["some.txt"]),
        (["--models_dir", "so"], ["so"]),
        (["so"], ["so", "some.txt"]),
        (["--text", ""], []),
    ):
        found = completed(script, "gpt2-score", *words, folder=tmp_path)
        assert sorted(found) == sorted(offered), words


@pytest.mark.parametrize(("settings", "program", "positional"), COMMANDS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_takes_the_script(
    settings: type, program: str, positional: str | None, shell: str
) -> None:
    script = completion(settings, program, positional, shell)
    assert all(one.name in script for one in dataclasses.fields(settings))
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_a_command_prints_it_and_names_the_shells(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(GenerateSettings, ["--completion", "bash"], "gpt2-generate")
    assert caught.value.code == 0
    assert "complete -o filenames -F _gpt2_generate gpt2-generate" in capsys.readouterr().out
    for words in (["--completion"], ["--completion", "tcsh"], ["--completion=tcsh"]):
        with pytest.raises(UsageError, match="--completion takes a shell: bash, zsh, fish"):
            parse(GenerateSettings, words, "gpt2-generate")
