"""What a row of the cache holds, or another row reads, is not read again."""

from __future__ import annotations

from dataclasses import replace

from gpt2_sampler.decoding.batch import PIECE, Batch
from gpt2_sampler.decoding.request import Request
from tests.decoding.test_batch import V, requests, run, slow_text
from tests.fake_engine import FakeEngine

LONG = [token % V for token in range(100)]
ROOM = 211  # slots: nothing slides


def n_read(engine: FakeEngine, batch: Batch, *added: Request) -> int:
    """How many tokens the engine reads until all requests have ended."""
    for request in added:
        batch.add(request)
    before = sum(engine.calls)
    run(batch)
    return sum(engine.calls) - before


def test_equal_prompts_are_read_once() -> None:
    engine = FakeEngine(V, ROOM)
    many = requests(5, LONG, length=1)
    assert n_read(engine, Batch(engine, 5), *many) == 100 + 4
    assert n_read(engine, Batch(engine, 2), *many) == 100 + 4


def test_what_prompts_have_in_common_is_read_once() -> None:
    engine = FakeEngine(V, ROOM)
    one, other = requests(2, LONG, length=1)
    other = replace(other, tokens=[*LONG[:60], 1, 2, 3])
    assert n_read(engine, Batch(engine, 2), one, other) == 100 + 3


def test_a_text_that_goes_on_reads_only_what_is_new() -> None:
    engine = FakeEngine(V, ROOM)
    batch = Batch(engine, 2)
    [request] = requests(1, LONG, length=30, ends=frozenset())
    assert n_read(engine, batch, request) == 100 + 29
    rest = replace(request, tokens=[*LONG, *slow_text(request, ROOM)], length=5, drawn=30)
    assert n_read(engine, batch, rest) == 5
    again = replace(request, id="again", stream=(3, 1), length=1)
    assert n_read(engine, batch, again) == 1


def test_a_text_takes_the_row_that_holds_most_of_it_or_was_left_the_longest_ago() -> None:
    engine = FakeEngine(V, ROOM)
    batch = Batch(engine, 3)
    stories = [replace(r, tokens=[r.id, *LONG]) for r in requests(4, length=1)]  # type: ignore[list-item]
    for story in stories[:3]:
        assert n_read(engine, batch, story) == 101
    assert n_read(engine, batch, stories[0]) == 1
    assert n_read(engine, batch, stories[3]) == 101  # in the place of 1
    assert n_read(engine, batch, stories[2]) == 1
    assert n_read(engine, batch, stories[0]) == 1
    assert n_read(engine, batch, stories[1]) == 101


def test_whoever_waits_for_a_prompt_reads_it_alone_if_its_reader_leaves() -> None:
    engine = FakeEngine(V, 10 * PIECE)
    batch = Batch(engine, 4)
    talker, first, *others = requests(4, length=9, ends=frozenset())
    prompt = [1] * 4 * PIECE
    first, *others = (replace(request, tokens=prompt) for request in (first, *others))
    batch.add(talker)
    batch.step()
    for request in (first, *others):
        batch.add(request)
    batch.step()
    batch.cancel(first.id)
    engine.calls.clear()
    texts = run(batch)
    assert [texts[r.id] for r in others] == [slow_text(r, 10 * PIECE) for r in others]
    assert sum(engine.calls) < 1.5 * len(prompt)


def test_who_takes_the_row_of_one_that_waited_does_not_wait() -> None:
    engine = FakeEngine(V, 10 * PIECE)
    batch = Batch(engine, 3)
    talker, first, second, third = requests(4, length=9, ends=frozenset())
    batch.add(talker)
    batch.step()
    for request in (first, second):
        batch.add(replace(request, tokens=[1] * 9 * PIECE))
    batch.step()
    batch.cancel(second.id)
    batch.add(replace(third, tokens=[2, 3]))
    steps = (token.request.id for _ in range(10) for token in batch.step())
    assert third.id in set(steps)
