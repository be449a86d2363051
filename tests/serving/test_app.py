"""Completions over HTTP are the texts that the scheduler writes, however they are asked for."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gpt2_sampler.decoding.generate import continue_text
from gpt2_sampler.decoding.sampling import Sampling
from tests.fake_engine import FakeEngine
from tests.serving.running import BYTES, END, WINDOW, Running, running

ASKED: dict[str, Any] = {"prompt": "Once", "max_tokens": 20, "seed": 7}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        server: Running = request.getfixturevalue("server")
        server.wait_until_idle()


def text(prompt: str = "Once", sample: int = 0, length: int = 20, **options: Any) -> str:
    """What the Python API writes."""
    engine = FakeEngine(257, WINDOW)
    pieces = continue_text(engine, BYTES, prompt, sample=sample, length=length, seed=7, **options)
    return "".join(piece.characters for piece in pieces)


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


@pytest.mark.parametrize("prompt", [None, ""])
def test_without_a_prompt_a_text_is_written_out_of_nothing(
    server: Running, prompt: str | None
) -> None:
    assert server.complete(**{**ASKED, "prompt": prompt})["choices"][0]["text"] == text("")


def test_choices_are_numbered_by_prompt_and_then_by_sample(server: Running) -> None:
    found = server.complete(**{**ASKED, "prompt": ["Once", "Then"]}, n=2)
    assert [choice["text"] for choice in found["choices"]] == [
        text(prompt, sample) for prompt in ("Once", "Then") for sample in (0, 1)
    ]
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3]
    assert found["usage"]["prompt_tokens"] == 8


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


def test_a_stop_text_is_never_part_of_the_text(server: Running) -> None:
    whole = text()
    stop = whole[5:8]
    found = server.complete(**ASKED, stop=stop)["choices"][0]
    assert found["text"] == whole[: whole.index(stop)] and found["finish_reason"] == "stop"
    events = server.stream(**ASKED, stop=[stop])
    assert "".join(event["choices"][0]["text"] for event in events) == found["text"]


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


def test_the_best_of_several_is_the_likeliest(server: Running) -> None:
    every = server.complete(**ASKED, n=6, logprobs=0)["choices"]
    [best] = server.complete(**ASKED, best_of=6)["choices"]

    def mean(choice: dict[str, Any]) -> float:
        values = choice["logprobs"]["token_logprobs"]
        return math.fsum(values) / len(values)

    assert best["text"] == max(every, key=mean)["text"] and best["index"] == 0


def test_a_seed_that_is_not_given_is_another_one_each_time_and_told(server: Running) -> None:
    one, other = (server.complete(prompt="Once", max_tokens=9) for _ in range(2))
    assert one["seed"] != other["seed"]
    again = server.complete(prompt="Once", max_tokens=9, seed=one["seed"])
    assert again["choices"] == one["choices"]
    assert server.complete(prompt="Once", max_tokens=9, seed=-1)["seed"] >= 0


def test_a_text_whose_request_does_not_say_has_the_servers_length(server: Running) -> None:
    usage = server.complete(prompt="Once", ignore_eos=True)["usage"]
    assert usage["completion_tokens"] == 128


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


def test_the_end_of_a_long_prompt_is_kept_on_request(server: Running) -> None:
    long = "x" * WINDOW + "Once"
    found = server.complete(**{**ASKED, "prompt": long}, truncate_prompt_tokens=4)
    assert found["choices"][0]["text"] == text()
    error = server.post(prompt=long).json()["error"]
    assert error["code"] == "context_length_exceeded"


def test_another_model_is_not_found_and_its_own_is_listed(server: Running) -> None:
    assert server.complete(**ASKED, model="toy")["model"] == "toy"
    done = server.post(**ASKED, model="../../etc/passwd")
    assert done.status_code == 404 and done.json()["error"]["code"] == "model_not_found"
    [listed] = server.client.get("/v1/models").json()["data"]
    assert (listed["id"], listed["max_model_len"]) == ("toy", WINDOW)
    assert server.client.get("/v1/models/toy").json() == listed
    assert server.client.get("/v1/models/other").status_code == 404


def test_tokens_and_text_turn_into_each_other(server: Running) -> None:
    found = server.post("/tokenize", prompt="Onçe").json()
    assert found == {"tokens": [*"Onçe".encode()], "count": 5, "max_model_len": WINDOW}
    assert server.post("/detokenize", tokens=found["tokens"]).json()["prompt"] == "Onçe"
    assert server.post("/detokenize", tokens=[-1]).status_code == 400
    assert server.client.get("/tokenizer_info").json()["eos_token"] == "<|endoftext|>"


# llama.cpp's way to ask.


def test_the_name_of_the_end_of_text_alone_is_its_token(server: Running) -> None:
    name = server.client.get("/tokenizer_info").json()["eos_token"]
    assert server.post("/tokenize", prompt=name).json()["tokens"] == [END]
    assert server.post("/tokenize", prompt=f"{name}.").json()["count"] == len(name) + 1


def test_events_are_single_lines_however_a_client_splits_them(server: Running) -> None:
    odd = "a\x85b\u2028c\u2029d"
    [event, *_] = server.stream(prompt=odd, max_tokens=1, seed=7, echo=True)
    assert event["choices"][0]["text"].startswith(odd)


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


def test_metrics_count_requests_and_tokens() -> None:
    metrics = pytest.importorskip("gpt2_sampler.serving.metrics").Metrics()
    with running(metrics=metrics) as server:
        usage = server.complete(**ASKED, n=2)["usage"]
        server.post(prompt=3)
        found = server.client.get("/metrics").text
    assert 'gpt2_requests_total{status="200"} 1.0' in found
    assert 'gpt2_requests_total{status="400"} 1.0' in found
    assert f'gpt2_tokens_total{{kind="drawn"}} {usage["completion_tokens"]}.0' in found
    assert "gpt2_time_to_first_token_seconds_count 1.0" in found
    assert 'gpt2_texts{state="waiting"} 0.0' in found


def test_metrics_are_off_unless_asked_for(server: Running) -> None:
    assert server.client.get("/metrics").status_code == 404


# Clients that leave, wait or are slow.


def open_stream(server: Running, **body: Any) -> socket.socket:
    """A connection that has asked for a stream and read its beginning."""
    content = json.dumps({**ASKED, "stream": True, "ignore_eos": True, **body}).encode()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (server.port, len(content), content)
    )
    return client


def test_who_leaves_frees_the_row_and_keeps_nobody_waiting() -> None:
    with running(rows=1) as server:
        server.engine.pause = 0.01
        client = open_stream(server, max_tokens=10_000)
        assert b"200 OK" in client.recv(4096)
        assert server.decoder.n_running == 1
        client.close()
        server.wait_until_idle(2)
        assert server.complete(**ASKED)["choices"][0]["text"] == text()


def test_who_leaves_while_waiting_is_never_begun() -> None:
    with running(rows=1) as server:
        server.engine.pause = 0.01
        first = open_stream(server, max_tokens=10_000)
        first.recv(4096)
        second = open_stream(server)
        while not server.decoder.n_waiting:
            time.sleep(0.01)
        second.close()
        end = time.monotonic() + 5
        while server.decoder.n_waiting:
            assert time.monotonic() < end
            time.sleep(0.01)
        first.close()
        server.wait_until_idle()


def test_a_full_queue_is_told_with_when_to_come_again() -> None:
    with running(rows=1, queue=2) as server:
        server.engine.pause = 0.01
        first = open_stream(server, max_tokens=10_000)
        first.recv(4096)
        waiting = [open_stream(server) for _ in range(2)]
        while server.decoder.n_waiting < 2:
            time.sleep(0.01)
        done = server.post(**ASKED)
        assert done.status_code == 429 and int(done.headers["Retry-After"]) > 0
        assert done.json()["error"]["code"] == "rate_limit_exceeded"
        assert server.client.get("/health").status_code == 200
        for client in (first, *waiting):
            client.close()
        server.wait_until_idle()


def test_a_request_of_many_texts_keeps_no_other_one_out() -> None:
    with running(rows=2, queue=200) as server:
        server.engine.pause = 0.005
        many = threading.Thread(target=server.post, kwargs={**ASKED, "n": 60, "max_tokens": 20})
        many.start()
        while not server.decoder.n_waiting:
            time.sleep(0.005)
        began = time.monotonic()
        assert server.complete(**ASKED)["choices"][0]["text"] == text()
        one = time.monotonic() - began
        many.join()
        assert one < (time.monotonic() - began) / 2


def test_a_step_that_fails_fails_its_requests_and_not_the_server() -> None:
    with running() as server:

        def fail(written: int) -> None:
            raise RuntimeError("the disk is on fire")

        server.engine.fail = fail  # type: ignore[method-assign]
        done = server.post(**ASKED)
        assert done.status_code == 500 and done.json()["error"]["type"] == "server_error"
        assert "fire" not in done.text
        del server.engine.fail
        assert server.complete(**ASKED)["choices"][0]["text"] == text()


def test_a_step_that_fails_midway_ends_the_stream_with_an_error() -> None:
    with running() as server:

        def fail(written: int) -> None:
            if written > 10:
                raise RuntimeError("no more")

        server.engine.fail = fail  # type: ignore[method-assign]
        client = open_stream(server, max_tokens=50)
        received = b""
        while part := client.recv(4096):
            received += part
            if b'"error"' in received:
                break
        assert b"server_error" in received and b"[DONE]" not in received


def test_open_streams_are_told_when_the_server_ends() -> None:
    with running() as server:
        server.engine.pause = 0.01
        client = open_stream(server, max_tokens=100_000)
        client.recv(4096)
        began = time.monotonic()
        server.server.should_exit = True
        received = b""
        while part := client.recv(4096):
            received += part
        assert b'"error"' in received and time.monotonic() - began < 3


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.serving.server.HEAD_TIME", 0.2)
    with running() as server:
        for sent in (b"", b"POST /v1/completions HTTP/1.1\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
                client.sendall(sent)
                assert client.recv(100) in (b"",)
        assert server.complete(**ASKED)["choices"]


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.serving.app.BODY_TIME", 0.2)
    with running() as server:
        head = (
            b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{" % server.port
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(head)
            assert b" 408 " in client.recv(4096)


def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_sampler.serving.reply.READER_TIME", 0.3)
    with running(rows=1) as server:
        client = open_stream(server, max_tokens=10**6, logprobs=100)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert server.complete(**ASKED)["choices"][0]["text"] == text()
        client.close()
        server.wait_until_idle()
