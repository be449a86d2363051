"""A streamed reply is the whole one in pieces."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.running import Running
from tests.serving.test_app import ASKED


@pytest.mark.parametrize(
    "options", [{}, {"logprobs": 3}, {"echo": True}, {"echo": True, "logprobs": 1}]
)
def test_a_stream_says_what_the_whole_answer_says(server: Running, options: dict[str, Any]) -> None:
    whole = server.complete(**ASKED, n=2, stop=["\x03", "é"], **options)
    events = server.stream(
        **ASKED, n=2, stop=["\x03", "é"], stream_options={"include_usage": True}, **options
    )
    *events, last = events
    assert last["choices"] == [] and last["usage"] == whole["usage"]
    for index, choice in enumerate(whole["choices"]):
        own = [c for event in events for c in event["choices"] if c["index"] == index]
        assert "".join(c["text"] for c in own) == choice["text"]
        assert [c["finish_reason"] for c in own[:-1]] == [None] * (len(own) - 1)
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        if "logprobs" in options:
            for name, values in choice["logprobs"].items():
                assert [v for c in own for v in c["logprobs"][name]] == values, name


def test_events_are_single_lines_however_a_client_splits_them(server: Running) -> None:
    odd = "a\x85b\u2028c\u2029d"
    [event, *_] = server.stream(prompt=odd, max_tokens=1, seed=7, echo=True)
    assert event["choices"][0]["text"].startswith(odd)
