"""A JSON body -> the completion that is asked for. OpenAI's fields, and vLLM's for what they lack.

Knows no HTTP, no tokenizer and no model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import UsageError, brief

MOST_CHOICES = 128  # prompts x samples of one request
MOST_LOGPROBS = 100
MOST_STOPS, LONGEST_STOP = 64, 1000  # characters
MOST_TOKENS = 1_000_000
TOP_SEED = 2**63 - 1

Prompt = str | tuple[int, ...]
"""Text or token ids; "" is a text out of nothing."""


class Refusal(Exception):
    """A request that is not served, as OpenAI's errors say it."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclasses.dataclass(frozen=True)
class Completion:
    """A request that was read and checked."""

    prompts: tuple[Prompt, ...]
    model: str | None
    sampling: Sampling
    max_tokens: int | None
    n: int
    best_of: int
    first: int
    """The number of the first sample of each prompt."""
    seed: int | None
    stop: tuple[str, ...]
    echo: bool
    logprobs: int | None
    stream: bool
    include_usage: bool
    ignore_eos: bool
    truncate: int | None
    """Keep only so many of the prompt's last tokens; -1 for the window."""
    return_token_ids: bool


@dataclasses.dataclass(frozen=True)
class Field:
    """A whole number or a switch, with its bounds."""

    default: int | bool | None
    lowest: int = 0
    highest: int = MOST_TOKENS

    def read(self, name: str, value: Any) -> Any:
        if value is None:
            return self.default
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise Refusal(f"{name} must be true or false, not {brief(value)}", param=name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int and self.lowest <= value <= self.highest:
            return value
        raise Refusal(
            f"{name} must be a whole number from {self.lowest} to {self.highest}, "
            f"not {brief(value)}",
            param=name,
        )


FIELDS = {
    "max_tokens": Field(None),
    "n": Field(1, 1, MOST_CHOICES),
    "best_of": Field(None, 1, MOST_CHOICES),
    "first": Field(0, 0, TOP_SEED),
    "seed": Field(None, -1, TOP_SEED),
    "echo": Field(False),
    "logprobs": Field(None, 0, MOST_LOGPROBS),
    "stream": Field(False),
    "ignore_eos": Field(False),
    "truncate_prompt_tokens": Field(None, -1),
    "return_token_ids": Field(False),
}
SAMPLING = tuple(field.name for field in dataclasses.fields(Sampling))
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "suffix": (None, ""),
    "min_tokens": (None, 0),
    "include_stop_str_in_output": (None, False),
    "return_tokens_as_token_ids": (None, False),
    "use_beam_search": (None, False),
    "prompt_logprobs": (None,),
    "guided_json": (None,),
    "response_format": (None, {"type": "text"}),
}
"""Fields of others that change the answer, which is not done here: the values that do not."""


def read_completion(body: Any) -> Completion:
    """Raises Refusal for what cannot be served. Unknown fields are ignored, as elsewhere."""
    if not isinstance(body, dict):
        raise Refusal(f"the body must be a JSON object, not {brief(body)}")
    for name, values in NEUTRAL.items():
        if body.get(name) not in values:
            raise Refusal(f"{name} is not supported here; leave it out", param=name)
    f = {name: field.read(name, body.get(name)) for name, field in FIELDS.items()}
    prompts = read_prompts(body.get("prompt"))
    n, best_of = f["n"], f["best_of"] or f["n"]
    if best_of < n:
        raise Refusal(f"best_of must be n ({n}) or more, not {best_of}", param="best_of")
    if best_of > n and f["stream"]:
        raise Refusal("best_of choices cannot be streamed; leave stream out", param="best_of")
    if len(prompts) * best_of > MOST_CHOICES:
        raise Refusal(
            f"{len(prompts)} prompts x {best_of} choices are more than {MOST_CHOICES}", param="n"
        )
    if f["truncate_prompt_tokens"] == 0:
        raise Refusal("truncate_prompt_tokens must keep a token", param="truncate_prompt_tokens")
    options = body.get("stream_options") or {}
    if options and not f["stream"]:
        raise Refusal("stream_options are for stream: true", param="stream_options")
    if not isinstance(options, dict):
        raise Refusal("stream_options must be an object", param="stream_options")
    model = body.get("model")
    if not isinstance(model, str | None):
        raise Refusal(f"model must be a text, not {brief(model)}", param="model")
    return Completion(
        prompts=prompts,
        model=model or None,
        sampling=read_sampling(body),
        max_tokens=f["max_tokens"],
        n=n,
        best_of=best_of,
        first=f["first"],
        seed=None if f["seed"] == -1 else f["seed"],
        stop=read_stop(body.get("stop")),
        echo=f["echo"],
        logprobs=f["logprobs"],
        stream=f["stream"],
        include_usage=bool(options.get("include_usage")),
        ignore_eos=f["ignore_eos"],
        truncate=f["truncate_prompt_tokens"],
        return_token_ids=f["return_token_ids"],
    )


def read_prompts(prompt: Any) -> tuple[Prompt, ...]:
    """A text, several, the ids of one, the ids of several, or null for a text out of nothing."""
    if prompt is None or isinstance(prompt, str):
        return (read_text(prompt or ""),)
    if isinstance(prompt, list) and prompt:
        if all(type(token) is int for token in prompt):
            return (tuple(prompt),)
        if all(isinstance(one, str) for one in prompt):
            return tuple(map(read_text, prompt))
        if all(isinstance(one, list) and one for one in prompt) and all(
            type(token) is int for one in prompt for token in one
        ):
            return tuple(map(tuple, prompt))
    raise Refusal(
        "prompt must be a text, a list of texts, a list of token ids or a list of such lists, "
        f"not {brief(prompt)}",
        param="prompt",
    )


def read_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal("prompt has half a character, which is no text", param="prompt") from None
    return text


def read_stop(stop: Any) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        raise Refusal(f"stop must be a text or a list of texts, not {brief(stop)}", param="stop")
    stops = [one for one in stops if one]
    if len(stops) > MOST_STOPS or any(len(one) > LONGEST_STOP for one in stops):
        raise Refusal(
            f"stop takes {MOST_STOPS} texts of {LONGEST_STOP} characters at most", param="stop"
        )
    return tuple(stops)


def read_sampling(body: Mapping[str, Any]) -> Sampling:
    given = {name: body[name] for name in SAMPLING if body.get(name) is not None}
    if given.get("top_k") == -1:  # how others say that it is off
        given["top_k"] = 0
    if "logit_bias" in given:
        given["logit_bias"] = read_bias(given["logit_bias"])
    try:
        return Sampling(**given)
    except UsageError as error:
        raise Refusal(str(error), param=str(error).split()[0]) from None


def read_bias(bias: Any) -> dict[int, Any]:
    if not isinstance(bias, dict):
        raise Refusal(f"logit_bias must be an object, not {brief(bias)}", param="logit_bias")
    for id in bias:
        if not (id.isascii() and id.isdecimal() and len(id) < 10):
            raise Refusal(f"logit_bias is by token ids, not {brief(id)}", param="logit_bias")
    return {int(id): value for id, value in bias.items()}
