"""What can be done with a text that was written, without keys: the engine is fake."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from gpt2_sampler.cli.commands import Leave, obey
from gpt2_sampler.cli.loading import Model
from gpt2_sampler.cli.session import Session
from gpt2_sampler.cli.settings import InteractiveSettings
from gpt2_sampler.errors import UsageError
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder
from tests.fake_engine import FakeEngine, Floats

BYTES = Encoder({symbol: token for token, symbol in enumerate(BYTE_SYMBOLS)}, [])


def session(**flags: object) -> Session:
    options = {"seed": 5, "length": 23} | flags
    settings = InteractiveSettings(**options)  # type: ignore[arg-type]
    return Session(Model(BYTES, FakeEngine(256, 41)), settings)


def texts(session: Session) -> list[str]:
    return [sample.text for step in session.steps for sample in step.samples]


def test_a_retry_is_the_sample_that_more_samples_would_have_had() -> None:
    one, three = session(), session(nsamples=3)
    one.ask("Once")
    one.retry()
    one.retry()
    three.ask("Once")
    assert texts(one) == texts(three)


@pytest.mark.parametrize("length", [1, 2, 23, 60])
def test_more_gives_what_a_longer_text_would_have_had(length: int) -> None:
    long, short = session(length=4 * length, nsamples=2), session(length=length, nsamples=2)
    long.ask("Once")
    short.ask("Once")
    for _ in range(3):
        short.more(0)
    first, _, *others = texts(short)
    assert first + "".join(others) == texts(long)[0]


def test_a_text_that_goes_on_can_be_drawn_anew_from_there() -> None:
    story = session()
    story.ask("Once")
    story.more()
    story.retry()
    begun, one_way, other_way = texts(story)
    assert one_way != other_way
    story.more()
    assert story.steps[-1].start is story.steps[2].samples[0]
    assert story.steps[-1].samples[0].number == 1
    assert begun == texts(story)[0]


def test_undo_comes_back_to_the_text_before() -> None:
    story = session()
    story.ask("Once")
    story.more()
    before = texts(story)
    story.retry()
    assert story.undo() == before[-1]
    assert texts(story) == before
    story.undo()
    assert story.undo() == ""
    with pytest.raises(UsageError):
        story.undo()


def test_a_retry_after_undo_is_not_what_was_taken_back() -> None:
    story = session()
    story.ask("Once")
    story.retry()
    taken_back = texts(story)[-1]
    story.undo()
    story.retry()
    assert texts(story)[-1] != taken_back


def test_a_sample_that_the_prompt_does_not_have_cannot_go_on() -> None:
    story = session()
    story.ask("Once")
    with pytest.raises(UsageError):
        story.more(7)


def test_the_transcript_has_a_prompt_once_with_all_that_followed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = session()
    story.ask("Once")
    first = capsys.readouterr().out
    story.more()
    more = capsys.readouterr().out
    story.ask("Twice")
    last = capsys.readouterr().out
    question = "Model prompt >>> "
    assert story.transcript() == f"{question}Once\n{first}{more}{question}Twice\n{last}"


@pytest.mark.parametrize("batch_size", [1, 3])
def test_ctrl_c_keeps_what_every_sample_has_by_then(batch_size: int) -> None:
    engine = Pressing(256, 41)
    story = session(length=1000, nsamples=3, batch_size=batch_size)
    story.model = Model(BYTES, engine)
    engine.press_at = 30
    story.ask("Once")
    assert len(story.steps[-1].samples) == batch_size
    assert {sample.ended for sample in story.steps[-1].samples} == {"stopped"}
    whole = session(length=1000, nsamples=3)
    whole.ask("Once")
    for part, text in zip(texts(story), texts(whole), strict=False):
        assert part and text.startswith(part)


def test_ctrl_c_twice_ends_a_text_at_once_and_the_session_goes_on() -> None:
    engine = Pressing(256, 41)
    story = session(length=1000)
    story.model = Model(BYTES, engine)
    engine.press_at, engine.times = 30, 2
    story.ask("Once")
    engine.press_at = 0
    fresh = session()
    story.settings = fresh.settings
    story.ask("Once")
    fresh.ask("Once")
    assert texts(story)[-1] == texts(fresh)[0]


class Pressing(FakeEngine):
    """Somebody presses Ctrl-C during a call."""

    looks = press_at = 0
    times = 1

    def _logits(self, seen: npt.NDArray[np.int_]) -> Floats:
        self.looks += 1
        if self.looks == self.press_at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        return super()._logits(seen)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/mroe", "did you mean /more?"),
        ("/usr/bin", "a slash needs two"),
        ("/set temperature -1", "--temperature must be 0 or more"),
        ("/set model_name 345M", "'model_name' cannot be set here"),
        ("/set", "/set takes a flag and its value"),
        ("/retry", "there is no text yet"),
        ("/more", "there is no text yet"),
        ("/more x", "takes the number of a sample"),
        ("/undo", "there is no text yet"),
        ("/seed king", "--seed takes a whole number"),
        ("/save", "takes the name of a file"),
    ],
)
def test_a_command_that_cannot_be_obeyed_says_why(line: str, said: str) -> None:
    story = session()
    settings = story.settings
    with pytest.raises(UsageError, match=said):
        obey(story, line)
    assert story.settings == settings


@pytest.mark.parametrize(
    ("line", "get", "value"),
    [
        ("/set top_k 40", lambda s: s.top_k, 40),
        ("/set --top_k 40", lambda s: s.top_k, 40),
        ("/set ignore_eot true", lambda s: s.ignore_eot, True),
        (r"/set stop the \n end", lambda s: s.stop_texts, ["the \n end"]),
        ("/set length", lambda s: s.length, None),
        ("/seed 7", lambda s: s.seed, 7),
    ],
)
def test_any_sampling_flag_can_be_set(
    line: str, get: Callable[[InteractiveSettings], object], value: object
) -> None:
    story = session()
    obey(story, line)
    assert get(story.settings) == value


def test_a_seed_without_a_number_is_chosen_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    story = session()
    obey(story, "/seed")
    assert capsys.readouterr().err == f"seed {story.settings.seed}\n"


def test_quit_leaves() -> None:
    with pytest.raises(Leave):
        obey(session(), "/quit")
