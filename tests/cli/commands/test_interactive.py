"""The interactive command in a real pseudo-terminal: keys in, what a person sees out.

The engine is fake (fake_command.py): it writes BOOK from where the prompt ends.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpt2_sampler.cli.commands import interactive
from gpt2_sampler.cli.flags.settings import InteractiveSettings
from tests.cli.commands.test_unconditional import BOOK, CLOSING, environment, header
from tests.fake_command import make_folder

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are not for Windows", allow_module_level=True)

import pexpect
import psutil

from tests.cli.commands.test_unconditional import INTERACTIVE, command

if sys.platform == "linux":
    from tests.forked import ForkedSession as Session
else:
    from pexpect import spawn as Session

QUESTION = "Model prompt >>> "
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
READY, DONE = "\x1b[?2004h", "\x1b[?2004l"  # bracketed paste is asked for, and no longer
LEFT, UP = "\x1b[D", "\x1b[A"

Start = Callable[..., pexpect.spawn]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_folder(folder / "fake")
    return folder


@pytest.fixture
def start(models: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a session; its options are those of environment()."""
    started: list[Any] = []

    def starting(*flags: str, shell: str = "", **options: object) -> pexpect.spawn:
        variables = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
        env = environment(**(variables | {"TERM": "xterm"} | options))  # type: ignore[arg-type]
        words = command("gpt2-interactive", models, "--length", "5", *flags)
        if shell:
            words = ["bash", "-c", f'"$@" {shell}', "bash", *words]
        session = (pexpect.spawn if shell or "PYTHONIOENCODING" in env else Session)(
            words[0], words[1:], env=env, encoding="utf-8", timeout=10, dimensions=(40, 120)
        )
        session.delaybeforesend = None  # each test waits for what shows that it may type
        started.append(session)
        return session

    yield starting
    for session in started:
        session.kill(signal.SIGKILL)
        session.ptyproc.delayafterclose = 0
        session.close(force=True)


def plain(text: str | None) -> str:
    """What was written to the terminal, without how."""
    assert text is not None
    return ESCAPE.sub("", text).replace("\r", "")


def answer_question(session: pexpect.spawn, keys: str) -> None:
    """Waits until the question can be answered, and presses the keys."""
    session.expect_exact(READY)
    session.expect_exact(QUESTION)
    session.send(keys)


def ask(session: pexpect.spawn, prompt: str) -> str:
    """What is shown for a prompt or a command that writes samples."""
    answer_question(session, f"{prompt}\r")
    session.expect_exact(DONE)
    session.expect_exact(CLOSING.strip())
    return plain(session.before)


def tell(session: pexpect.spawn, command_line: str) -> str:
    """What a command says that writes no samples."""
    answer_question(session, f"{command_line}\r")
    session.expect_exact(DONE)
    session.expect_exact(READY)
    said = plain(session.before)
    session.buffer = READY + session.buffer
    return said


def left(session: pexpect.spawn) -> int | None:
    """The exit code of a session that has been left."""
    session.expect(pexpect.EOF)
    session.wait()
    session.close()
    return session.exitstatus


def test_a_prompt_is_continued_and_another_asked_for(start: Start) -> None:
    session = start()
    assert f"{header(1)} upon\n" in ask(session, "Once")
    assert f"{header(1)} a ti\n" in ask(session, "Once upon")
    session.expect_exact(QUESTION)


def test_the_line_can_be_edited(start: Start) -> None:
    session = start()
    assert f"{header(1)} upon\n" in ask(session, f"Onc{LEFT}x{LEFT}{LEFT}")


def test_earlier_prompts_come_back_even_in_the_next_run(start: Start) -> None:
    session = start()
    ask(session, "Once")
    session.expect_exact(QUESTION)
    session.sendeof()
    assert left(session) == 0
    again = start()
    assert f"{header(1)}upon \n" in ask(again, f"{UP} ")


def test_several_lines_can_be_one_prompt(start: Start) -> None:
    session = start()
    for typed, n_characters in [
        ('"""\rab\rcd\r"""', 5),
        ('"""ab\r\rcd"""', 6),
        ("ab\\\rcd", 5),
        ("\x1b[200~ab\ncd\nef\x1b[201~", 8),
        ("//ab", 3),
        ('"""/ab"""', 3),
    ]:
        text = BOOK[n_characters : n_characters + 5]
        assert f"{header(1)}{text}\n" in ask(session, typed)


