"""gpt2-generate, and what all commands do through pipes: what arrives, when, and how they end.

Most run with a fake engine (fake_command.py), so that the test knows every character.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from gpt2_sampler.weights.hparams import HParams
from tests.fake_command import make_folder

if sys.platform == "linux":
    from tests.forked import Forked as Command
else:
    from subprocess import Popen as Command

ROOT = Path(__file__).resolve().parents[3]
GENERATE = str(ROOT / "src" / "generate_unconditional_samples.py")
DOWNLOAD = str(ROOT / "download_model.py")
INTERACTIVE = str(ROOT / "src" / "interactive_conditional_samples.py")
RULE = "=" * 40
CLOSING = f"{RULE}{RULE}\n"
BOOK = "Once upon a time there was a king. He had é€😀 and no more.|"
TOLD = BOOK.strip("|")


# Python before 3.15 would otherwise see through it.
C_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def environment(book: str | None = BOOK, delay: float = 0, **variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    clean |= {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "DELAY": str(delay)}
    return clean | ({} if book is None else {"BOOK": book}) | variables


def command(name: str, models: Path, *flags: str) -> list[str]:
    program = [sys.executable, str(ROOT / "tests" / "fake_command.py"), name]
    return [*program, "--models_dir", str(models), "--model_name", "fake", "--seed", "1", *flags]


def run(
    name: str,
    models: Path,
    *flags: str,
    stdin: bytes = b"",
    book: str | None = BOOK,
) -> subprocess.CompletedProcess[bytes]:
    return complete(command(name, models, *flags), stdin, env=environment(book))


def complete(
    words: list[str], data: bytes = b"", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """What subprocess.run would do, without Python's start where that is possible."""
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with Command(words, **{"env": environment()} | pipes | options) as process:
        stdout, stderr = process.communicate(data)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def run_anew(
    name: str,
    models: Path,
    *flags: str,
    stdin: bytes = b"",
    variables: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The same in a Python that starts with these variables."""
    return subprocess.run(
        command(name, models, *flags),
        input=stdin,
        env=environment() | (variables or {}),
        capture_output=True,
        check=False,
    )


def header(number: int) -> str:
    return f"{RULE} SAMPLE {number} {RULE}\n"


def test_samples_have_the_layout_of_the_original(models: Path) -> None:
    for how in (run, run_anew):
        done = how("gpt2-generate", models, "--nsamples", "2", "--length", "15")
        assert done.stdout.decode() == f"{header(1)}nce upon a time\n{header(2)}nce upon a time\n"
        assert (done.returncode, done.stderr) == (0, b"")


def test_several_samples_of_each_prompt_come_in_order_from_a_batch(models: Path) -> None:
    flags = ["--nsamples", "3", "--batch_size", "2", "--length", "5"]
    done = run("gpt2-interactive", models, *flags, stdin=b"Once\n")
    texts = "".join(f"{header(number)} upon\n" for number in (1, 2, 3))
    assert done.stdout.decode() == texts + CLOSING


def test_the_end_of_text_ends_a_sample_and_is_not_printed(models: Path) -> None:
    done = run("gpt2-generate", models, "--nsamples", "1")
    assert done.stdout.decode() == f"{header(1)}{TOLD[1:]}\n"


def test_ignore_eot_goes_on_into_the_next_text(models: Path) -> None:
    length = len(BOOK.encode()) + 4
    done = run("gpt2-generate", models, "--nsamples", "1", "--ignore_eot", "--length", str(length))
    assert done.stdout.decode() == f"{header(1)}{TOLD[1:]}<|endoftext|>Once \n"


def test_a_stop_text_is_utf_8_whatever_the_locale(models: Path) -> None:
    flags = ["--stop", "é€😀", "--nsamples", "1"]
    done = run_anew("gpt2-generate", models, *flags, variables=C_LOCALE)
    assert done.stdout.decode() == f"{header(1)}{TOLD[1:].partition('é')[0]}\n"


@pytest.mark.parametrize("batch_size", ["1", "2"])
def test_the_first_stop_text_ends_a_sample_and_nothing_of_it_is_printed(
    models: Path, batch_size: str
) -> None:
    flags = ["--stop", "kings", "--stop", "€😀 x", "--stop", "é€", "--stop", "more"]
    done = run("gpt2-generate", models, *flags, "--nsamples", "2", "--batch_size", batch_size)
    text = TOLD[1:].partition("é€")[0]
    assert done.stdout.decode() == f"{header(1)}{text}\n{header(2)}{text}\n"


def test_a_stop_text_can_be_a_line_break(models: Path) -> None:
    done = run("gpt2-generate", models, "--stop", r"\n", "--nsamples", "1", book="One\nTwo|")
    assert done.stdout.decode() == f"{header(1)}ne\n"


ENCODINGS = [
    ({"LC_ALL": "C"}, "utf-8"),
    (C_LOCALE, "utf-8"),
    ({"PYTHONIOENCODING": "ascii"}, "ascii"),
    ({"PYTHONIOENCODING": "cp1252"}, "cp1252"),
    ({"PYTHONIOENCODING": "utf-16"}, "utf-16"),
]


@pytest.mark.parametrize(("variables", "encoding"), ENCODINGS)
def test_what_the_encoding_cannot_show_is_replaced(
    models: Path, variables: dict[str, str], encoding: str
) -> None:
    done = run_anew("gpt2-generate", models, "--nsamples", "1", variables=variables)
    assert done.returncode == 0
    shown = TOLD[1:].encode(encoding, "replace").decode(encoding)
    assert done.stdout.decode(encoding).replace(os.linesep, "\n") == f"{header(1)}{shown}\n"


def test_a_prompt_over_the_window_keeps_its_tail_and_says_so(models: Path) -> None:
    done = run("gpt2-interactive", models, "--length", "5", stdin=b"a" * 100 + b"\n")
    assert done.returncode == 0
    assert done.stderr.decode() == "the prompt has 100 tokens; the first 3 are left out\n"


def test_text_can_be_many_times_longer_than_the_window(models: Path) -> None:
    done = run("gpt2-generate", models, "--nsamples", "1", "--length", "5000", book="a")
    assert done.stdout.decode() == f"{header(1)}{'a' * 5000}\n"


# Seeds: the engine's text is a hash of all that it was given.


def hashed(models: Path, lines: str, *flags: str) -> list[str]:
    name, flags = "gpt2-interactive", ("--length", "20", *flags)
    done = run(name, models, *flags, stdin=lines.encode(), book=None)
    return done.stdout.decode().split(CLOSING)[:-1]


def test_a_prompt_gives_the_same_text_whatever_came_before(models: Path) -> None:
    first, second, again = hashed(models, "one\ntwo\none\n")
    assert first == again != second
    assert hashed(models, "two\n") == [second]


def test_a_sample_is_the_same_in_any_batch(models: Path) -> None:
    (whole,) = hashed(models, "one\n", "--nsamples", "5")
    assert [whole] == hashed(models, "one\n", "--nsamples", "5", "--batch_size", "3")
    assert whole.startswith(hashed(models, "one\n", "--nsamples", "2")[0])


def test_a_run_without_a_seed_shows_the_one_that_repeats_it(models: Path) -> None:
    words = [w for w in command("gpt2-generate", models, "--nsamples", "1", "--length", "20")]
    at = words.index("--seed")
    unseeded = words[:at] + words[at + 2 :]
    first, other = (complete(unseeded, env=environment(None)) for _ in range(2))
    assert first.stdout != other.stdout
    seed = first.stderr.decode().removeprefix("seed ").strip()
    words[at + 1] = seed
    repeated = complete(words, env=environment(None))
    assert repeated.stdout == first.stdout
    assert {done.returncode for done in (first, other, repeated)} == {0}


# Time: what arrives when, and how a run ends.


def start(name: str, models: Path, *flags: str, delay: float = 0.02) -> subprocess.Popen[bytes]:
    return Command(
        command(name, models, *flags),
        env=environment(delay=delay),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := os.read(stream.fileno(), 1 << 16):
        yield piece


def test_text_arrives_as_it_is_written_in_whole_characters(models: Path) -> None:
    process = start("gpt2-generate", models, "--nsamples", "1")
    assert process.stdout
    arrived = [piece.decode() for piece in pieces(process.stdout)]  # each must decode
    assert len(arrived) > len(TOLD) / 2
    assert "".join(arrived) == f"{header(1)}{TOLD[1:]}\n"
    process.communicate()


def test_only_what_may_become_a_stop_text_is_held_back(models: Path) -> None:
    process = start("gpt2-generate", models, "--stop", "on a tree", "--nsamples", "1", delay=0.15)
    assert process.stdout
    shown = b""
    for piece in pieces(process.stdout):
        shown += piece
        if shown.endswith(b"nce up"):  # before "on a t", which may become it and does not
            break
    later = os.read(process.stdout.fileno(), 100)
    assert later == b"on a ti"
    process.kill()
    process.communicate()


def test_head_ends_the_work_quietly(models: Path) -> None:
    words = command("gpt2-generate", models, "--length", "8")
    line = f"{subprocess.list2cmdline(words)} | head -5; echo ${{PIPESTATUS[0]}}"
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", line], env=environment(), capture_output=True, check=True, timeout=20
    )
    text = "nce upon\n"
    expected = f"{header(1)}{text}{header(2)}{text}{header(3)}{128 + signal.SIGPIPE}\n"
    assert done.stdout.decode() == expected
    assert done.stderr == b""
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_as_signals_do_and_keeps_what_was_written(
    models: Path, number: signal.Signals
) -> None:
    words = command("gpt2-generate", models, "--length", "50")
    env, pipe = environment(delay=0.02), subprocess.PIPE
    process = subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe)
    assert process.stdout and process.stderr
    shown = b""
    for piece in pieces(process.stdout):
        shown += piece
        if b"Once".removeprefix(b"O") in shown:
            process.send_signal(number)
            break
    rest, errors = process.communicate(timeout=10)
    assert process.returncode == -number
    assert (shown + rest).decode().startswith(f"{header(1)}nce")
    assert errors == b""


@pytest.mark.parametrize(
    ("closed", "shown"), [("2>&-", f"{header(1)}upo\n{CLOSING}"), (">&-", ""), ("<&-", "")]
)
def test_closed_streams_are_no_failure(models: Path, closed: str, shown: str) -> None:
    words = command("gpt2-interactive", models, "--length", "3")
    line = f"{subprocess.list2cmdline(words)} {closed}"
    done = subprocess.run(
        ["bash", "-c", line], input=b"Once \n", env=environment(), stdout=-1, check=True
    )
    assert done.stdout.decode() == shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize(
    "words",
    [
        [GENERATE, "--model_name", "demo", "--nsamples", "1", "--length", "3"],
        [INTERACTIVE, "--model_name", "demo", "--prompt", "Once", "--length", "3"],
        [DOWNLOAD, "--list"],
        [DOWNLOAD, "--verify", "demo"],
        [GENERATE, "--help"],
        [GENERATE, "--version"],
    ],
)
def test_a_full_disk_under_stdout_is_one_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, *words], stdout=full, stderr=subprocess.PIPE, check=False, cwd=ROOT
        )
    assert done.returncode == 1
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("seed")]
    assert lines == ["error: stdout cannot be written (No space left on device)"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_ignored(models: Path, number: signal.Signals) -> None:
    words = command("gpt2-generate", models, "--nsamples", "1", "--length", "30")
    line = f"trap '' {number.name.removeprefix('SIG')}; exec {subprocess.list2cmdline(words)}"
    with subprocess.Popen(
        ["bash", "-c", line], env=environment(delay=0.02), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        os.read(process.stdout.fileno(), 100)
        process.send_signal(number)
        process.stdout.read()
    assert process.returncode == 0


def test_ctrl_c_while_modules_are_imported_is_silent() -> None:
    """From the first line on: what Python itself does before cannot be helped."""
    program = (
        "import os, signal, sys, threading, time\n"
        "def press(): time.sleep(float(sys.argv.pop())); os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=press, daemon=True).start()\n"
        "import runpy; sys.argv.pop(0); sys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    words = ["--model_name", "demo", "--nsamples", "1000000", "--length", "1000"]
    for hundredths in range(5, 80, 5):
        done = subprocess.run(
            [sys.executable, "-c", program, GENERATE, *words, str(hundredths / 100)],
            capture_output=True,
            check=False,
            timeout=30,
            cwd=ROOT,
        )
        assert done.returncode == -signal.SIGINT, hundredths
        lines = [line for line in done.stderr.splitlines() if not line.startswith(b"seed")]
        assert lines == [], hundredths


def test_names_of_files_steer_no_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;evil\x07\x9b2J\nsecond"
    (tmp_path / evil).mkdir()
    (tmp_path / evil / "hparams.json").write_text("{}")
    for words in (
        [DOWNLOAD, "--verify", evil, "--models_dir", str(tmp_path)],
        [DOWNLOAD, "--verify", "--models_dir", str(tmp_path)],
        [GENERATE, "--model_name", evil, "--models_dir", str(tmp_path)],
        [GENERATE, "--model_name", evil + "x", "--models_dir", str(tmp_path)],
        [DOWNLOAD, "--from", str(tmp_path / evil), "mine", "--models_dir", str(tmp_path)],
    ):
        done = subprocess.run([sys.executable, *words], capture_output=True, check=False, cwd=ROOT)
        assert done.returncode in (1, 2)
        assert not set(done.stderr) & {0x1B, 0x07, 0x9B}
        assert len(done.stderr.splitlines()) == 1


def test_verbose_shows_the_chatter_of_libraries(models: Path) -> None:
    done = run("gpt2-generate", models, "--nsamples", "1", "--length", "3", "--verbose")
    assert b"chatter of a native library\n" in done.stderr


# Mistakes.


MISTAKES = [
    (["--topk", "40"], "there is no flag --topk; did you mean --top_k?"),
    (["--top_k", "many"], "--top_k takes a whole number, not 'many'"),
    (["--temperature", "-1"], "--temperature must be 0 or more, not -1"),
    (["--model_name", "fakee"], "did you mean fake?"),
    (["--prompt", ""], "the prompt is empty"),
    (["--prompt", "a", "--prompt_file", "b"], "not both"),
    (["--prompt_file", "nowhere.txt"], "nowhere.txt cannot be read (No such file"),
    (["--stop", ""], "--stop takes the text to stop at"),
    (["--threads", "100000"], "--threads must be at most 1024, not 100000"),
    (["--nsamples", "1" * 400], "--nsamples must be at most 2147483647, not a number of 1326"),
    (["--nsamples", "1" * 5000], "--nsamples takes a whole number, not '111"),
    (["--length", "1e24"], "--length takes a whole number, not '1e24'"),
    (["--seed", "9" * 30], "--seed must be at most 4294967295, not 999"),
    (["--top_k", "9" * 30], "--top_k must be at most 2147483647"),
    (["--temperature", "nan"], "--temperature must be 0 or more"),
    (["--temperature", "1" * 400], "--temperature must be 0 or more"),
    (["--repetition_penalty", "1e300"], "--repetition_penalty must be from 1e-100 to 1e+100"),
    (["--models_dir", "~nosuchuser/x"], "cannot be a path"),
    (["--model_name", "~nosuchuser/x"], "cannot be a path"),
    (["--model_name", "x" * 300], "File name too long"),
    (["--models_dir", "x/" * 3000], "File name too long"),
    (["--prompt_file", "~nosuchuser/x"], "cannot be a path"),
    (["--prompt_file", "x" * 300], "File name too long"),
    (["—top_k", "40"], "with two hyphens it is --top_k"),
]


@pytest.mark.parametrize(
    ("how", "flags", "said"),
    [(run_anew, *MISTAKES[0]), *((run, *mistake) for mistake in MISTAKES)],
)
def test_a_mistake_is_one_line_within_a_second(
    how: Callable[..., subprocess.CompletedProcess[bytes]],
    models: Path,
    flags: list[str],
    said: str,
) -> None:
    began = os.times()
    done = how("gpt2-interactive", models, *flags)
    ended = os.times()
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ") and said in line
    assert len(line) < 300
    used = ended.children_user - began.children_user + ended.children_system - began.children_system
    assert used < 3  # seconds of a processor, however busy the machine is; usually half of one


def test_a_vocabulary_of_another_model_is_one_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "fake")
    HParams(100, n_ctx=97, n_embd=2, n_head=1, n_layer=1).save(folder)
    done = run("gpt2-generate", tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert "its vocabulary has 257 tokens, its weights have 100" in line


# The real thing.


def run_script(
    script: str, *flags: str, stdin: bytes = b"", variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, script, *flags],
        input=stdin,
        env=environment() | (variables or {}),
        capture_output=True,
        check=False,
        cwd=ROOT,
    )


DEMO = ["--model_name", "demo", "--length", "20", "--seed", "5", "--top_k", "40"]


def test_the_demo_model_answers_quietly() -> None:
    done = run_script(INTERACTIVE, *DEMO, stdin=b"Once upon a time\n")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0] == header(1).strip()
    assert lines[-1] == CLOSING.strip()
    assert len("".join(lines[1:-1])) > 20
    assert done.stderr == b""


def test_a_pipe_loads_neither_tensorflow_nor_the_line_editor() -> None:
    variables = {"PYTHONPROFILEIMPORTTIME": "1"}
    flags = [*DEMO, "--verbose"]
    imported = run_script(INTERACTIVE, *flags, stdin=b"The king\n", variables=variables).stderr
    assert b"ai_edge_litert" in imported
    assert b"tensorflow" not in imported.replace(b"tensorflow_lite_wrapper", b"")
    assert b"prompt_toolkit" not in imported


def test_the_demo_model_writes_past_its_window() -> None:
    done = run_script(GENERATE, *DEMO, "--nsamples", "1", "--length", "600", "--ignore_eot")
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(done.stdout) > 1200


def test_a_python_without_the_packages_says_so_in_one_line() -> None:
    """As the system's, where nobody has activated the environment."""
    command = [sys.executable, "-S", str(ROOT / "src" / "interactive_conditional_samples.py")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"error: \S+ has no package \w+; activate .*\n", done.stderr)
