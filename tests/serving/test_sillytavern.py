"""What SillyTavern sends is answered: its fields for llama.cpp, and those for a generic server.

Their names, and the values that they have where nothing was changed, are those of its sources at
ba6f7b7 (public/scripts/textgen-settings.js).
"""

from __future__ import annotations

import json
from typing import Any

from gpt2_sampler.decoding.sampling import Sampling
from tests.serving.running import Running
from tests.serving.test_app import text

SENT: dict[str, Any] = {
    "prompt": "Once", "model": None, "temperature": 0.7, "top_p": 0.5, "top_k": 40, "min_p": 0,
    "typical_p": 1, "top_a": 0, "tfs": 1, "tfs_z": 1, "seed": 7, "sampler_seed": 7,
    "max_tokens": 20, "max_new_tokens": 20, "n_predict": 20, "num_predict": 20, "min_tokens": 0,
    "repetition_penalty": 1.2, "rep_pen": 1.2, "repeat_penalty": 1.2, "rep_pen_range": 0,
    "repeat_last_n": 0, "frequency_penalty": 0, "presence_penalty": 0, "stop": ["\nYou:", "zq"],
    "stopping_strings": ["\nYou:", "zq"], "ignore_eos": False, "ban_eos_token": False,
    "add_bos_token": True, "skip_special_tokens": True, "truncation_length": 1024, "num_ctx": 1024,
    "smoothing_factor": 0, "smoothing_curve": 1, "dry_multiplier": 0, "dry_base": 1.75,
    "dry_allowed_length": 2, "dry_penalty_last_n": 0, "dry_sequence_breakers": '["\\n", ":"]',
    "mirostat": 0, "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1, "xtc_threshold": 0.1,
    "xtc_probability": 0, "guidance_scale": 1, "negative_prompt": "", "grammar_string": "",
    "custom_token_bans": "", "banned_strings": [], "api_type": "generic", "stream": False,
}  # fmt: skip
LLAMA = {
    "api_type": "llamacpp", "n_probs": 10, "cache_prompt": True, "grammar": "",
    "logit_bias": [[33, -2.5], [35, False]], "samplers": ["top_k", "temperature"],
}  # fmt: skip
SAMPLING: dict[str, Any] = {
    "temperature": 0.7, "top_p": 0.5, "top_k": 40, "repetition_penalty": 1.2
}  # fmt: skip


def test_its_requests_to_a_generic_server_are_completions(server: Running) -> None:
    expected = text(sampling=Sampling(**SAMPLING), stop=SENT["stop"])
    assert server.complete(**SENT)["choices"][0]["text"] == expected
    events = server.stream(**{**SENT, "logprobs": 10})
    assert "".join(event["choices"][0]["text"] for event in events) == expected
    assert all(len(event["choices"][0]["logprobs"]["top_logprobs"]) <= 1 for event in events)


def test_its_requests_to_llama_cpp_are_answered_with_probabilities(server: Running) -> None:
    expected = text(
        sampling=Sampling(**SAMPLING, logit_bias={33: -2.5, 35: -100}), stop=SENT["stop"]
    )
    asked = {**SENT, **LLAMA, "stream": True}
    with server.client.stream("POST", "/completion", json=asked) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    assert "".join(event["content"] for event in events) == expected
    told = [one for event in events for one in event["completion_probabilities"]]
    assert told and all(len(one["top_logprobs"]) == 10 for one in told)
    assert server.post("/completion", **{**asked, "stream": False}).json()["content"] == expected


def test_a_seed_of_minus_one_is_any(server: Running) -> None:
    assert server.complete(**{**SENT, "seed": -1})["choices"]
    assert server.post("/completion", **{**SENT, **LLAMA, "seed": -1}).json()["content"]
