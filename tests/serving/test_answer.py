"""What is said of a text is of the piece that is told, however far the text has come since."""

from __future__ import annotations

from typing import cast

import pytest

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.serving.answer import Answer, LlamaAnswer
from gpt2_sampler.serving.choices import Served, Writing
from gpt2_sampler.serving.decoder import Decoder
from gpt2_sampler.serving.wire import read_completion
from tests.fake_engine import FakeEngine
from tests.serving.running import BYTES, WINDOW

ASKED = {
    "prompt": "Once", "max_tokens": 5, "stream": True, "ignore_eos": True, "logprobs": 0,
    "return_token_ids": True,
}  # fmt: skip


@pytest.mark.parametrize("llama", [False, True])
def test_only_the_last_event_of_a_text_that_is_over_says_so(llama: bool) -> None:
    engine = FakeEngine(257, WINDOW)
    asked = read_completion(ASKED)
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
