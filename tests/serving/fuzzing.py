"""Requests of every kind, and what must hold for each of them."""

from __future__ import annotations

import json
import threading
from typing import Any, cast

from hypothesis import strategies as st

from gpt2_sampler.decoding.generate import continue_text
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.serving.wire import SAMPLING
from gpt2_sampler.tokenizer.load import Tokenizer
from tests.fake_engine import FakeEngine
from tests.serving.running import BYTES, END, WINDOW, Running

PROMPTS = st.one_of(
    st.none(),
    st.text(max_size=WINDOW // 4),
    st.lists(st.text(max_size=9), min_size=1, max_size=3),
    st.lists(st.integers(0, 255), min_size=1, max_size=WINDOW),
    st.lists(st.lists(st.integers(0, 256), min_size=1, max_size=9), min_size=1, max_size=3),
)
RIGHT = {
    "max_tokens": st.integers(0, 12),
    "n": st.integers(1, 4),
    "first": st.integers(0, 3),
    "logprobs": st.one_of(st.none(), st.integers(0, 7)),
    "echo": st.booleans(),
    "stop": st.one_of(st.none(), st.text(max_size=2), st.lists(st.text(max_size=2), max_size=3)),
    "temperature": st.floats(0, 2),
    "top_k": st.integers(-1, 300),
    "top_p": st.floats(0.01, 1),
    "min_p": st.floats(0, 1),
    "repetition_penalty": st.floats(0.5, 2),
    "no_repeat_ngram": st.integers(0, 4),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "logit_bias": st.dictionaries(st.integers(0, 256).map(str), st.floats(-100, 100), max_size=3),
    "ignore_eos": st.booleans(),
    "truncate_prompt_tokens": st.one_of(st.none(), st.just(-1), st.integers(1, 99)),
    "return_token_ids": st.booleans(),
    "user": st.text(max_size=3),
}
RIGHT_REQUESTS = st.fixed_dictionaries(
    {"prompt": PROMPTS, "max_tokens": st.integers(0, 12), "seed": st.integers(0, 2**63 - 1)},
    optional={name: values for name, values in RIGHT.items() if name != "max_tokens"},
)
ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
        st.sampled_from([-1, 2**63, 10**400, 1e308, "\ud800", "\0", 257]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip
FIELDS = st.sampled_from(
    ["prompt", "seed", "best_of", "stream", "stream_options", "model", "suffix", *RIGHT]
)
WRONG_REQUESTS = st.builds(
    lambda right, wrong: {"max_tokens": 3, **right, **wrong},
    RIGHT_REQUESTS,
    st.dictionaries(FIELDS, ANYTHING, min_size=1, max_size=3),
)


def check_right(server: Running, body: dict[str, Any]) -> None:
    """What is served is the Python API's text, streamed as well as whole; if it is refused, then
    both times."""
    whole = server.post(**body)
    if whole.status_code != 200:
        assert whole.status_code == 400 and whole.json()["error"]["message"]
        again = server.post(**body, stream=True)
        assert (again.status_code, again.json()) == (whole.status_code, whole.json())
        return
    found, events = whole.json()["choices"], server.stream(**body)
    for choice in found:
        own = [c for event in events for c in event["choices"] if c["index"] == choice["index"]]
        assert "".join(c["text"] for c in own) == choice["text"]
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        for name, values in (choice["logprobs"] or {}).items():
            assert [v for c in own for v in c["logprobs"][name]] == values, name
    if not body.get("echo") and body["max_tokens"] and "truncate_prompt_tokens" not in body:
        assert [choice["text"] for choice in found] == api_texts(body)


def api_texts(body: dict[str, Any]) -> list[str]:
    given = {name: body[name] for name in SAMPLING if name in body}
    given["top_k"] = max(0, given.get("top_k", 0))
    bias = given.get("logit_bias", {})
    given["logit_bias"] = {int(id): value for id, value in bias.items()}
    prompt, stop = body["prompt"], body.get("stop") or []
    one = isinstance(prompt, str | None) or isinstance(prompt[0], int)
    first, engine = body.get("first", 0), FakeEngine(257, WINDOW)
    return [
        "".join(
            piece.characters
            for piece in continue_text(
                engine, cast(Tokenizer, Exactly(text)), "x" if text else "",
                length=body["max_tokens"], seed=body["seed"], sample=sample,
                sampling=Sampling(**given), ignore_eot=body.get("ignore_eos", False),
                stop=[one for one in ([stop] if isinstance(stop, str) else stop) if one],
            )
        )
        for text in (None if text == [END] else text for text in ([prompt] if one else prompt))
        for sample in range(first, first + body.get("n", 1))
    ]  # fmt: skip


@Tokenizer.register
class Exactly:
    """A tokenizer whose every text has the tokens given, or those of the text given."""

    def __init__(self, prompt: Any) -> None:
        self._tokens = BYTES.encode(prompt or "") if not isinstance(prompt, list) else prompt

    def encode(self, text: str, **_: Any) -> list[int]:
        return list(self._tokens)

    def __getattr__(self, name: str) -> Any:
        return getattr(BYTES, name)


def check_wrong(server: Running, body: dict[str, Any]) -> None:
    """Whatever is asked for, it is served or it is the client's mistake."""
    content = json.dumps(body).encode()
    done = server.client.post(
        "/v1/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert done.status_code in (200, 400, 404), (done.status_code, done.text)
    if done.status_code != 200:
        assert done.json()["error"]["message"] and "\n" not in done.json()["error"]["message"]


def threads() -> set[str]:
    """The names of those that are running, without the pool that asyncio keeps."""
    names = (thread.name for thread in threading.enumerate())
    return {name for name in names if not name.startswith(("asyncio", "uvloop"))}
