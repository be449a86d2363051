"""Which records a run asks for, and whose noise each is drawn with."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gpt2_sampler.corpus.jobs import Job, Plan, after_prompts, out_of_nothing
from gpt2_sampler.corpus.prompts import OWN, Id, Prompt
from gpt2_sampler.decoding.request import stream_of
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.tokenizer.byte_level import BYTE_SYMBOLS, END_OF_TEXT_NAME, Encoder
from gpt2_sampler.weights.hparams import HParams

BYTES = Encoder({symbol: i for i, symbol in enumerate([*BYTE_SYMBOLS, END_OF_TEXT_NAME])}, [])

PLAN = Plan(seed=3, first=0, samples=2, length=5, sampling=Sampling(top_k=7))
WINDOW = 11
HPARAMS = HParams(257, WINDOW, n_embd=2, n_head=1, n_layer=1)


def jobs(*prompts: Prompt, **changes: Any) -> list[Job]:
    plan = Plan(**{**vars(PLAN), **changes})
    return list(after_prompts(prompts, plan, BYTES, HPARAMS))


def test_samples_out_of_nothing_are_numbered_from_the_first_on() -> None:
    plan = Plan(**{**vars(PLAN), "first": 5})
    assert [(job.id, job.sample, job.stream) for job in out_of_nothing(9, plan)] == [
        (5, 5, (3, 5)),
        (6, 6, (3, 6)),
    ]
    endless = out_of_nothing(9, Plan(**{**vars(PLAN), "samples": 0}))
    assert [job.id for job in itertools.islice(endless, 4)] == [0, 1, 2, 3]


def test_ids_count_the_prompts_unless_one_has_its_own() -> None:
    found = jobs(Prompt(1, "a"), Prompt(2, "b", id=41), Prompt(3, "c"), first=5)
    assert [(job.id, job.sample) for job in found] == [
        (0, 5), (0, 6), (41, 5), (41, 6), (2, 5), (2, 6),
    ]  # fmt: skip


def test_parts_have_the_ids_of_the_whole() -> None:
    prompts = [Prompt(n, "a" * n) for n in range(1, 5)]
    whole = {(job.id, job.sample) for job in jobs(*prompts, samples=3)}
    parts = [jobs(*prompts, first=first, samples=samples) for first, samples in ((0, 2), (2, 1))]
    assert {(job.id, job.sample) for part in parts for job in part} == whole


@pytest.mark.parametrize(
    ("own", "ids"),
    [
        ([2, None, None, None], [2, 1, 3, 4]),
        (["a", None, "3", None], ["a", "1", "3", "4"]),
        ([None, "a", 1.5, True], [0, "a", 1.5, True]),
    ],
)
def test_a_counted_id_is_never_one_that_a_prompt_has(own: list[Id | None], ids: list[Id]) -> None:
    found = jobs(*(Prompt(n, "a", id) for n, id in enumerate(own)), samples=1)
    assert [job.id for job in found] == ids


def test_an_id_that_was_counted_before_is_refused() -> None:
    _, job, last = jobs(Prompt(1, "a"), Prompt(2, "b", 0), Prompt(3, "c"), samples=1)
    assert (job.id, job.prompt, last.id) == (1, "b", 2)
    assert job.problem == "line 2: its id 0 is the number of a prompt without one"


def test_a_text_depends_on_its_prompt_and_not_on_where_that_stands() -> None:
    a, b = Prompt(1, "a"), Prompt(2, "b")
    streams = {job.prompt: job.stream for job in jobs(a, b, samples=1)}
    assert {job.prompt: job.stream for job in jobs(b, a, samples=1)} == streams
    assert streams["a"] != streams["b"]


def test_the_rule_of_streams_is_a_promise() -> None:
    assert stream_of(3, 5) == (3, 5)
    assert stream_of(3, 5, [1, 22, 333]) == (3, 10269313273589744349, 5)


def test_a_prompt_that_is_longer_than_the_window_keeps_its_tail_or_is_a_problem() -> None:
    long = Prompt(4, "x" * 5 + "y" * WINDOW)
    [kept] = jobs(long, samples=1)
    assert (list(kept.tokens), kept.left_out) == (BYTES.encode("y" * WINDOW), 5)
    [refused] = jobs(long, on_long="error")
    assert refused.problem == (
        f"line 4: the prompt has {WINDOW + 5} tokens, more than the model's window of {WINDOW}"
    )


def test_a_prompt_has_settings_of_its_own() -> None:
    [job] = jobs(Prompt(1, "a", None, {"temperature": 0, "length": 2, "seed": 9}), samples=1)
    assert (job.sampling, job.length, job.seed) == (Sampling(temperature=0, top_k=7), 2, 9)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"topk": 3}, "line 6: there is no setting 'topk'; did you mean top_k?"),
        ({"x": 3}, f"line 6: there is no setting 'x'; there are {', '.join(OWN)}"),
        ({"top_k": 1.5}, "line 6: top_k must be a whole number, not 1.5"),
        ({"top_k": True}, "line 6: top_k must be a whole number, not True"),
        ({"temperature": "1"}, "line 6: temperature must be a number, 0 or more, not '1'"),
        ({"temperature": -1}, "line 6: temperature must be 0 or more, not -1"),
        ({"temperature": float("nan")}, "line 6: temperature must be 0 or more, not nan"),
        ({"temperature": 10**400}, "line 6: temperature must be 0 or more, not a "),
        ({"length": 0}, "line 6: length must be 1 or more, not 0"),
        ({"seed": -1}, "line 6: seed must be 0 or more, not -1"),
    ],
)
def test_a_setting_that_cannot_be_is_one_record_that_says_so(
    settings: dict[str, Any], problem: str
) -> None:
    [job] = jobs(Prompt(6, "a", None, settings))
    assert job.problem.startswith(problem)
    assert job.settings == {}
