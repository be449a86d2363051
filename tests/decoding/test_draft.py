"""A draft that is right, wrong, late or broken: the text is the one that is written without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.draft import AT_ONCE, MOST, PATIENCE, Draft
from gpt2_sampler.decoding.request import END_OF_TEXT, Request
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import EngineError, OutOfMemory, SamplerError, UsageError
from tests.checkpoints import ROOT
from tests.decoding.test_batch import PLAIN, SAMPLINGS, C, V, check, requests, rest, run, slow_text
from tests.fake_engine import FakeDraft, FakeEngine, Floats, hashed

WIDE = 101
"""A window in which texts are long enough for the draft to be judged."""


class Failing(FakeEngine):
    def __init__(self, error: Exception, after: int) -> None:
        super().__init__(V, C)
        self.weight_bytes //= 4
        self.error, self.after = error, after

    def fail(self, written: int) -> None:
        if written >= self.after:
            raise self.error


@given(
    wrong=st.sampled_from([0, 0.1, 0.5, 1]),
    rows=st.integers(1, 4),
    window=st.sampled_from([1, 2, 7, C, WIDE]),
    sampling=st.sampled_from(SAMPLINGS),
    seed=st.integers(0, 2**40),
    length=st.integers(1, 40),
    prompts=st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=20), min_size=1),
    ends=st.frozensets(st.integers(0, V - 1), max_size=2),
)
@settings(max_examples=50)
def test_a_draft_never_changes_a_text(
    wrong: float,
    rows: int,
    window: int,
    sampling: Sampling,
    seed: int,
    length: int,
    prompts: list[list[int]],
    ends: frozenset[int],
) -> None:
    batch = Batch(FakeEngine(V, window), rows, FakeDraft(V, window, wrong=wrong))
    asked = [
        Request(n, prompt, (seed, n), sampling, length, ends, n)
        for n, prompt in enumerate(prompts * 2)
    ]
    check(batch, asked, window)


def test_guesses_are_refused_at_every_place_and_the_text_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Counter[tuple[int, int]]()
    learn = Draft.learn

    def watched(draft: Draft, guessed: int, right: int) -> None:
        seen[guessed, right] += 1
        learn(draft, guessed, right)

    monkeypatch.setattr(Draft, "learn", watched)
    for sampling in SAMPLINGS:
        many = requests(12, length=90, sampling=sampling, ends=frozenset())
        check(Batch(FakeEngine(V, WIDE), 1, FakeDraft(V, WIDE, wrong=0.1)), many, WIDE)
    assert all(seen[MOST, right] for right in range(MOST + 1))


def test_a_draft_that_is_always_right_saves_six_calls_in_seven() -> None:
    engine = FakeEngine(V, WIDE)
    check(
        Batch(engine, 1, FakeDraft(V, WIDE, wrong=0)),
        requests(1, length=1 + 70, ends=frozenset()),
        WIDE,
    )
    assert len(engine.calls) == 1 + 70 / AT_ONCE


def test_a_draft_that_is_never_right_is_soon_asked_rarely() -> None:
    engine, draft = FakeEngine(V, 1009), FakeDraft(V, 1009, wrong=1)
    check(Batch(engine, 1, draft), requests(1, length=900, ends=frozenset()), 1009)
    assert sum(engine.calls) < 1.25 * 900
    assert len(draft.calls) < 900 / PATIENCE + 50


def test_where_many_texts_are_written_together_nothing_is_guessed() -> None:
    draft = FakeDraft(V, WIDE, wrong=0)
    asked = [Request(n, [n], (3, n), PLAIN, length=20) for n in range(V)]
    check(Batch(FakeEngine(V, WIDE), V, draft), asked, WIDE)
    assert draft.calls == []


def test_tokens_are_given_one_by_one_so_that_a_text_can_be_cancelled_at_any_of_them() -> None:
    [request] = requests(1, length=40, ends=frozenset())
    expected = slow_text(request, WIDE)
    for n in range(1, 20):
        batch = Batch(FakeEngine(V, WIDE), 1, FakeDraft(V, WIDE, wrong=0))
        batch.add(request)
        tokens = list[int]()
        while len(tokens) < n:
            tokens += [token.id for token in batch.step()]
        batch.cancel(request.id)
        assert len(tokens) == n
        batch.add(rest(request, tokens))
        assert tokens + run(batch)[request.id] == expected


def test_a_text_ends_at_a_guess_that_ends_it() -> None:
    for request in requests(40, length=90, ends=frozenset([7])):
        batch = Batch(FakeEngine(V, WIDE), 1, FakeDraft(V, WIDE, wrong=0))
        batch.add(request)
        tokens = []
        while batch:
            tokens += batch.step()
        assert [token.id for token in tokens] == slow_text(request, WIDE)
        assert (tokens[-1].ended == END_OF_TEXT) == (tokens[-1].id == 7)


def test_equal_prompts_are_read_once_by_the_draft_too() -> None:
    draft = FakeDraft(V, WIDE, wrong=0)
    prompt = [n % V for n in range(60)]
    check(Batch(FakeEngine(V, WIDE), 2, draft), requests(2, prompt, length=20), WIDE)
    assert draft.written < 60 + 2 * 2 * 20


def test_a_draft_that_would_have_to_read_much_for_a_few_tokens_is_left_alone() -> None:
    draft = FakeDraft(V, 1009, wrong=0)
    check(Batch(FakeEngine(V, 1009), 1, draft), requests(1, [3] * 500, length=5), 1009)
    assert draft.calls == []


# A draft that is late, broken or of another model.


def test_a_draft_that_is_still_being_loaded_guesses_from_when_it_is_there() -> None:
    late = Future[Engine]()
    draft = FakeDraft(V, WIDE, wrong=0)
    [request] = requests(1, length=60, ends=frozenset())
    batch = Batch(FakeEngine(V, WIDE), 1, late)
    batch.add(request)
    tokens = [token.id for _ in range(9) for token in batch.step()]
    assert len(tokens) == 9 and draft.calls == []
    late.set_result(draft)
    tokens += run(batch)[request.id]
    assert tokens == slow_text(request, WIDE) and draft.calls


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutOfMemory("there is no room for the cache of 2 texts"), "no room for the cache"),
        (MemoryError(), "no room in memory"),
        (EngineError("the disk is full"), "the disk is full"),
    ],
)
@pytest.mark.parametrize("after", [0, 5, 50])
def test_a_draft_that_fails_is_given_up_and_no_text_with_it(
    error: Exception, said: str, after: int, caplog: pytest.LogCaptureFixture
) -> None:
    check(Batch(FakeEngine(V, C), 2, Failing(error, after)), requests(9))
    [record] = caplog.records
    assert record.getMessage().startswith("going on without a draft") and said in caplog.text


def test_a_draft_that_cannot_be_loaded_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    late = Future[Engine]()
    late.set_exception(SamplerError("its file is damaged"))
    check(Batch(FakeEngine(V, C), 2, late), requests(3))
    assert "its file is damaged" in caplog.text


def test_logits_that_are_no_numbers_only_after_a_wrong_guess_stop_nothing() -> None:
    class Touchy(FakeEngine):
        def _logits(self, seen: np.ndarray) -> Floats:
            logits = super()._logits(seen)
            return logits if 30 not in seen else logits * np.nan

    class Guesses30(FakeEngine):
        def _logits(self, seen: np.ndarray) -> Floats:
            return np.where(np.arange(V) == 30, 9e9, hashed(seen.tolist(), V)).astype(np.float32)

    with_it = [n for n in range(40) if 30 in slow_text(requests(40, length=9)[n])]
    asked = [request for request in requests(40, length=9) if request.id not in with_it]
    draft = Guesses30(V, C)
    draft.weight_bytes //= 4
    check(Batch(Touchy(V, C), 1, draft), asked)


def test_a_draft_that_takes_as_long_as_the_model_itself_is_left_alone() -> None:
    draft = FakeDraft(V, WIDE, wrong=0)
    draft.weight_bytes *= 4
    check(Batch(FakeEngine(V, WIDE), 1, draft), requests(1, length=50), WIDE)
    assert draft.calls == []


@pytest.mark.parametrize("draft", [FakeEngine(V - 1, C), FakeEngine(V, C - 1)])
def test_a_draft_of_another_vocabulary_or_a_smaller_window_is_refused(draft: FakeEngine) -> None:
    with pytest.raises(UsageError, match="cannot have"):
        Batch(FakeEngine(V, C), 1, draft)


# Real engines.


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    demo = ROOT / "models" / "demo"
    return load_engine(demo, "cpu", "float32"), load_engine(demo, "cpu", "int8")


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(0.7, top_k=40),
        Sampling(),
        Sampling(1.3, top_p=0.9),
        Sampling(0),
        Sampling(0.9, repetition_penalty=1.2, no_repeat_ngram=3),
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", [1, 3])
def test_int8_drafts_what_float32_writes(
    sampling: Sampling, rows: int, engines: Sequence[Engine]
) -> None:
    exact, fast = engines
    asked = [Request(n, [5, 7, 11 + n], (1, n), sampling, 60) for n in range(rows)]
    texts = []
    for draft in (None, fast):
        batch = Batch(exact, rows, draft)
        for request in asked:
            batch.add(request)
        texts.append(run(batch))
    assert texts[0] == texts[1]


def test_a_drafted_text_slides_past_the_window_and_goes_on_like_any_other(
    engines: Sequence[Engine],
) -> None:
    exact, fast = engines
    request = Request("a", [5] * 480, (1, 1), Sampling(0.7, top_k=40), 80)
    texts = []
    for draft in (None, fast):
        batch = Batch(exact, 1, draft)
        batch.add(request)
        tokens = [token.id for _ in range(40) for token in batch.step()]
        batch.cancel("a")
        batch.add(rest(request, tokens))
        texts.append(tokens + run(batch)["a"])
    assert texts[0] == texts[1] and len(texts[0]) == 80
