"""Whatever is asked for, cancelled or fails on the way, each text is the one it would be alone."""

from __future__ import annotations

import contextlib
import itertools
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gpt2_sampler.decoding.batch import PIECE, Batch
from gpt2_sampler.decoding.choose import choose, distribution
from gpt2_sampler.decoding.logits import log_softmax
from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.request import END_OF_TEXT, LENGTH_REACHED, Choice, Request, Token
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.decoding.window import in_window
from gpt2_sampler.engines.engine import Cache
from gpt2_sampler.errors import CheckpointError, OutOfMemory, UsageError
from tests.fake_engine import EMPTY, FakeCache, FakeDraft, FakeEngine, Floats, hashed

V, C = 31, 13
PLAIN = Sampling(temperature=0.9, top_k=11, top_p=0.95)
FRESH = Sampling(repetition_penalty=1.3, no_repeat_ngram=2)
ALL = Sampling()
GREEDY = Sampling(temperature=0)
OPENAI = Sampling(presence_penalty=1, frequency_penalty=0.5, logit_bias={3: 2}, min_p=0.01)
SAMPLINGS = [PLAIN, FRESH, ALL, GREEDY, OPENAI]


def slow_text(request: Request, window: int = C) -> list[int]:
    """What a request should give: one token after another, each time from the whole text."""
    text, drawn = list(request.tokens), list[int]()
    for place in itertools.count(request.drawn):
        logits = hashed(text[-in_window(len(text), window) :], V)[None]
        keys = np.array([key(request.stream, place)], np.uint64)
        history = History(text[-window:], min(place, len(text), window))
        token = int(choose(logits, [history], [request.sampling], keys)[0])
        text.append(token)
        drawn.append(token)
        if token in request.ends or len(drawn) == request.length:
            return drawn
    raise AssertionError


def requests(n: int, tokens: Sequence[int] = (1, 5, 2), **options: object) -> list[Request]:
    values = {"sampling": PLAIN, "length": 17, "ends": frozenset([7])} | options
    return [Request(n, tokens, (3, n), **values) for n in range(n)]  # type: ignore[arg-type]


def run(batch: Batch) -> dict[object, list[int]]:
    """The tokens of all requests, to their ends."""
    texts = defaultdict(list)
    for token in all_tokens(batch):
        texts[token.request.id].append(token.id)
    return texts


def all_tokens(batch: Batch) -> Iterator[Token]:
    while batch:
        yield from batch.step()


def check(batch: Batch, expected: Sequence[Request], window: int = C) -> None:
    for request in expected:
        batch.add(request)
    texts = run(batch)
    assert texts == {request.id: slow_text(request, window) for request in expected}


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("length", [1, 7, 61])
@pytest.mark.parametrize("n_prompt", [1, 6, C, C + 1, 40])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_sample_is_the_same_beside_any_others(
    rows: int, length: int, n_prompt: int, sampling: Sampling
) -> None:
    tokens = [token % V for token in range(3, 3 + n_prompt)]
    check(Batch(FakeEngine(V, C), rows), requests(7, tokens, length=length, sampling=sampling))


def test_prompts_samplings_and_lengths_of_all_kinds_are_written_together() -> None:
    random = np.random.default_rng(1)
    mixed = [
        Request(
            id=f"request {n}",
            tokens=random.integers(V, size=random.integers(1, 2 * C)).tolist(),
            stream=(5, n, n),
            sampling=SAMPLINGS[n % 4],
            length=1 + int(random.integers(30)),
            ends=frozenset(random.integers(V, size=2).tolist()),
            drawn=n % 3,
        )
        for n in range(23)
    ]
    check(Batch(FakeEngine(V, C), 4), mixed)


@pytest.mark.parametrize("window", [1, 2, 3, 13])
@pytest.mark.parametrize("rows", [1, 3])
def test_text_slides_past_windows_of_any_size(window: int, rows: int) -> None:
    check(Batch(FakeEngine(V, window), rows), requests(3, [1], length=50), window)


def test_a_request_says_why_it_ended() -> None:
    batch = Batch(FakeEngine(V, C), 2)
    for request in requests(9):
        batch.add(request)
    for token in all_tokens(batch):
        expected = slow_text(token.request)
        if token.ended:
            assert token.ended == (END_OF_TEXT if expected[-1] == 7 else LENGTH_REACHED)
            assert token.request.id not in batch
        else:
            assert token.id != 7 and token.request.id in batch
    assert batch.step() == []


# Going on.


def rest(request: Request, drawn: Sequence[int]) -> Request:
    """The request that goes on where the tokens drawn so far have come to."""
    return replace(
        request,
        tokens=[*request.tokens, *drawn],
        length=request.length - len(drawn),
        drawn=request.drawn + len(drawn),
    )


