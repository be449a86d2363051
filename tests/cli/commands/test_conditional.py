"""Prompts in, samples out, through the real commands with a fake engine: what arrives where."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands.test_unconditional import (
    BOOK,
    CLOSING,
    Command,
    command,
    complete,
    environment,
    header,
    run,
)
from tests.fake_command import make_folder

if sys.platform == "linux":
    from tests.forked import ForkedSession as Session
else:
    from pexpect import spawn as Session

CONDITIONAL = "gpt2-conditional"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_folder(folder / "fake")
    return folder


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open()]


def test_without_a_file_samples_have_the_layout_of_the_original(models: Path) -> None:
    done = run(CONDITIONAL, models, "--length", "5", "--nsamples", "2", stdin=b"Once\n\nOnce upon")
    first, second = (f"{header(1)}{text}\n{header(2)}{text}\n" for text in (" upon", " a ti"))
    assert done.stdout.decode() == f"{first}{CLOSING}{second}{CLOSING}"
    assert done.stderr == b""
    assert done.returncode == 0


def test_a_prompt_has_the_text_that_it_has_at_the_prompt(models: Path) -> None:
    flags = ["--length", "9", "--nsamples", "3"]
    lines = b"\n".join(b"line %d" % n for n in range(20))
    together = run(CONDITIONAL, models, *flags, stdin=lines, book=None)
    alone = run("gpt2-interactive", models, *flags, stdin=lines, book=None)
    assert together.stdout == alone.stdout
    assert together.returncode == alone.returncode == 0


def test_prompts_share_a_batch_and_keep_their_order(models: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"prompt": "ab" * n, "length": 30 // n}) for n in range(1, 9)]
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join(lines))
    contents = set()
    for rows in ("1", "3", "50"):
        output = tmp_path / f"{rows}.jsonl"
        flags = ["--batch_size", rows, "--output", str(output)]
        assert run(CONDITIONAL, models, str(prompts), *flags, book=None).returncode == 0
        contents.add(output.read_bytes())
    assert len(contents) == 1
    assert [record["length"] for record in read(output)] == [30 // n for n in range(1, 9)]
    assert [record["id"] for record in read(output)] == list(range(8))


def test_one_bad_prompt_is_told_and_recorded_and_the_run_goes_on(
    models: Path, tmp_path: Path
) -> None:
    lines = [
        b'{"prompt": "Once", "id": 40}',
        b'{"prompt": "Once", "topk": 3}',
        b"\xff",
        b'{"prompt": "%s"}' % (b"x" * 98),
        b'{"prompt": "Once upon"}',
    ]
    output = tmp_path / "out.jsonl"
    flags = ["--jsonl", "--on_long", "error", "--length", "5", "--output", str(output), "--quiet"]
    done = run(CONDITIONAL, models, *flags, stdin=b"\n".join(lines))
    assert done.returncode == 0
    assert done.stdout == b""
    told = done.stderr.decode().splitlines()
    assert [line[:14] for line in told] == [f"error: line {n}:" for n in (2, 3, 4)]
    assert told[0].endswith("there is no setting 'topk'; did you mean top_k?")
    assert told[2].endswith("the prompt has 98 tokens, more than the model's window of 97")
    records = read(output)
    assert [record["text"] for record in records] == [" upon", "", "", "", " a ti"]
    assert [record["id"] for record in records] == [40, 1, 2, 3, 4]
    assert [f"error: {record['error']}" for record in records[1:4]] == told


@pytest.mark.parametrize("to_a_file", [True, False])
def test_a_run_that_could_continue_no_prompt_fails(
    models: Path, tmp_path: Path, to_a_file: bool
) -> None:
    output = tmp_path / "out.jsonl"
    flags = ["--jsonl", "--length", "1", *(["--output", str(output)] if to_a_file else [])]
    done = run(CONDITIONAL, models, *flags, stdin=b'{"prompt": 1}\n{}\n')
    assert done.returncode == 1
    told = done.stderr.decode().splitlines()
    assert told[-1] == "error: could not continue any of the 2 prompts"
    if to_a_file:
        assert told[-2] == f"{output} is complete: 2 records, 2 of them errors"
        assert [bool(record["error"]) for record in read(output)] == [True, True]


def test_errors_of_earlier_runs_count_at_the_end(models: Path, tmp_path: Path) -> None:
    prompts, output = tmp_path / "prompts.jsonl", tmp_path / "out.jsonl"
    flags = [str(prompts), "--length", "1", "--output", str(output)]
    prompts.write_text("{}\n")
    assert run(CONDITIONAL, models, *flags).returncode == 1
    prompts.write_text('{}\n{"prompt": "Once"}\n')
    done = run(CONDITIONAL, models, *flags)
    assert done.returncode == 0
    told = done.stderr.decode().splitlines()
    assert told[-1] == f"{output} is complete: 2 records, 1 of them errors"


def test_ctrl_c_says_that_the_same_command_goes_on(models: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    flags = ["--nsamples", "40", "--length", "20", "--batch_size", "3", "--output", str(output)]
    with Command(
        command("gpt2-generate", models, *flags),
        env=environment(None, delay=0.005),
        stderr=subprocess.PIPE,
        text=True,
    ) as stopped:
        while not output.exists() or output.stat().st_size < 999:
            assert stopped.poll() is None
            time.sleep(0.01)
        stopped.send_signal(signal.SIGINT)
        _, told = stopped.communicate()
    assert stopped.returncode == -signal.SIGINT
    n_records = len(read(output))
    assert told == f"{output} has {n_records} records; the same command goes on after them\n"
    assert run("gpt2-generate", models, *flags, book=None).returncode == 0
    assert len(read(output)) == 40


def test_a_prompt_that_is_too_long_keeps_its_tail_and_says_so(models: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    flags = ["--length", "1", "--output", str(output), "--quiet"]
    done = run(CONDITIONAL, models, *flags, stdin=b"x" * 98 + b"\n")
    assert done.stderr.decode() == "record 0: the first 1 token of its prompt are left out\n"
    assert read(output)[0]["left_out"] == 1


def test_a_line_can_stand_between_prompts_of_several(models: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("On\nce\n%%\nOnce upon\n")
    done = run(CONDITIONAL, models, str(prompts), "--separator", "%%", "--length", "3")
    assert done.stdout.decode() == f"{header(1)}{BOOK[5:8]}\n{CLOSING}{header(1)} a \n{CLOSING}"


def test_samples_out_of_nothing_go_to_a_file_and_are_the_same_in_parts(
    models: Path, tmp_path: Path
) -> None:
    def lines(name: str, *flags: str) -> list[str]:
        output = tmp_path / name
        flags = ("--length", "11", "--output", str(output), *flags)
        done = run("gpt2-generate", models, *flags, book=None)
        assert done.returncode == 0, done.stderr
        return output.read_text().splitlines()

    whole = lines("whole.jsonl", "--nsamples", "9")
    assert [json.loads(line)["id"] for line in whole] == list(range(9))
    assert lines("part.jsonl", "--first", "4", "--nsamples", "3") == whole[4:7]
    shown = run("gpt2-generate", models, "--length=11", "--first=4", "--nsamples=1", book=None)
    assert shown.stdout.decode() == header(5) + json.loads(whole[4])["text"] + "\n"


def test_the_seed_that_was_chosen_is_used_again(models: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    words = command("gpt2-generate", models, "--length", "5", "--output", str(output))
    words = [word for n, word in enumerate(words) if "--seed" not in words[max(0, n - 1) : n + 1]]
    for n_samples in ("2", "4", "4"):
        done = complete([*words, "--nsamples", n_samples], env=environment(None))
        assert done.returncode == 0, done.stderr
    records = read(output)
    assert len({record["seed"] for record in records}) == 1
    assert done.stderr.decode() == f"{output} is complete: 4 records\n"


def test_killed_and_started_again_it_ends_in_the_same_bytes(models: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "out.jsonl", tmp_path / "other.jsonl"
    flags = ["--nsamples", "40", "--length", "20", "--batch_size", "3"]
    assert run("gpt2-generate", models, *flags, "--output", str(other), book=None).returncode == 0
    with Command(
        command("gpt2-generate", models, *flags, "--output", str(output)),
        env=environment(None, delay=0.005),
        stderr=subprocess.DEVNULL,
    ) as killed:
        while not output.exists() or output.stat().st_size < 999:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    done = run("gpt2-generate", models, *flags, "--output", str(output), book=None)
    assert re.search(rb"has \d+ records; resuming after them", done.stderr)
    assert output.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--top_k", "3"], "was made with top_k 0, not 3; choose another --output"),
        (["--seed", "2"], "was made with seed 1, not 2; choose another --output"),
        (["--nsamples", "1"], "has more than the 1 records that were asked for"),
    ],
)
def test_a_file_of_other_settings_is_refused(
    models: Path, tmp_path: Path, flags: list[str], told: str
) -> None:
    output = tmp_path / "out.jsonl"
    same = ["--nsamples", "2", "--length", "5", "--output", str(output)]
    run("gpt2-generate", models, *same)
    content = output.read_bytes()
    done = run("gpt2-generate", models, *same, *flags)
    assert done.returncode == 2
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert output.read_bytes() == content
    again = run("gpt2-generate", models, *same, "--batch_size", "7", "--threads", "1")
    assert again.returncode == 0


def test_a_file_of_another_model_is_refused_with_both_their_names(
    models: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    same = ["--nsamples", "2", "--length", "5", "--output", str(output)]
    run("gpt2-generate", models, *same)
    meta = output.with_name("out.jsonl.meta.json")
    made = json.loads(meta.read_text())
    made["model"]["path"], made["settings"]["fingerprint"] = "/the/other", "0123456789abcdef01"
    meta.write_text(json.dumps(made))
    done = run("gpt2-generate", models, *same)
    assert done.returncode == 2
    told = done.stderr.decode()
    assert "was made with the model /the/other (fingerprint 0123456789abcdef), not " in told
    assert f"{models / 'fake'} (fingerprint " in told
    assert told.endswith("; choose another --output, or the same settings\n")


@pytest.mark.parametrize(
    ("name", "flags", "told"),
    [
        ("gpt2-generate", ["--output", "a.txt"], "the name of a.txt must end in one of .jsonl, "),
        ("gpt2-generate", ["--output", "no/a.jsonl"], "there is no folder no"),
        ("gpt2-generate", ["--output", "a.parquet"], "say how many samples with --nsamples"),
        ("gpt2-generate", ["--tokens"], "--tokens is for records; add --output FILE"),
        ("gpt2-generate", ["--first", "-1"], "--first must be 0 or more, not -1"),
        (CONDITIONAL, ["--on_long", "x"], "--on_long must be one of tail, error, not 'x'"),
        (CONDITIONAL, ["missing.txt"], "missing.txt cannot be read"),
        ("gpt2-generate", ["--output", "/"], "the name of / must end in one of .jsonl"),
        (CONDITIONAL, ["--separator", "-", "--jsonl"], "not both"),
    ],
)
def test_a_mistake_is_one_line(
    models: Path, tmp_path: Path, name: str, flags: list[str], told: str
) -> None:
    done = complete(command(name, models, *flags), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("prompts", "output"),
    [
        ("a.jsonl", "a.jsonl"),
        ("a.jsonl.meta.json", "a.jsonl"),
        ("a.parquet.unfinished.jsonl", "a.parquet"),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_no_file_of_prompts_is_written_to(
    models: Path, tmp_path: Path, prompts: str, output: str, piped: bool
) -> None:
    path = tmp_path / prompts
    path.write_text('{"prompt": "x"}\n')
    words = ["-" if piped else prompts, "--output", output]
    with path.open() as stdin:
        done = complete(command(CONDITIONAL, models, *words), cwd=tmp_path, stdin=stdin)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(
        f"error: {prompts} would be read and replaced; choose another"
    )
    assert path.read_text() == '{"prompt": "x"}\n'


def test_a_terminal_sees_how_far_it_is(models: Path, tmp_path: Path) -> None:
    def seen(*flags: str, name: str = "gpt2-generate") -> str:
        program, *words = command(name, models, "--nsamples", "4", "--length", "5")
        terminal = Session(
            program,
            [*words, *flags],
            env=environment(),
            encoding="utf-8",
            dimensions=(24, 100),
            timeout=30,
        )
        return str(terminal.read())

    bar = seen("--output", str(tmp_path / "a.jsonl"))
    assert "4/4" in bar
    assert re.search(r"\d tokens/s", bar)
    assert seen("--output", str(tmp_path / "b.jsonl"), "--quiet") == ""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Once"}\n\n{"none": 1}\n{"prompt": "There"}\n')
    bar = seen(str(prompts), "--output", str(tmp_path / "c.jsonl"), name=CONDITIONAL)
    assert "9/9" in bar
