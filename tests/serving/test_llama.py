"""llama.cpp's completions are the same texts."""

from __future__ import annotations

import json

import pytest

from gpt2_sampler.decoding.sampling import Sampling
from tests.serving.running import END, Running
from tests.serving.test_app import text


def test_llama_cpps_completion_is_the_same_text(server: Running) -> None:
    asked = {"prompt": "Once", "n_predict": 20, "seed": 7, "repeat_penalty": 1.1, "top_k": 50}
    expected = text(sampling=Sampling(top_k=50, repetition_penalty=1.1))
    found = server.post("/completion", **asked).json()
    assert found["content"] == expected and found["stop"] is True
    assert found["stop_type"] in ("limit", "eos") and found["tokens_evaluated"] == 4
    with server.client.stream("POST", "/completion", json={**asked, "stream": True}) as done:
        lines = [line.removeprefix("data: ") for line in done.iter_lines() if line]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    assert "".join(event["content"] for event in events) == expected
    assert [event["stop"] for event in events] == [*[False] * (len(events) - 1), True]


@pytest.mark.parametrize("after", [False, True])
def test_llama_cpps_probabilities_are_of_the_model_or_of_the_draw(
    server: Running, after: bool
) -> None:
    asked = {"prompt": "Once", "n_predict": 3, "n_probs": 5, "seed": 7, "top_k": 3}
    found = server.post("/completion", **asked, post_sampling_probs=after).json()
    for one in found["completion_probabilities"]:
        top = one["top_probs" if after else "top_logprobs"]
        assert len(top) == 5 and top[0]["token"] is not None
        if after:
            assert sum(other["prob"] for other in top) == pytest.approx(1) and top[4]["prob"] == 0
        else:
            assert top[0]["logprob"] >= top[1]["logprob"] and one["logprob"] < 0


def test_llama_cpps_refusals_are_refusals(server: Running) -> None:
    for body in ({"prompt": ["a", "b"]}, {"prompt": "a", "logit_bias": [[1]]}, {"prompt": 5}):
        assert server.post("/completion", **body).status_code == 400
    banned = server.post("/completion", prompt="Once", n_predict=9, logit_bias=[[END, False]])
    assert banned.json()["tokens_predicted"] == 9


@pytest.mark.parametrize(
    ("name", "value"), [("n_predict", -5), ("n_probs", 200), ("repeat_penalty", -1)]
)
def test_llama_cpps_refusals_name_the_field_that_was_sent(
    server: Running, name: str, value: int
) -> None:
    error = server.post("/completion", prompt="Once", **{name: value}).json()["error"]
    assert error["param"] == name and error["message"].startswith(f"{name} must be ")


def test_a_prompt_beyond_the_window_can_be_cut_as_the_refusal_says(server: Running) -> None:
    asked = {"prompt": "Once " * 2000, "n_predict": 2}
    refused = server.post("/completion", **asked)
    assert refused.status_code == 400
    assert "truncate_prompt_tokens: -1" in refused.json()["error"]["message"]
    assert server.post("/completion", **asked, truncate_prompt_tokens=-1).status_code == 200