@pytest.mark.parametrize("cut", [1, 5, 12, 13, 14, 20, 40])
def test_a_request_that_was_cancelled_goes_on_where_it_was(cut: int) -> None:
    [request] = requests(1, length=60, ends=frozenset())
    batch = Batch(FakeEngine(V, C), 1)
    batch.add(request)
    begun = [token.id for _ in range(cut) for token in batch.step()]
    batch.cancel(request.id)
    other = Batch(FakeEngine(V, C), 3)
    other.add(rest(request, begun))
    assert begun + run(other)[0] == slow_text(request)


def test_long_text_costs_a_bounded_number_of_slots_and_bytes() -> None:
    engine = FakeEngine(V, C)
    batch = Batch(engine, 1)
    batch.add(Request(0, [1], (0, 0), ALL, 10**9))
    tokens = all_tokens(batch)
    for _ in itertools.islice(tokens, 100):
        pass
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in itertools.islice(tokens, 1000):
        engine.calls.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000


def test_nobody_waits_long_while_a_prompt_is_read() -> None:
    engine = FakeEngine(V, 10 * PIECE)
    batch = Batch(engine, 3)
    talker, *others = requests(3, length=100, ends=frozenset())
    batch.add(talker)
    batch.step()
    for request in others:
        batch.add(replace(request, tokens=[request.id, *([1] * 5 * PIECE)]))  # type: ignore[list-item]
    engine.calls.clear()
    seen = defaultdict(list)
    for step in range(14):
        for token in batch.step():
            seen[token.request.id].append(step)
    assert seen[0] == list(range(14))
    assert seen[1] == list(range(5, 14)) and seen[2] == list(range(10, 14))
    assert max(engine.calls) <= PIECE


