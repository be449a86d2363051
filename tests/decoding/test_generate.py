from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from gpt2_sampler.decoding.generate import generate
from gpt2_sampler.decoding.request import stream_of
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import UsageError
from tests.decoding.test_batch import FRESH, PLAIN, C, V, requests, slow_text
from tests.fake_engine import FakeEngine

PROMPT = [1, 5, 2]


@pytest.mark.parametrize("rows", [1, 3, 8])
@pytest.mark.parametrize("sampling", [PLAIN, FRESH])
def test_samples_come_whole_and_in_order(rows: int, sampling: Sampling) -> None:
    samples = generate(
        FakeEngine(V, C), PROMPT, 9, length=17, seed=3, sampling=sampling, ends=[7], rows=rows
    )
    expected = [
        slow_text(replace(request, stream=stream_of(3, n, PROMPT)))
        for n, request in enumerate(requests(9, sampling=sampling))
    ]
    assert list(samples) == [[token for token in sample if token != 7] for sample in expected]


def test_any_samples_can_be_asked_for_without_an_end() -> None:
    engine = FakeEngine(V, C)
    endless = generate(engine, [1, 5, 2], itertools.count(), length=17, seed=3, rows=2)
    first = list(itertools.islice(endless, 5))
    [third, first_again] = generate(engine, [1, 5, 2], [2, 0], length=17, seed=3)
    assert (first[2], first[0]) == (third, first_again)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": []}, "at least one token"),
        ({"tokens": [V]}, f"no {V}"),
        ({"length": 0}, "length 0"),
        ({"tokens": [1] * (C + 1)}, f"{C + 1} tokens, more than the model's window of {C}"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 1.0}, "seed must be a whole number"),
        ({"samples": -2}, "samples must be"),
        ({"rows": 0}, "1 row or more"),
    ],
    ids=str,
)
def test_what_is_impossible_is_refused_at_once(change: dict[str, object], said: str) -> None:
    options = {"tokens": [1], "length": 5, "samples": [0]} | change
    with pytest.raises(UsageError, match=said):
        generate(FakeEngine(V, C), **options)  # type: ignore[arg-type]
