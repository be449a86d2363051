"""The choices of a completion: which prompt and sample each is, and which of them are answered."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gpt2_sampler.decoding.sampling import Sampling
from tests.serving.running import Running
from tests.serving.test_app import ASKED, text


def test_a_choice_is_the_text_with_that_seed_and_number(server: Running) -> None:
    found = server.complete(**ASKED, n=3, first=1, temperature=0.9, top_k=50)
    sampling = Sampling(temperature=0.9, top_k=50)
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    for sample, choice in enumerate(found["choices"], 1):
        assert choice["text"] == text(sample=sample, sampling=sampling)
        assert choice["finish_reason"] in ("length", "stop") and choice["logprobs"] is None
    assert (found["object"], found["model"], found["seed"]) == ("text_completion", "toy", 7)
    usage = found["usage"]
    assert usage["prompt_tokens"] == 4
    assert usage["total_tokens"] == 4 + usage["completion_tokens"]


@pytest.mark.parametrize(
    "prompt", ["Once", ["Once"], [79, 110, 99, 101], [[79, 110, 99, 101]]], ids=str
)
def test_a_prompt_has_any_of_its_forms(server: Running, prompt: object) -> None:
    found = server.complete(**{**ASKED, "prompt": prompt})
    assert [choice["text"] for choice in found["choices"]] == [text()]


def test_choices_are_numbered_by_prompt_and_then_by_sample(server: Running) -> None:
    found = server.complete(**{**ASKED, "prompt": ["Once", "Then"]}, n=2)
    assert [choice["text"] for choice in found["choices"]] == [
        text(prompt, sample) for prompt in ("Once", "Then") for sample in (0, 1)
    ]
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
    assert found["usage"]["prompt_tokens"] == 8


def test_the_best_of_several_is_the_likeliest(server: Running) -> None:
    every = server.complete(**ASKED, n=6, logprobs=0)["choices"]
    [best] = server.complete(**ASKED, best_of=6)["choices"]

    def mean(choice: dict[str, Any]) -> float:
        values = choice["logprobs"]["token_logprobs"]
        return math.fsum(values) / len(values)

    likeliest = max(every, key=mean)
    assert (best["text"], best["index"], best["logprobs"]) == (likeliest["text"], 0, None)
    [told] = server.complete(**ASKED, best_of=6, logprobs=2)["choices"]
    assert told["text"] == best["text"]
    assert told["logprobs"]["token_logprobs"] == likeliest["logprobs"]["token_logprobs"]
    assert all(len(top) >= 2 for top in told["logprobs"]["top_logprobs"])
