"""What is said of a text is of the piece that is told, however far the text has come since."""

from __future__ import annotations

import math
from typing import cast

import pytest

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.serving.answer import Answer, LlamaAnswer
from gpt2_sampler.serving.choices import Served, Writing
from gpt2_sampler.serving.decoder import Decoder
from gpt2_sampler.serving.wire import read_completion
from tests.fake_engine import FakeEngine
from tests.serving.running import BYTES, END, WINDOW, Running
from tests.serving.test_app import ASKED

STREAMED = {
    "prompt": "Once", "max_tokens": 5, "stream": True, "ignore_eos": True, "logprobs": 0,
    "return_token_ids": True,
}  # fmt: skip


@pytest.mark.parametrize("llama", [False, True])
def test_only_the_last_event_of_a_text_that_is_over_says_so(llama: bool) -> None:
    engine = FakeEngine(257, WINDOW)
    asked = read_completion(STREAMED)
    answer = Answer(asked, "x", "toy", 7)
    if llama:
        answer = LlamaAnswer(asked, "x", "toy", 7, after_sampling=False)
    writing = Writing(asked, Served("toy", engine, BYTES, cast(Decoder, None)), answer, 5)
    texts = Texts(Batch(engine, 1))
    texts.add(writing.texts[0])
    pieces = [piece for _ in range(5) for piece in texts.step()]
    events = [answer.event([choice]) for choice in writing.add(pieces)]
    if llama:
        assert [event["stop"] for event in events] == [False] * 4 + [True]
    else:
        reasons = [event["choices"][0]["finish_reason"] for event in events]
        assert reasons == [None] * 4 + ["length"]


def test_log_probabilities_are_the_models_and_tokens_join_to_the_text(server: Running) -> None:
    found = server.complete(**ASKED, logprobs=4, echo=True, return_token_ids=True, top_k=9)
    [choice] = found["choices"]
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == choice["text"] and choice["text"].startswith("Once")
    assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
    assert all(len(top) == 4 for top in told["top"][1:])
    assert told["token_ids"][:4] == [*b"Once"]
    assert told["text_offset"][:5] == [0, 1, 2, 3, 4]
    logits = FakeEngine(257, WINDOW).logits(told["token_ids"][:10]).astype(float)
    for place in range(1, 10):
        row = logits[place - 1]
        expected = row[told["token_ids"][place]] - math.log(sum(map(math.exp, row)))
        assert told["token_logprobs"][place] == pytest.approx(expected, abs=1e-4)


def test_a_prompt_can_be_told_without_going_on(server: Running) -> None:
    found = server.complete(prompt="Once", max_tokens=0, echo=True, logprobs=2)
    [choice] = found["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("Once", "length")
    assert len(choice["logprobs"]["tokens"]) == 4
    assert found["usage"]["completion_tokens"] == 0
    assert server.complete(prompt="Once", max_tokens=0)["choices"][0]["text"] == ""


def test_the_end_of_text_is_an_entry_without_characters(server: Running) -> None:
    bias = {str(END): 100}
    found = server.complete(prompt="Once", max_tokens=1, logprobs=1, echo=True, logit_bias=bias)
    [choice] = found["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("Once", "stop")
    assert len(choice["logprobs"]["tokens"]) == 5 and choice["logprobs"]["tokens"][4] == ""
    assert found["usage"]["completion_tokens"] == 1
    more = server.complete(prompt="Once", max_tokens=3, logit_bias=bias, ignore_eos=True)
    assert more["usage"]["completion_tokens"] == 3
