"""The pieces of texts -> choices, events and usage, as OpenAI's completions have them.

Knows no HTTP and no threads.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from gpt2_sampler.decoding.request import END_OF_TEXT, LENGTH_REACHED, Choice, Token
from gpt2_sampler.decoding.text import Text
from gpt2_sampler.seeing.report import finite_or_none
from gpt2_sampler.serving.llama import as_llama, describe_end
from gpt2_sampler.serving.wire import Completion
from gpt2_sampler.tokenizer.load import Tokenizer

LEAST = -9999.0
"""A log-probability of minus infinity, which JSON lacks."""


class Answer:
    """What all events of a request have in common."""

    def __init__(self, asked: Completion, id: str, model: str, seed: int) -> None:
        self.asked = asked
        self.seed = seed
        self._head = {
            "id": f"cmpl-{id}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "seed": seed,
        }
        self.prompt_tokens = self.completion_tokens = 0
        self.texts: Sequence[Text] = ()

    def event(self, choices: Sequence[Any], *, usage: bool = False) -> dict[str, Any]:
        return {**self._head, "choices": choices, **({"usage": self.usage()} if usage else {})}

    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


class LlamaAnswer(Answer):
    """The same for llama.cpp's /completion, which has one choice and the rest beside it."""

    def __init__(
        self, asked: Completion, id: str, model: str, seed: int, *, after_sampling: bool
    ) -> None:
        super().__init__(asked, id, model, seed)
        self._model = model
        self._after_sampling = after_sampling

    def event(self, choices: Sequence[Any], *, usage: bool = False) -> dict[str, Any]:
        found = as_llama(choices[0], after_sampling=self._after_sampling)
        if choices[0]["finish_reason"]:  # the text itself may have come further than its events
            [text] = self.texts
            n_drawn = count_drawn(text)
            end = describe_end(text.ended, self._model, self.seed, self.prompt_tokens, n_drawn)
            return found | end
        return found


class Part:
    """A choice while it is written: the text that was not taken yet, and what is told of it."""

    def __init__(self, asked: Completion, tokenizer: Tokenizer, index: int) -> None:
        self._asked = asked
        self._name = names_of(tokenizer)
        self._index = index
        self._text = ""
        self._n_taken = 0
        """Characters, a prompt that is echoed included."""
        self._rows: list[dict[str, Any]] = []

    def echo(self, text: str, tokens: Iterable[tuple[int, str]], told: Sequence[Token]) -> None:
        """The prompt, and its tokens with the text of each if they are told. Of the first nothing
        is known, as nothing is before it."""
        if self._asked.logprobs is None:
            self._text += text
            return
        for (id, piece), token in zip(tokens, [None, *told], strict=True):
            self._add(id, piece, token)

    def add(self, token: Token, text: str) -> None:
        """A token that was drawn, with the characters that it completed."""
        self._add(token.id, text, token)

    def take(self, ended: str) -> dict[str, Any]:
        """The choice with all that is new."""
        told = None
        if self._asked.logprobs is not None:
            names = ["tokens", "token_logprobs", "top_logprobs", "text_offset"]
            if self._asked.return_token_ids:
                names += ["token_ids", "ranks", "filtered_logprobs", "top"]
            told = {name: [row[name] for row in self._rows] for name in names}
        text, self._text, self._rows = self._text, "", []
        self._n_taken += len(text)
        return {
            "index": self._index,
            "text": text,
            "logprobs": told,
            "finish_reason": finish_reason(ended),
        }

    def _add(self, id: int, text: str, token: Token | None) -> None:
        if self._asked.logprobs is not None:
            choice = token.choice if token is not None else None
            row: dict[str, Any] = {
                "tokens": text,
                "token_logprobs": finite(choice.logprob) if choice else None,
                "top_logprobs": None,
                "text_offset": self._n_taken + len(self._text),
            }
            if token is not None and self._asked.logprobs:
                row["top_logprobs"] = self._top(token.top)
            if self._asked.return_token_ids:
                row |= {
                    "token_ids": id,
                    "ranks": choice.rank if choice else None,
                    "filtered_logprobs": finite_or_none(choice.filtered) if choice else None,
                    "top": [self._alternative(one) for one in (token.top if token else ())],
                }
            self._rows.append(row)
        self._text += text

    def _top(self, top: Iterable[Choice]) -> dict[str, float]:
        return {self._name(choice.id).key: finite(choice.logprob) for choice in top}

    def _alternative(self, choice: Choice) -> dict[str, Any]:
        return {
            "id": choice.id,
            "token": self._name(choice.id).text,
            "logprob": finite(choice.logprob),
            "filtered_logprob": finite_or_none(choice.filtered),
        }


class TokenName(NamedTuple):
    text: str
    key: str
    """Half characters would all be the same one, and as keys only the last would stay."""


@functools.lru_cache(maxsize=8)
def names_of(tokenizer: Tokenizer) -> Callable[[int], TokenName]:
    """A token's names, found once: ten alternatives a token are as many look-ups."""

    @functools.cache  # as many as the vocabulary has
    def name(id: int) -> TokenName:
        text = tokenizer.decode([id])
        if "\ufffd" not in text:
            return TokenName(text, text)
        raw = tokenizer.decode_bytes([id])
        return TokenName(text, "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw))

    return name


def finish_reason(ended: str) -> str | None:
    if not ended:
        return None
    return "length" if ended == LENGTH_REACHED else "stop"


def count_drawn(text: Text) -> int:
    """Tokens, the end of text included."""
    return len(text.tokens) + (text.ended == END_OF_TEXT)


def mean_logprob(text: Text) -> float:
    """By which the best of several choices is found, the highest first."""
    found = [choice.logprob for choice in text.choices]
    return math.fsum(found) / len(found) if found else -math.inf


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST
