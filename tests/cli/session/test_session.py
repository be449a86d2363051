"""What can be done with a text that was written, without keys: the engine is fake."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.cli.session.loading import Model
from gpt2_sampler.cli.session.session import Session
from gpt2_sampler.cli.session.slash import Leave, obey
from gpt2_sampler.engines.memory import memory_needed
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, Encoder
from tests.fake_engine import FakeEngine, Floats

BYTES = Encoder({symbol: token for token, symbol in enumerate(BYTE_SYMBOLS)}, [])


def session(**flags: object) -> Session:
    options = {"seed": 5, "length": 23} | flags
    settings = InteractiveSettings(**options)  # type: ignore[arg-type]
    model = Model(BYTES, FakeEngine(256, 41))
    return Session(lambda prompt: model, settings)


def texts(session: Session) -> list[str]:
    return [sample.characters for step in session.steps for sample in step.samples]


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


def test_a_text_that_goes_on_is_not_read_again() -> None:
    story = session(length=5)
    engine = FakeEngine(256, 41)
    story.answering = lambda prompt: Model(BYTES, engine)
    story.ask("Once")
    engine.calls.clear()
    story.more()
    assert engine.calls == [1] * 5
    story.settings = dataclasses.replace(story.settings, batch_size=2, nsamples=2)
    engine.calls.clear()
    story.more()
    assert engine.calls == [len("Once") + 10, *[1] * 4]


@pytest.mark.parametrize(
    ("rows", "shown"), [(1, 0), (1, 7), (1, 30), (1, 71), (3, 0), (3, 1), (3, 3), (3, 5)]
)
def test_what_a_reader_that_ended_did_not_take_can_still_be_saved(
    monkeypatch: pytest.MonkeyPatch, rows: int, shown: int
) -> None:
    whole, cut = (session(nsamples=3, batch_size=rows) for _ in range(2))
    whole.ask("Once")
    left = iter(range(shown))

    def show(text: str, made_harmless: bool = False) -> None:
        if next(left, None) is None:
            raise BrokenPipeError

    monkeypatch.setattr("gpt2_sampler.cli.session.writer.show", show)
    with pytest.raises(BrokenPipeError):
        cut.ask("Once")
    assert texts(cut)
    for kept, text in zip(texts(cut), texts(whole), strict=False):
        assert text.startswith(kept)
    monkeypatch.undo()
    cut.more()
    assert cut.transcript().startswith("Model prompt >>> Once\n")


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
    model = Model(BYTES, engine)
    story.answering = lambda prompt: model
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
    model = Model(BYTES, engine)
    story.answering = lambda prompt: model
    engine.press_at, engine.times = 30, 2
    story.ask("Once")
    engine.press_at = 0
    fresh = session()
    story.settings = fresh.settings
    story.ask("Once")
    fresh.ask("Once")
    assert texts(story)[-1] == texts(fresh)[0]


# Other choices.


@pytest.mark.parametrize("length", [5, 60])
def test_what_was_drawn_is_among_the_choices_of_each_place(length: int) -> None:
    story = session(length=length, top_k=4)
    story.ask("Once")
    places = list(story.why(None, 4))
    assert [at for at, _, _ in places] == list(range(1, length + 1))
    assert [drawn.id for _, drawn, _ in places] == story.last_text().tokens
    assert all(drawn in top for _, drawn, top in places)
    [alone] = story.why(3, 4)
    assert alone == places[2]


def test_another_choice_is_a_branch_that_undo_takes_back() -> None:
    story = session()
    story.ask("Once")
    tokens = story.last_text().tokens
    [(_, drawn, top)] = story.why(7, 3)
    rank = next(n for n, choice in enumerate(top, 1) if choice.id != drawn.id)
    story.take(rank)
    branch = story.last_text()
    assert branch.tokens[:7] == [*tokens[:6], top[rank - 1].id]
    assert len(branch.tokens) == 7 + 23
    assert branch.number == 0
    story.undo()
    assert story.last_text().tokens == tokens
    story.take(rank, 7)
    assert story.last_text().tokens == branch.tokens


def test_the_choice_that_was_made_gives_the_same_text() -> None:
    story = session()
    story.ask("Once")
    tokens = story.last_text().tokens
    [(_, drawn, _)] = story.why(4, 3)
    story.take(drawn.rank, 4)
    assert story.last_text().tokens[:23] == tokens


def test_a_branch_can_be_gone_on_from_and_drawn_anew() -> None:
    story = session(nsamples=2)
    story.ask("Once")
    story.take(2, 3)
    begun = story.last_text().tokens[:3]
    story.retry()
    assert [len(step.samples) for step in story.steps] == [2, 1, 1]
    assert story.last_text().tokens[:3] == begun
    assert texts(story)[-1] != texts(story)[-2]
    story.more()
    story.take(1, 2)
    assert story.steps[-1].start is story.steps[2].samples[0]


def test_after_another_choice_a_text_can_be_over() -> None:
    whole = session(length=9)
    whole.ask("Once")
    letter = BYTES.decode(whole.last_text().tokens[3:4])
    story = session(length=9, stop=("Q",))
    story.ask("Once")
    stop = BYTES.encode("Q")[0]
    [(_, _, top)] = story.why(4, 256)
    story.take(next(choice.rank for choice in top if choice.id == stop), 4)
    assert letter != "Q"
    assert (story.last_text().ended, len(story.last_text().characters)) == ("stop text", 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/why 0", "23 places; there is no 0"),
        ("/why 24", "23 places; there is no 24"),
        ("/why x", "/why takes a place"),
        ("/take", r"/take takes \[PLACE\] RANK"),
        ("/take 1 2 3", r"/take takes \[PLACE\] RANK"),
        ("/take 3", "say at which place"),
        ("/take 3 0", "a rank from 1 to 256"),
        ("/take 3 257", "a rank from 1 to 256"),
        ("/take 99 1", "there is no 99"),
        ("/take ² 1", "/take takes"),
    ],
)
def test_a_choice_that_is_not_there_says_so(line: str, said: str) -> None:
    story = session()
    story.ask("Once")
    with pytest.raises(UsageError, match=said):
        obey(story, line)
    assert len(story.steps) == 1


def test_why_shows_bars_and_take_takes_the_place_that_was_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = session(top_k=5, temperature=0.7, length=4)
    story.ask("Once")
    capsys.readouterr()
    obey(story, "/why 2")
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("place 2: ") and "temperature 0.7, top_k 5" in told[1]
    assert sum(line.startswith(">") for line in told) == 1
    assert sum(line.endswith("cut") for line in told) == 5
    obey(story, "/take 3")
    assert len(story.last_text().tokens) == 2 + 4
    obey(story, "/why")
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("place ")][-1].startswith("place 6: ")


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
        ("/why", "there is no text yet"),
        ("/take 1 2", "there is no text yet"),
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


def test_a_prompt_counts_when_room_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(256, 41)
    enough = memory_needed(engine.hparams, "float32", 2, len("Once") + 3, loaded=True)
    monkeypatch.setattr("gpt2_sampler.cli.session.loading.free_memory", lambda: enough)
    model = Model(BYTES, engine, precision="float32")
    settings = InteractiveSettings(seed=5, length=3, nsamples=2, batch_size=2)
    story = Session(lambda prompt: model, settings)
    story.ask("Once")
    with pytest.raises(EngineError, match="2 texts of 43 tokens"):
        story.ask("x" * 40)
    assert len(story.steps) == 1


def test_room_is_looked_for_as_long_as_the_whole_text_becomes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def require(
        _: object, precision: str, rows: int, tokens: int, *rest: object, **_2: bool
    ) -> None:
        asked.append((rows, tokens))

    monkeypatch.setattr("gpt2_sampler.cli.session.loading.require_memory", require)
    model = Model(BYTES, FakeEngine(256, 41), precision="float32")
    settings = InteractiveSettings(seed=5, length=3, nsamples=2, batch_size=2)
    story = Session(lambda prompt: model, settings)
    story.ask("Once")
    story.more()
    story.more()
    assert asked == [(2, 4 + 3), (1, 4 + 3 + 3), (1, 4 + 3 + 3 + 3)]