@pytest.mark.parametrize(("talkers", "most"), [(20, PIECE), (50, 50 + PIECE // 2)])
def test_the_more_wait_the_shorter_are_the_pieces_of_a_prompt(talkers: int, most: int) -> None:
    engine = FakeEngine(V, 10 * PIECE)
    batch = Batch(engine, talkers + 1)
    for request in requests(talkers, length=100, ends=frozenset()):
        batch.add(request)
    while batch.step() == []:
        pass
    batch.add(Request("long", [1] * 5 * PIECE, (1,), length=1))
    engine.calls.clear()
    while "long" in batch:
        assert len(batch.step()) >= talkers
    assert max(engine.calls) == most


def test_a_prompt_for_which_nobody_waits_is_read_in_one_go() -> None:
    engine = FakeEngine(V, 211)
    batch = Batch(engine, 2)
    batch.add(requests(1, [1] * 100)[0])
    assert len(batch.step()) == 1


def test_what_another_reads_with_the_engine_changes_no_text() -> None:
    engine = FakeEngine(V, C)
    one, other = Batch(engine, 2), Batch(engine, 3)
    expected = requests(4)
    for request in expected:
        one.add(request)
        other.add(request)
    texts: dict[int, list[list[int]]] = {n: [[], []] for n in range(4)}
    while one or other:
        for number, batch in enumerate((one, other)):
            for token in batch.step():
                texts[token.request.id][number].append(token.id)  # type: ignore[index]
        engine.logits([1, 2, 3])
    assert texts == {r.id: [slow_text(r)] * 2 for r in expected}


# Failures.


class SmallEngine(FakeEngine):
    """Has room for so many rows, and for so many filled slots in all of them together."""

    def __init__(self, most_rows: int = 99, most_slots: int = 9999) -> None:
        super().__init__(V, C)
        self.most_rows, self.most_slots = most_rows, most_slots

    def new_cache(self, rows: int) -> FakeCache:
        if rows > self.most_rows:
            raise MemoryError
        return super().new_cache(rows)

    def forward(
        self,
        cache: Cache,
        tokens: Sequence[int],
        rows: Sequence[int],
        positions: Sequence[int],
        wanted: Sequence[int],
    ) -> Floats:
        assert isinstance(cache, FakeCache)
        new = sum(cache.slots[slot] == EMPTY for slot in zip(rows, positions, strict=True))
        if (cache.slots != EMPTY).sum() + new > self.most_slots:
            raise OutOfMemory("no room")
        return super().forward(cache, tokens, rows, positions, wanted)


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize("room", [14, 20, 40, 1000])
def test_with_less_room_fewer_texts_are_written_together(rows: int, room: int) -> None:
    batch = Batch(SmallEngine(most_slots=room), rows)
    check(batch, requests(11))
    assert batch.rows <= max(1, room // 3)


def test_who_fails_at_once_begins_with_fewer_rows(caplog: pytest.LogCaptureFixture) -> None:
    check(Batch(SmallEngine(most_rows=2), 8), requests(11))
    assert [record.getMessage() for record in caplog.records] == [
        "no room for 8 texts at once; going on with 4",
        "no room for 4 texts at once; going on with 2",
    ]


@pytest.mark.parametrize("engine", [SmallEngine(most_slots=5), SmallEngine(most_rows=0)])
def test_where_one_row_has_no_room_it_is_said_and_can_be_tried_again(engine: SmallEngine) -> None:
    batch = Batch(engine, 4)
    for request in requests(3):
        batch.add(request)
    for _ in range(2):
        with pytest.raises((OutOfMemory, MemoryError)):
            run(batch)
    engine.most_rows = engine.most_slots = 999
    assert {len(text) > 0 for text in run(batch).values()} == {True}


def test_logits_that_are_no_numbers_are_said_at_once_and_cost_no_other_text() -> None:
    class Diverged(FakeEngine):
        def _logits(self, seen: np.ndarray) -> Floats:
            logits = super()._logits(seen)
            return logits if 30 not in seen else logits * np.nan

    batch = Batch(Diverged(V, C), 2)
    good, bad = requests(2)
    batch.add(good)
    batch.add(replace(bad, tokens=[30]))
    with pytest.raises(CheckpointError, match="not numbers"):
        batch.step()
    batch.cancel(bad.id)
    text = []
    while batch and 30 not in text:
        text += [token.id for token in batch.step()]
    assert text and slow_text(good)[: len(text)] == text


def test_a_step_that_is_stopped_at_any_write_is_taken_again() -> None:
    for stop_at in range(60):
        engine = FakeEngine(V, C)
        engine.fail = raising(KeyboardInterrupt, stop_at)  # type: ignore[method-assign, assignment]
        batch = Batch(engine, 2)
        expected = requests(3, length=9)
        for request in expected:
            batch.add(request)
        texts = defaultdict(list)
        while batch:
            try:
                for token in batch.step():
                    texts[token.request.id].append(token.id)
            except KeyboardInterrupt:
                continue
        assert texts == {request.id: slow_text(request) for request in expected}


def raising(error: type[BaseException], at: int) -> Callable[[int], None]:
    """Raises it once, before the write with that number."""
    waiting = [error]

    def fail(written: int) -> None:
        if written >= at and waiting:
            raise waiting.pop()("it fails here")

    return fail


# Mistakes.


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": []}, "at least one token"),
        ({"tokens": [V]}, f"no {V}"),
        ({"tokens": [True]}, "no True"),
        ({"length": -1}, "length must be 0 or more, not -1"),
        ({"length": 0}, "length 0 must tell some of its own tokens"),
        ({"length": 1.5}, "length must be a whole number, not 1.5"),
        ({"drawn": -1}, "drawn must be 0 or more"),
        ({"top": -1}, "top must be 0 or more"),
        ({"stream": ()}, "a stream is of whole numbers"),
        ({"stream": (1, -1)}, "a stream is of whole numbers"),
        ({"id": 0}, "there is a request 0 already"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_served_is_refused(change: dict[str, object], said: str) -> None:
    batch = Batch(FakeEngine(V, C), 2)
    first, second = requests(2)
    batch.add(first)
    with pytest.raises(UsageError, match=said):
        batch.add(replace(second, **change))  # type: ignore[arg-type]
    assert len(batch) == 1 and run(batch)[0] == slow_text(first)


def test_what_nobody_asked_for_cannot_be_cancelled_nor_rows_be_none() -> None:
    with pytest.raises(UsageError, match="no request 'x'"):
        Batch(FakeEngine(V, C), 1).cancel("x")
    with pytest.raises(UsageError, match="rows must be 1 or more"):
        Batch(FakeEngine(V, C), 0)


# Log-probabilities.


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_log_probabilities_are_told_to_who_asks(sampling: Sampling) -> None:
    batch = Batch(FakeEngine(V, C), 3)
    for request in requests(3, sampling=sampling):
        batch.add(replace(request, top=[None, 0, 4][request.id]))  # type: ignore[call-overload]
    texts = {n: [1, 5, 2] for n in range(3)}
    for token in all_tokens(batch):
        number: int = token.request.id  # type: ignore[assignment]
        text = texts[number]
        logits = hashed(text[-in_window(len(text), C) :], V)
        by_model = log_softmax(logits)
        by_sampling = distribution(logits, History(text[-C:], min(len(text) - 3, C)), sampling)

        in_order = sorted(range(V), key=lambda token: (-logits[token], token))
        expected = {
            token: Choice(token, by_model[token], by_sampling[token], place)
            for place, token in enumerate(in_order, 1)
        }
        assert (token.choice is None) == (number == 0)
        best = [expected[token] for token in in_order[:4]] if number == 2 else []
        told = [*([token.choice] if token.choice else []), *token.top]
        wanted = [*([expected[token.id]] if number else []), *best]
        np.testing.assert_allclose(np.array(told), np.array(wanted), atol=1e-6)
        text.append(token.id)


# Everything at once.


MODULE = "gpt2_sampler.decoding.batch"


class AnyOrder(RuleBasedStateMachine):
    """Adds, cancels, steps and fails at random; each request must come out as it would alone."""

    @initialize(
        rows=st.integers(1, 5),
        window=st.sampled_from([1, 5, C]),
        piece=st.sampled_from([3, PIECE]),
        worth_copying=st.sampled_from([1, 4]),
        wrong=st.sampled_from([None, 0, 0.2, 1]),
    )
    def begin(
        self, rows: int, window: int, piece: int, worth_copying: int, wrong: float | None
    ) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(f"{MODULE}.PIECE", piece)
        self.patch.setattr("gpt2_sampler.decoding.rows.WORTH_COPYING", worth_copying)
        self.window = window
        self.engine = FakeEngine(V, window)
        self.draft = None if wrong is None else FakeDraft(V, window, wrong)
        self.batch = Batch(self.engine, rows, self.draft)
        self.numbers = itertools.count()
        self.asked: dict[int, Request] = {}
        self.texts: dict[int, list[int]] = {}

    @rule(
        tokens=st.lists(st.integers(0, V - 1), min_size=1, max_size=2 * C)
        | st.tuples(st.integers(1, C), st.sampled_from([[], [1], [2, 3, 4, 5]])).map(
            lambda parts: [*range(parts[0]), *parts[1]]
        ),
        length=st.integers(1, 2 * C),
        sampling=st.sampled_from(SAMPLINGS),
        ends=st.frozensets(st.integers(0, V - 1), max_size=1),
        drawn=st.integers(0, 3),
        copies=st.integers(1, 3),
    )
    def add(
        self,
        tokens: list[int],
        length: int,
        sampling: Sampling,
        ends: frozenset[int],
        drawn: int,
        copies: int,
    ) -> None:
        for n in itertools.islice(self.numbers, copies):
            request = Request(n, tokens, (7, n), sampling, length, ends, drawn)
            self.asked[n], self.texts[n] = request, []
            self.batch.add(request)

    @rule(times=st.integers(1, 9))
    def step(self, times: int) -> None:
        for _ in range(times):
            for token in self.batch.step():
                self.texts[token.request.id].append(token.id)  # type: ignore[index]

    @rule(
        error=st.sampled_from([KeyboardInterrupt, OutOfMemory, MemoryError]),
        at=st.integers(0, 2 * C),
    )
    def fail(self, error: type[BaseException], at: int) -> None:
        self.engine.fail = raising(error, self.engine.written + at)  # type: ignore[method-assign, assignment]
        try:
            self.step(3)
        except (error, OutOfMemory):  # which is how engines name a MemoryError
            if error is not KeyboardInterrupt:
                assert self.batch.rows == 1
        del self.engine.fail

    @rule(error=st.sampled_from([KeyboardInterrupt, OutOfMemory]), at=st.integers(0, 2 * C))
    def fail_to_guess(self, error: type[BaseException], at: int) -> None:
        if self.draft is not None:
            self.draft.fail = raising(error, self.draft.written + at)  # type: ignore[method-assign, assignment]
            with contextlib.suppress(KeyboardInterrupt):
                self.step(3)
            del self.draft.fail

    @rule(data=st.data(), again=st.booleans())
    def cancel(self, data: st.DataObject, again: bool) -> None:
        if self.asked:
            n = data.draw(st.sampled_from(sorted(self.asked)))
            self.batch.cancel(n)
            if again:
                self.batch.add(rest(self.asked[n], self.texts[n]))
            else:
                expected = slow_text(self.asked.pop(n), self.window)
                assert self.texts[n] == expected[: len(self.texts[n])]

    @rule()
    def read_something_else(self) -> None:
        self.engine.logits([1])

    @invariant()
    def what_ended_is_right(self) -> None:
        for n in [n for n in getattr(self, "asked", ()) if n not in self.batch]:
            assert self.texts[n] == slow_text(self.asked.pop(n), self.window)

    def teardown(self) -> None:
        if hasattr(self, "batch"):
            while self.batch:
                self.step(1)
            self.what_ended_is_right()
            self.patch.undo()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30)
