"""llama.cpp's /completion <-> OpenAI's completions: the same request under other names.

Knows no HTTP and no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gpt2_sampler.errors import brief
from gpt2_sampler.serving.wire import Completion, Refusal, read_completion

SAME = (
    "prompt", "temperature", "top_k", "top_p", "min_p", "presence_penalty", "frequency_penalty",
    "seed", "stop", "stream", "ignore_eos", "truncate_prompt_tokens",
)  # fmt: skip
OTHERS = {"n_predict": "max_tokens", "repeat_penalty": "repetition_penalty"}
THEIRS = {"logprobs": "n_probs", **{ours: theirs for theirs, ours in OTHERS.items()}}
WHY = {"length reached": "limit", "end of text": "eos", "stop text": "word"}


def read_llama(body: Mapping[str, Any]) -> Completion:
    """Raises Refusal for what cannot be served, by the names of the fields that were sent."""
    try:
        return read_completion(translate(body))
    except Refusal as refusal:
        ours = refusal.body["error"]["param"]
        if ours not in THEIRS:
            raise
        raise Refusal(str(refusal).replace(ours, THEIRS[ours]), param=THEIRS[ours]) from None


def translate(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body for /completion -> one for /v1/completions. Raises Refusal."""
    asked = {name: body[name] for name in SAME if name in body}
    asked |= {name: body[theirs] for theirs, name in OTHERS.items() if theirs in body}
    if asked.get("max_tokens") in (-1, -2):  # without an end, and to the end of the window
        del asked["max_tokens"]
    prompt = asked.get("prompt")
    if isinstance(prompt, list) and any(isinstance(one, list | str) for one in prompt):
        raise Refusal("prompt must be one text or the ids of one", param="prompt")
    if body.get("n_probs"):
        asked |= {"logprobs": body["n_probs"], "return_token_ids": True}
    if bias := body.get("logit_bias"):
        asked["logit_bias"] = read_pairs(bias)
    return asked


def read_pairs(bias: Any) -> dict[str, Any]:
    """[[id, bias], ...], where false bans a token."""
    if isinstance(bias, dict):
        return bias
    pairs = isinstance(bias, list) and all(isinstance(one, list) and len(one) == 2 for one in bias)
    if not pairs:
        raise Refusal(f"logit_bias must be pairs, not {brief(bias)}", param="logit_bias")
    return {str(id): -100 if value is False else value for id, value in bias}


def as_llama(choice: Mapping[str, Any], *, after_sampling: bool) -> dict[str, Any]:
    """What a choice of /v1/completions adds, as /completion says it. after_sampling asks for the
    probabilities that were drawn from, in the place of the model's log-probabilities."""
    found = {"index": 0, "content": choice["text"], "stop": False}
    told = choice["logprobs"]
    if told is not None:
        found["tokens"] = told["token_ids"]
        found["completion_probabilities"] = [
            {
                **describe(id, token, logprob, filtered, after_sampling),
                "top_probs" if after_sampling else "top_logprobs": [
                    describe(
                        one["id"], one["token"], one["logprob"], one["filtered_logprob"],
                        after_sampling,
                    )
                    for one in top
                ],
            }
            for id, token, logprob, filtered, top in zip(
                told["token_ids"], told["tokens"], told["token_logprobs"],
                told["filtered_logprobs"], told["top"], strict=True,
            )
        ]  # fmt: skip
    return found


def describe(
    id: int, token: str, logprob: float, filtered: float | None, after_sampling: bool
) -> dict[str, Any]:
    found = {"id": id, "token": token, "bytes": [*token.encode()]}
    if after_sampling:
        return {**found, "prob": 0.0 if filtered is None else math.exp(filtered)}
    return {**found, "logprob": logprob}


def describe_end(why: str, model: str, seed: int, n_prompt: int, n_drawn: int) -> dict[str, Any]:
    """What the last event says beside its content."""
    return {
        "stop": True,
        "stop_type": WHY.get(why, "none"),
        "truncated": False,
        "model": model,
        "generation_settings": {"seed": seed},
        "tokens_evaluated": n_prompt,
        "tokens_predicted": n_drawn,
    }
