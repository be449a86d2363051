"""Records come in order and are what one text at a time gives, whatever is written beside them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gpt2_sampler.corpus import write as module
from gpt2_sampler.corpus.jobs import Job, Plan, after_prompts, out_of_nothing
from gpt2_sampler.corpus.prompts import Prompt
from gpt2_sampler.corpus.records import as_line
from gpt2_sampler.corpus.write import Record, describe, is_line_of, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME, Encoder
from tests.fake_engine import Book, FakeEngine

BYTES = Encoder({symbol: i for i, symbol in enumerate([*BYTE_SYMBOLS, END_OF_TEXT_NAME])}, [])
V, C = 257, 13
HPARAMS = FakeEngine(V, C).hparams
PLAN = Plan(
    seed=3, first=0, samples=2, length=17, sampling=Sampling(top_k=7), ends=frozenset(range(5))
)
PROMPTS = [
    Prompt(1, "Once"),
    Prompt(2, "", problem="it is no text"),
    Prompt(3, "a", None, {"temperature": 0, "length": 3}),
    Prompt(4, "Once upon", None, {"seed": 11}),
    Prompt(5, "x" * 40),
    *(Prompt(6 + n, chr(97 + n) * n) for n in range(1, 9)),
]


def jobs(plan: Plan) -> list[Job]:
    return list(after_prompts(PROMPTS, plan, BYTES, HPARAMS))


def records(rows: int, plan: Plan = PLAN) -> list[Record]:
    pieces = write(Batch(FakeEngine(V, C), rows), BYTES, jobs(plan), plan)
    return [record for piece in pieces for record in piece.records]


def test_neither_rows_nor_neighbours_change_a_record_or_the_order() -> None:
    plan = dataclasses.replace(PLAN, tokens=True, logprobs=True)
    expected = []
    for job in jobs(plan):
        [piece] = [p for p in write(Batch(FakeEngine(V, C), 1), BYTES, [job], plan) if p.records]
        expected += piece.records
    assert [record["id"] for record in expected] == [
        number for number in range(len(PROMPTS)) for _ in range(1 if number == 1 else 2)
    ]
    for rows in (1, 2, 3, 7, 50):
        assert records(rows, plan) == expected


def test_a_run_can_be_cut_anywhere() -> None:
    whole = {(r.get("prompt"), r["sample"]): r["text"] for r in records(3)}
    part = records(3, dataclasses.replace(PLAN, first=1, samples=1))
    assert all(whole[r.get("prompt"), r["sample"]] == r["text"] for r in part if not r["error"])


def test_few_records_wait_for_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD", 5)
    begun = 0

    def counted() -> Any:
        nonlocal begun
        for job in jobs(PLAN):
            begun += 1
            yield job

    written = 0
    for piece in write(Batch(FakeEngine(V, C), 3), BYTES, counted(), PLAN):
        assert begun <= written + 5
        written += len(piece.records)
    assert written == 2 * len(PROMPTS) - 1
    monkeypatch.undo()
    assert len(records(3)) == written


def test_the_pieces_tell_every_token() -> None:
    plan = dataclasses.replace(PLAN, ends=frozenset())
    pieces = list(write(Batch(FakeEngine(V, C), 3), BYTES, jobs(plan), plan))
    lengths = [record["length"] for piece in pieces for record in piece.records]
    assert sum(piece.tokens for piece in pieces) == sum(lengths)


def test_a_record_says_what_it_holds_and_why_it_ended() -> None:
    book = b"Once upon a time."
    engine = Book([*book, 256], V, 97)
    plan = dataclasses.replace(PLAN, length=30, ends=frozenset([256]), samples=1, tokens=True)

    def one(plan: Plan, prompt: Prompt) -> Record:
        asked = after_prompts([prompt], plan, BYTES, engine.hparams)
        pieces = write(Batch(engine, 2), BYTES, asked, plan)
        [record] = [record for piece in pieces for record in piece.records]
        return record

    shared = {"id": 0, "prompt": "Once", "seed": 3, "sample": 0}
    shared |= {"settings": "{}", "extra": "{}", "left_out": 0, "error": ""}
    assert one(plan, Prompt(1, "Once")) == shared | {
        "ended": True,
        "length": 13,
        "text": " upon a time.",
        "why": "end of text",
        "tokens": list(b" upon a time."),
    }
    found = one(dataclasses.replace(plan, length=5, tokens=False), Prompt(1, "Once"))
    assert found == shared | {
        "ended": False,
        "length": 5,
        "text": " upon",
        "why": "length reached",
    }
    found = one(dataclasses.replace(plan, stops=(" a",), tokens=False), Prompt(1, "Once"))
    assert (found["ended"], found["text"], found["why"]) == (False, " upon", "stop text")
    found = one(plan, Prompt(8, "", problem="it is no text"))
    assert (found["ended"], found["length"], found["text"]) == (False, 0, "")
    assert (found["why"], found["error"]) == ("error", "line 8: it is no text")


def test_records_have_the_same_fields_of_the_same_types_whatever_becomes_of_them() -> None:
    plan = dataclasses.replace(PLAN, tokens=True, logprobs=True)
    shapes = {tuple((name, type(value)) for name, value in r.items()) for r in records(3, plan)}
    assert len(shapes) == 1


def test_log_probabilities_stand_for_every_token() -> None:
    for record in records(3, dataclasses.replace(PLAN, logprobs=True)):
        if record["error"]:
            assert record["logprobs"] == []
        else:
            assert len(record["logprobs"]) == record["length"]
            assert all(logprob <= 0 for logprob in record["logprobs"])


def test_a_line_is_of_its_own_job_and_no_other() -> None:
    forged = '", "seed": 3, "sample": 0, "why": "'
    prompts = [*PROMPTS, Prompt(20, forged, forged, extra={"label": [forged, None]})]
    prompts += [Prompt(20, 'a", "prompt": "Once", "seed": 3', own) for own in (1.0, "1", True)]
    plan = dataclasses.replace(PLAN, tokens=True, logprobs=True)
    every = [*after_prompts(prompts, plan, BYTES, HPARAMS), *out_of_nothing(V - 1, plan)]
    asked = [{"id": repr(job.id), **describe(job)} for job in every]
    pieces = write(Batch(FakeEngine(V, C), 3), BYTES, every, plan)
    lines = [as_line(record) for piece in pieces for record in piece.records]
    for number, line in enumerate(lines):
        alike = [is_line_of(line, job) for job in every]
        assert alike == [one == asked[number] for one in asked]
        assert not is_line_of(line[:-2], every[number])
        assert not is_line_of(line.replace(b'"text": "', b'"text": "\0', 1), every[number])
