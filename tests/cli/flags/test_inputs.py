"""Prompts from a flag, a file or a pipe, in whatever encoding they come."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.commands.test_unconditional import (
    BOOK,
    C_LOCALE,
    CLOSING,
    command,
    complete,
    environment,
    header,
    run,
    run_anew,
)


def test_each_line_of_a_pipe_is_a_prompt_and_empty_ones_are_passed_over(models: Path) -> None:
    done = run("gpt2-interactive", models, "--length", "5", stdin=b"Once\n\n\r\nOnce upon")
    assert done.stdout.decode() == f"{header(1)} upon\n{CLOSING}{header(1)} a ti\n{CLOSING}"
    assert done.stderr == b""
    assert done.returncode == 0


def test_lines_are_no_commands_and_their_quotes_and_backslashes_are_text(models: Path) -> None:
    lines = [b"/quit", b"//a", b'"""', b"a\\", b"last"]
    done = run("gpt2-interactive", models, "--length", "1", stdin=b"\n".join(lines))
    assert done.stdout.decode().count(CLOSING) == len(lines)


WAYS = ["pipe", "--prompt -", "--prompt_file", "--prompt_file <(...)"]


def given(
    models: Path, tmp_path: Path, way: str, data: bytes
) -> subprocess.CompletedProcess[bytes]:
    """The command, which has got these bytes in one of the ways there are."""
    (tmp_path / "prompt").write_bytes(data)
    flags = {"pipe": [], "--prompt -": ["--prompt", "-"], "--prompt_file": ["--prompt_file"]}
    words = command("gpt2-interactive", models, "--length", "3", *flags.get(way, []))
    if way == "--prompt_file":
        words.append(str(tmp_path / "prompt"))
    if "<(" not in way:
        return complete(words, data)
    line = f"{subprocess.list2cmdline(words)} --prompt_file <(cat {tmp_path / 'prompt'})"
    return subprocess.run(
        ["bash", "-c", line], input=data, env=environment(), capture_output=True, check=False
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_mark_tells_the_encoding_of_a_prompt(models: Path, tmp_path: Path, way: str) -> None:
    words = "é€ Ċ"
    done = given(models, tmp_path, way, f"\ufeff{words}\r\n".encode("utf-16-le"))
    at = len(words.encode())
    assert done.stdout.decode() == f"{header(1)}{BOOK[at : at + 3]}\n{CLOSING}"
    assert (done.stderr, done.returncode) == (b"", 0)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_text_is_refused_in_one_line(models: Path, tmp_path: Path, way: str) -> None:
    done = given(models, tmp_path, way, "café au lait\n".encode("latin-1"))
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ") and "byte E9 at 3; 'é' in Latin-1); save it as UTF-8" in line


def test_lines_of_a_pipe_before_one_that_is_no_text_are_continued(models: Path) -> None:
    done = run("gpt2-interactive", models, "--length", "3", stdin=b"Once\ncaf\xe9\n")
    assert done.stdout.decode() == f"{header(1)} up\n{CLOSING}"
    assert (done.returncode, done.stderr[:16]) == (2, b"error: line 2 of")


def test_a_folder_or_a_device_without_end_is_no_prompt(models: Path) -> None:
    words = subprocess.list2cmdline(command("gpt2-interactive", models))
    for how in ("--prompt_file /", "--prompt_file /dev/zero", "--prompt - < /dev/zero"):
        done = subprocess.run(
            ["bash", "-c", f"{words} {how}"], env=environment(), capture_output=True, check=False
        )
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), how


@pytest.mark.parametrize("ending", ["", "\n"])
def test_all_of_stdin_a_file_or_a_flag_can_be_one_prompt(
    models: Path, tmp_path: Path, ending: str
) -> None:
    prompt = "Two\nlines"
    file = tmp_path / "prompt.txt"
    file.write_bytes(f"{prompt}{ending}".encode())
    expected = f"{header(1)}{BOOK[9:12]}\n{CLOSING}"
    for flags in (["--prompt", "-"], ["--prompt", prompt], ["--prompt_file", str(file)]):
        stdin = f"{prompt}{ending}".encode()
        done = run("gpt2-interactive", models, "--length", "3", *flags, stdin=stdin)
        assert done.stdout.decode() == expected


def test_prompts_are_read_as_utf_8_whatever_the_locale(models: Path) -> None:
    flags, stdin = ["--length", "4"], "é€😀\n".encode()
    done = run_anew("gpt2-interactive", models, *flags, stdin=stdin, variables=C_LOCALE)
    assert done.stdout.decode() == f"{header(1)}{BOOK[9:13]}\n{CLOSING}"