@pytest.mark.parametrize("sequence", ["\x1b[31m", "\x1b[0m", "\x1b[<0;1;1M", "\x1b[1;1R"])
def test_escapes_in_what_is_typed_upset_nobody(start: Start, sequence: str) -> None:
    assert f"{header(1)} upon\n" in ask(start(), f"Once{sequence}")


def test_an_empty_prompt_asks_again(start: Start) -> None:
    session = start()
    answer_question(session, "\r")
    answer_question(session, '""""""\r')
    assert header(1) in ask(session, "Once")


def test_a_prompt_that_ends_in_a_space_gets_a_warning(start: Start) -> None:
    session = start()
    assert "ends in a space" in ask(session, "Once ")
    assert "ends in a space" not in ask(session, "Once")


def test_each_sample_is_followed_by_what_it_took_and_why_it_ended(start: Start) -> None:
    session = start("--stop", "time")
    assert re.search(r"\[5 tokens, [\d.]+ tokens/s, length reached\]", ask(session, "Once"))
    assert re.search(r"\[\d+ tokens, .*, stop text\]", ask(session, "Once upon a"))
    near_its_end = "a" * (len(BOOK.encode()) - len("re.|"))
    assert re.search(r"re\.\n\[3 tokens, .*, end of text\]", ask(session, near_its_end))


def test_no_color_is_respected(start: Start) -> None:
    session = start(NO_COLOR="1")
    ask(session, "Once")
    assert "\x1b[2m" not in str(session.before) and "tokens/s" in str(session.before)
    coloured = start()
    ask(coloured, "Once")
    assert "\x1b[2m[5 tokens" in str(coloured.before)


@pytest.mark.parametrize("answers", [["\x03", "\x03"], ["abc\x03", "\x03"], ["\x04"], ["/quit\r"]])
def test_leaving_is_no_failure(start: Start, answers: list[str]) -> None:
    session = start()
    for keys in answers:
        answer_question(session, keys)
    assert left(session) == 0


def test_ctrl_d_typed_ahead_leaves_when_the_text_is_written(start: Start) -> None:
    session = start(delay=0.1)
    answer_question(session, "Once\r")
    session.expect_exact("up")
    session.sendeof()
    assert left(session) == 0


def saved(session: pexpect.spawn, tmp_path: Path, number: int = 1) -> str:
    """The session so far; its last question is answered."""
    answer_question(session, f"/save {tmp_path / f'saved{number}'}\r")
    session.expect_exact("saved in")
    return (tmp_path / f"saved{number}").read_text()


def prompts(transcript: str) -> list[str]:
    found = re.findall(f"{QUESTION}(.*?)\n{header(1)}", transcript, re.DOTALL)
    return [str(prompt) for prompt in found]


@pytest.mark.parametrize("size", [4095, 4096, 9000, 70_000])
def test_a_long_line_typed_while_text_is_coming_is_not_cut(
    start: Start, tmp_path: Path, size: int
) -> None:
    session = start("--length", "10", delay=0.1)
    answer_question(session, "Once\r")
    session.expect_exact("up")
    session.send("x" * size + "\r")
    session.expect_exact(CLOSING.strip())
    session.expect_exact(CLOSING.strip())
    assert prompts(saved(session, tmp_path)) == ["Once", "x" * size]


def test_lines_pasted_while_text_is_coming_are_one_text_in_the_editor(
    start: Start, tmp_path: Path
) -> None:
    session = start("--length", "10", delay=0.1)
    answer_question(session, "Once\r")
    session.expect_exact("up")
    session.send("one\rtwo\r\rthree\r")
    session.expect_exact(CLOSING.strip())
    session.expect_exact("three")
    session.send(" more\r")
    session.expect_exact(CLOSING.strip())
    assert prompts(saved(session, tmp_path)) == ["Once", "one\ntwo\n\nthree more"]


def test_what_is_typed_ahead_can_still_be_edited(start: Start, tmp_path: Path) -> None:
    session = start("--length", "20", "--ignore_eot", delay=0.1)
    answer_question(session, "Once\r")
    session.expect_exact("up")
    session.send("ab")
    session.expect_exact(CLOSING.strip())
    session.expect_exact(QUESTION)
    session.send(f"{LEFT}x\r")
    session.expect_exact(CLOSING.strip())
    assert prompts(saved(session, tmp_path)) == ["Once", "axb"]


