"""Completions over HTTP are the texts that the scheduler writes, however they are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from gpt2_sampler.decoding.generate import continue_text
from tests.fake_engine import FakeEngine
from tests.serving.running import BYTES, END, WINDOW, Running

ASKED: dict[str, Any] = {"prompt": "Once", "max_tokens": 20, "seed": 7}


def text(prompt: str = "Once", sample: int = 0, length: int = 20, **options: Any) -> str:
    """What the Python API writes."""
    engine = FakeEngine(257, WINDOW)
    pieces = continue_text(engine, BYTES, prompt, sample=sample, length=length, seed=7, **options)
    return "".join(piece.characters for piece in pieces)


@pytest.mark.parametrize("prompt", [None, ""])
def test_without_a_prompt_a_text_is_written_out_of_nothing(
    server: Running, prompt: str | None
) -> None:
    assert server.complete(**{**ASKED, "prompt": prompt})["choices"][0]["text"] == text("")


def test_a_stop_text_is_never_part_of_the_text(server: Running) -> None:
    whole = text()
    stop = whole[5:8]
    found = server.complete(**ASKED, stop=stop)["choices"][0]
    assert found["text"] == whole[: whole.index(stop)] and found["finish_reason"] == "stop"
    events = server.stream(**ASKED, stop=[stop])
    assert "".join(event["choices"][0]["text"] for event in events) == found["text"]


def test_a_seed_that_is_not_given_is_another_one_each_time_and_told(server: Running) -> None:
    one, other = (server.complete(prompt="Once", max_tokens=9) for _ in range(2))
    assert one["seed"] != other["seed"]
    again = server.complete(prompt="Once", max_tokens=9, seed=one["seed"])
    assert again["choices"] == one["choices"]
    assert server.complete(prompt="Once", max_tokens=9, seed=-1)["seed"] >= 0


def test_a_text_whose_request_does_not_say_has_the_servers_length(server: Running) -> None:
    usage = server.complete(prompt="Once", ignore_eos=True)["usage"]
    assert usage["completion_tokens"] == 128


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


# Clients that leave, wait or are slow.
