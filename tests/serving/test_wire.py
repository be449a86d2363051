"""What a request may say, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.running import WINDOW, Running
from tests.serving.test_app import ASKED, text


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"prompt": 3}, "prompt", "prompt must be a text"),
        ({"prompt": []}, "prompt", "prompt must be a text"),
        ({"prompt": [[]]}, "prompt", "prompt must be a text"),
        ({"prompt": ["a", 1]}, "prompt", "prompt must be a text"),
        ({"prompt": [True]}, "prompt", "prompt must be a text"),
        ({"prompt": [-1]}, "prompt", "no -1"),
        ({"prompt": [257]}, "prompt", "no 257"),
        ({"prompt": [2**80]}, "prompt", "and no 1208"),
        ({"prompt": "x" * (WINDOW + 1)}, "prompt", f"{WINDOW + 1} tokens, more than"),
        ({"prompt": ["x"] * 129}, "n", "129 prompts x 1 choices"),
        ({"n": 0}, "n", "n must be a whole number from 1 to 128, not 0"),
        ({"n": 2, "best_of": 1}, "best_of", "best_of must be n (2) or more"),
        ({"best_of": 2, "stream": True}, "best_of", "cannot be streamed"),
        ({"logprobs": -1}, "logprobs", "from 0 to 100"),
        ({"logprobs": 101}, "logprobs", "from 0 to 100"),
        ({"logprobs": True}, "logprobs", "from 0 to 100"),
        ({"max_tokens": -1}, "max_tokens", "max_tokens must be"),
        ({"max_tokens": 10**30}, "max_tokens", "max_tokens must be"),
        ({"max_tokens": "5"}, "max_tokens", "max_tokens must be"),
        ({"temperature": -1}, "temperature", "temperature must be 0 or more"),
        ({"temperature": "hot"}, "temperature", "temperature must be a number"),
        ({"top_p": 0}, "top_p", "top_p must be above 0"),
        ({"presence_penalty": 3}, "presence_penalty", "from -2 to 2"),
        ({"logit_bias": {"x": 1}}, "logit_bias", "by token ids"),
        ({"logit_bias": {"5": 101}}, "logit_bias", "logit_bias must be"),
        ({"logit_bias": {"300": 1}}, "logit_bias", "300"),
        ({"logit_bias": [1]}, "logit_bias", "must be an object"),
        ({"stop": 5}, "stop", "stop must be a text"),
        ({"stop": ["x"] * 65}, "stop", "64 texts"),
        ({"seed": -2}, "seed", "seed must be"),
        ({"echo": 1}, "echo", "true or false"),
        ({"suffix": "the end"}, "suffix", "suffix is not supported"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream: true"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens", "must keep a token"),
        ({"model": 5}, "model", "model must be a text"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_its_name(
    server: Running, body: dict[str, Any], param: str, said: str
) -> None:
    done = server.post(**({"prompt": "Once"} | body))
    error = done.json()["error"]
    assert done.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert said in error["message"] and len(error["message"]) < 300


def test_optional_fields_may_be_null_or_empty(server: Running) -> None:
    nothing = dict.fromkeys(
        ["n", "best_of", "echo", "logprobs", "stop", "suffix", "stream", "stream_options", "top_p",
         "temperature", "logit_bias", "presence_penalty", "frequency_penalty", "user"]
    )  # fmt: skip
    assert server.complete(**ASKED, **nothing)["choices"][0]["text"] == text()
    empty = {"stop": [], "logit_bias": {}, "stream_options": {}, "top_k": -1, "unknown": [1]}
    assert server.complete(**ASKED, **empty)["choices"][0]["text"] == text()