def test_ctrl_c_keeps_what_was_typed_ahead(start: Start, tmp_path: Path) -> None:
    session = start("--length", "1000", "--ignore_eot", delay=0.05)
    answer_question(session, "Once\r")
    session.expect_exact("up")
    session.send("x" * 9000)
    session.expect_exact(" a")  # a while later: what is typed takes its time
    session.sendintr()
    session.expect_exact("stopped]")
    session.expect_exact(CLOSING.strip())
    session.send(" upon\r")
    session.expect_exact("time")
    session.sendintr()
    session.expect_exact("stopped]")
    assert prompts(saved(session, tmp_path)) == ["Once", "x" * 9000 + " upon"]


def test_nothing_typed_while_the_model_loads_is_lost(tmp_path: Path) -> None:
    words = [INTERACTIVE, "--model_name", "demo", "--length", "3", "--seed", "1"]
    env = environment(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path), TERM="xterm")
    session = pexpect.spawn(sys.executable, words, env=env, encoding="utf-8", timeout=30)
    time.sleep(0.3)  # what Python itself does first is not ours
    session.send("y" * 6000 + "\r")
    session.expect_exact(CLOSING.strip())
    assert prompts(saved(session, tmp_path)) == ["y" * 6000]
    session.sendeof()
    assert left(session) == 0


def test_ctrl_c_clears_the_line(start: Start) -> None:
    session = start()
    answer_question(session, "rubbish\x03")
    assert f"{header(1)} upon\n" in ask(session, "Once")


def test_ctrl_c_stops_the_text_and_keeps_it_to_go_on_from(start: Start) -> None:
    session = start("--length", "1000", "--ignore_eot", delay=0.05)
    text = "Once"
    for typed in ("Once", "/more"):
        answer_question(session, f"{typed}\r")
        session.expect_exact(f"{header(1).strip()}\r\n")
        session.expect_exact(BOOK[len(text) : len(text) + 6])
        session.sendintr()
        session.expect_exact("stopped]")
        text += BOOK[len(text) : len(text) + 6]
        text += plain(session.before).replace("^C", "").partition("\n")[0]
        assert BOOK.startswith(text)
    session.expect_exact(CLOSING.strip())
    answer_question(session, "\x04")
    assert left(session) == 0


def test_sigterm_at_the_prompt_leaves_the_terminal_as_it_was(start: Start) -> None:
    session = start(shell="; echo ended by $?; stty -a")
    answer_question(session, "abc")
    session.expect_exact("abc")
    (process,) = psutil.Process(session.pid).children()
    process.terminate()
    session.expect_exact(f"ended by {128 + signal.SIGTERM}")
    session.expect(r"\sicanon\s.*\secho\s")


def test_a_terminal_that_hangs_up_ends_the_session(start: Start) -> None:
    for typed in ("abc", "Once\r"):
        session = start("--length", "1000", "--ignore_eot", delay=0.05, shell="; echo ended by $?")
        answer_question(session, typed)
        session.expect_exact(typed.strip())
        (process,) = psutil.Process(session.pid).children()
        process.send_signal(signal.SIGHUP)
        session.expect_exact(f"ended by {128 + signal.SIGHUP}")
        assert "Traceback" not in str(session.before)
        session.expect(pexpect.EOF)


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_can_do_nothing_gets_no_escapes(start: Start, kind: str) -> None:
    session = start(TERM=kind)
    shown = ""
    for typed in ("Once\r", '"""On\rce"""\r', "/show\r", "\x03", "\x04"):
        session.expect_exact(QUESTION)
        shown += str(session.before)
        session.send(typed)
    assert left(session) == 0
    shown += str(session.before)
    assert header(1) in shown.replace("\r", "") and "tokens/s" in shown
    assert "\x1b" not in shown


JOINED = ["a👨\u200d👩\u200d👧b", "🇯🇵", "👍🏿", "❤\ufe0f", "1\ufe0f\u20e3", "e\u0301"]


def test_what_is_shown_of_joined_emoji_is_as_wide_as_it_is_counted() -> None:
    editor = pytest.importorskip("gpt2_sampler.cli.session.editor")
    from prompt_toolkit.layout.processors import TransformationInput
    from wcwidth import wcswidth

    for text in JOINED[:2]:
        line = TransformationInput(None, None, 0, lambda at: at, [("", text)], 80, 1)  # type: ignore[arg-type]
        ((_, shown),) = editor.Unjoined().apply_transformation(line).fragments
        assert len(shown) == len(text)
        assert wcswidth(shown) == sum(map(wcswidth, shown))
        assert wcswidth(text) != sum(map(wcswidth, text))


@pytest.mark.parametrize("joined", JOINED)
def test_joined_emoji_are_a_prompt_like_any_other(start: Start, joined: str) -> None:
    n_bytes = len(joined.encode())
    assert f"{header(1)}{BOOK[n_bytes : n_bytes + 5]}\n" in ask(start(), joined)


def test_a_session_that_only_a_pipe_sees_reads_lines_as_usual(start: Start) -> None:
    session = start(shell="2>&1 | cat")
    time.sleep(0.5)  # until modules are imported
    session.send("Once\r")
    session.expect_exact(CLOSING.strip())
    assert f"Once\n{header(1)} upon\n" in plain(session.before)
    session.sendeof()
    session.expect(pexpect.EOF)


def test_samples_can_go_to_a_file_while_the_person_types(start: Start, tmp_path: Path) -> None:
    session = start(shell=f"> {tmp_path / 'samples'}")
    answer_question(session, "Once\r")
    session.expect_exact("tokens/s")
    answer_question(session, "\x04")
    assert left(session) == 0
    assert (tmp_path / "samples").read_text() == f"{header(1)} upon\n{CLOSING}"


def test_a_terminal_that_shows_ascii_only_ends_nothing(start: Start) -> None:
    session = start("--length", "100", PYTHONIOENCODING="ascii")
    assert "He had ??? and no more." in ask(session, "Once é€😀")


def test_a_state_folder_that_cannot_be_written_ends_nothing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    session = start(XDG_STATE_HOME=str(tmp_path / "file" / "state"))
    assert header(1) in ask(session, "Once")
    assert header(1) in ask(session, UP)


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "folder", "itself"])
def test_a_history_that_is_no_file_ends_nothing(start: Start, tmp_path: Path, kind: str) -> None:
    history = tmp_path / "state" / "gpt2-sampler" / "history"
    history.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(history)
    elif kind == "folder":
        history.mkdir()
    else:
        history.symlink_to(history if kind == "itself" else kind)
    session = start()
    assert header(1) in ask(session, "Once")
    assert header(1) in ask(session, UP)


def test_a_history_file_that_is_no_text_ends_nothing(start: Start, tmp_path: Path) -> None:
    history = tmp_path / "state" / "gpt2-sampler" / "history"
    history.parent.mkdir(parents=True)
    history.write_bytes(b"\xff\x00+\xfe\n+Once\n")
    assert f"{header(1)} upon\n" in ask(start(), UP)


# Commands.


def test_a_flag_can_be_changed_shown_and_put_back(start: Start) -> None:
    session = start()
    assert tell(session, "/set length 2") == ""
    assert f"{header(1)} u\n" in ask(session, "Once")
    assert re.search(r"length +2\n", tell(session, "/show"))
    tell(session, "/set stop p")
    tell(session, "/set length")
    assert f"{header(1)} u\n" in ask(session, "Once")
    assert re.search(r"stop +p\n", tell(session, "/show"))


def test_a_command_that_cannot_be_obeyed_says_why_and_ends_nothing(start: Start) -> None:
    session = start()
    assert "error: there is no command /mroe; did you mean /more?" in tell(session, "/mroe")
    assert "error: --temperature must be 0 or more" in tell(session, "/set temperature -1")
    assert "/retry" in tell(session, "/help")
    assert header(1) in ask(session, "Once")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("/set", "error: /set takes a flag and its value, as /set top_k 40"),
        ("/set tpo_k 40", "error: 'tpo_k' cannot be set here; did you mean top_k?"),
        ("/set top_k forty", "error: --top_k takes a whole number, not 'forty'"),
        (f"/set top_k {'9' * 5000}", "error: --top_k takes a whole number, not '999"),
        (f"/more {'9' * 5000}", "error: /more takes the number of a sample, from 1 on, not '999"),
        ("/more -1", "error: /more takes the number"),
        ("/save ~nosuchuser/x", "cannot be a path"),
        (f"/save {'x' * 300}", "File name too long"),
        ("/save /proc/x", "cannot be written"),
        ("/save none/x", "there is no folder none"),
        ("/SAVE /dev/null", "is there already"),
        (f"/{'x' * 3000}", "xxx…; /help lists them"),
        ("help", "/help is the command, with a slash"),
        (" QUIT ", "/quit is the command, with a slash"),
        ("exit", "/quit is the command, with a slash"),
    ],
)
def test_no_mistake_costs_more_than_its_turn(start: Start, typed: str, says: str) -> None:
    session = start()
    ask(session, "Once")
    assert says in tell(session, typed)
    assert header(1) in ask(session, "/more")


@pytest.mark.parametrize(
    "typed", ["top_k=40", "top_k = 40", "--top_k=40", "--top-k 40", "top_k  40", "—TOP_K 40"]
)
def test_a_flag_is_set_as_people_type_it(start: Start, typed: str) -> None:
    session = start()
    tell(session, f"/set {typed}")
    tell(session, "/set stop ==")
    assert re.search(r"top_k +40\n(.*\n)+stop +==\n", tell(session, "/show"))


def test_an_error_that_nobody_foresaw_costs_its_turn_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = iter(["one", "two", "three", None])
    taken = []

    def fail(session: object, line: str) -> None:
        taken.append(line)
        raise [ZeroDivisionError("by zero"), MemoryError(), RecursionError()][len(taken) - 1]

    monkeypatch.setattr(interactive, "ask", lambda editor: next(turns))
    monkeypatch.setattr(interactive, "take", fail)
    monkeypatch.setattr("gpt2_sampler.cli.session.editor.Editor", lambda *_: None)
    interactive.converse(SimpleNamespace(settings=InteractiveSettings(verbose=True)))  # type: ignore[arg-type]
    assert taken == ["one", "two", "three"]
    said = capsys.readouterr().err
    assert "Traceback" in said and "error: ZeroDivisionError: by zero\n" in said
    assert "error: there is no room in memory\n" in said and "error: RecursionError" in said


def test_who_loses_the_reader_of_the_samples_is_told_why(start: Start, tmp_path: Path) -> None:
    session = start("--length", "1000", "--ignore_eot", delay=0.05, shell=f"| tee {tmp_path}/log")
    answer_question(session, "Once\r")
    session.expect_exact("upon")
    session.sendintr()
    session.expect_exact("tee -i does not")
    assert "saved in" in tell(session, f"/save {tmp_path}/saved")
    answer_question(session, "/quit\r")
    session.expect(pexpect.EOF)


def test_remarks_come_after_the_text_that_tee_shows(start: Start, tmp_path: Path) -> None:
    session = start(shell=f"| tee {tmp_path}/log")
    for _ in range(5):
        answer_question(session, "Once\r")
        session.expect_exact("tokens/s")
        assert "upon" in str(session.before)


def test_the_first_screen_tells_of_help(start: Start) -> None:
    session = start()
    session.expect_exact("/help")
    session.expect_exact(QUESTION)


def test_more_goes_on_and_undo_takes_back(start: Start) -> None:
    session = start()
    assert f"{header(1)} upon\n" in ask(session, "Once")
    assert f"{header(1)} a ti\n" in ask(session, "/more")
    assert "ends: upon" in tell(session, "/undo")
    assert f"{header(1)} a ti\n" in ask(session, "/more")


def test_a_session_is_saved_once(start: Start, tmp_path: Path) -> None:
    session = start()
    ask(session, '"""Once\rupon"""')
    file = tmp_path / "session.txt"
    assert f"saved in {file}" in tell(session, f"/save {file}")
    text = f"{QUESTION}Once\nupon\n{header(1)} a ti\n{CLOSING}"
    assert file.read_text() == text
    assert "is there already" in tell(session, f'/save "{file}"')
    assert file.read_text() == text
    assert "cannot be written" in tell(session, f"/save {tmp_path / 'none' / 'file'}")
    assert "cannot be a path" in tell(session, "/save ~nosuchuser/x")
    assert "File name too long" in tell(session, f"/save {'x' * 300}")
    assert [path.name for path in tmp_path.glob("*sess*")] == ["session.txt"]


def test_a_session_is_the_same_when_it_is_typed_again(start: Start) -> None:
    typed = ["one", "/retry", "/more", "/retry", "/undo", "/more 1", "two", "/retry", "one"]

    def texts() -> list[str]:
        session = start("--length", "12", book=None)
        said = [(tell if line == "/undo" else ask)(session, line) for line in typed]
        return [re.sub("[0-9.]+ tokens/s", "", text) for text in said]

    first = texts()
    assert first == texts()
    assert len({first[0], *first[1:5], *first[6:8]}) == 7
    assert first[-1] == first[0]
