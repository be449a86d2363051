"""A completion that is asked for -> its texts, and their pieces -> its choices.

Knows no HTTP and no threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from gpt2_sampler.decoding.request import LENGTH_REACHED, Request, Token, stream_of
from gpt2_sampler.decoding.sampling import check_bias
from gpt2_sampler.decoding.text import Piece, Text, encode_prompt
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import UsageError
from gpt2_sampler.seeing.spans import find_spans
from gpt2_sampler.serving.answer import Answer, Part, count_drawn, mean_logprob
from gpt2_sampler.serving.decoder import Decoder
from gpt2_sampler.serving.wire import Completion, Prompt, Refusal
from gpt2_sampler.tokenizer.load import Tokenizer


@dataclasses.dataclass(frozen=True)
class Served:
    """A model under a name."""

    name: str
    engine: Engine
    tokenizer: Tokenizer
    decoder: Decoder
    created: int = 0
    """When it was loaded, in seconds since 1970."""

    @property
    def window(self) -> int:
        """Tokens."""
        return self.engine.hparams.n_ctx


class Writing:
    """The choices of a request while they are written."""

    def __init__(self, asked: Completion, served: Served, answer: Answer, length: int) -> None:
        """length is that of a text whose request does not say. Raises Refusal."""
        self.asked = asked
        self.answer = answer
        self._tokenizer = served.tokenizer
        self._length = length if asked.max_tokens is None else asked.max_tokens
        try:
            check_bias(asked.sampling, served.engine.hparams.n_vocab)
        except UsageError as error:
            raise Refusal(str(error), param="logit_bias") from None
        self._prompts = [encode(prompt, asked, served) for prompt in asked.prompts]
        answer.prompt_tokens = sum(map(len, self._prompts))
        numbers = range(len(self._prompts) * asked.best_of)
        self.texts = [self._text(number) for number in numbers]
        answer.texts = self.texts
        self._parts = [Part(asked, served.tokenizer, number) for number in numbers]
        self._told: list[list[Token]] = [[] for _ in numbers]
        self._echoed = [not asked.echo for _ in numbers]
        self._n_left = len(self.texts)

    @property
    def is_over(self) -> bool:
        return not self._n_left

    def add(self, pieces: Iterable[Piece]) -> Iterator[dict[str, Any]]:
        """What they add to the choices, a token at a time where they are streamed."""
        for piece in pieces:
            _, number = cast(tuple[int, int], piece.text.id)
            yield from self._add(number, piece)
            if piece.ended:
                self._n_left -= 1
                self.answer.completion_tokens += count_drawn(piece.text)

    def whole(self) -> dict[str, Any]:
        """The answer to a request that is not streamed, once it is over."""
        choices = list[dict[str, Any]]()
        for first in range(0, len(self.texts), self.asked.best_of):
            numbers = list(range(first, first + self.asked.best_of))
            if self.asked.best_of > self.asked.n:
                numbers.sort(key=lambda n: -mean_logprob(self.texts[n]))
            for number in numbers[: self.asked.n]:
                choice = self._parts[number].take(self.texts[number].ended)
                choices.append({**choice, "index": len(choices)})
        return self.answer.event(choices, usage=True)

    def _add(self, number: int, piece: Piece) -> Iterator[dict[str, Any]]:
        part, streams = self._parts[number], self.asked.stream
        self._told[number] += [t for t, _ in piece.tokens if t is not None and not t.drawn]
        if not self._echoed[number] and self._echo(number) and streams and not piece.ended:
            yield part.take("")
        drawn = [(t, text) for t, text in piece.tokens if t is not None and t.drawn]
        for n, (token, text) in enumerate(drawn, 1):
            part.add(token, text)
            last = n == len(drawn) and piece.ended
            if streams and not last and (text or self.asked.logprobs is not None):
                yield part.take("")
        if streams and piece.ended:
            yield part.take(piece.ended)

    def _echo(self, number: int) -> bool:
        """Repeats the prompt, once all that is to be told of it has been."""
        tokens, told = self._prompts[number // self.asked.best_of], self._told[number]
        if self._tells(tokens) and len(told) < len(tokens) - 1:
            return False
        texts = [span.text for span in find_spans(self._tokenizer, tokens)]
        self._parts[number].echo("".join(texts), zip(tokens, texts, strict=True), told)
        self._echoed[number] = True
        return True

    def _tells(self, tokens: Sequence[int]) -> bool:
        return self.asked.echo and self.asked.logprobs is not None and len(tokens) > 1

    def _text(self, number: int) -> Text:
        asked, tokens = self.asked, self._prompts[number // self.asked.best_of]
        out_of_nothing = tokens == [self._tokenizer.start_of_text]
        sample, tells = asked.first + number % asked.best_of, self._tells(tokens)
        request = Request(
            id=(id(self), number),
            tokens=tokens,
            stream=stream_of(self.answer.seed, sample, () if out_of_nothing else tokens),
            sampling=asked.sampling,
            length=self._length or int(not tells),
            ends=frozenset() if asked.ignore_eos else self._tokenizer.ends,
            top=0 if asked.logprobs is None and asked.best_of > asked.n else asked.logprobs,
            tell_from=1 if tells else None,
        )
        text = Text(request, self._tokenizer, asked.stop)
        if not self._length and not tells:
            text.end(LENGTH_REACHED)
        return text


def encode(prompt: Prompt, asked: Completion, served: Served) -> list[int]:
    """A prompt's tokens. Raises Refusal for one that cannot be continued."""
    start = served.tokenizer.start_of_text
    if isinstance(prompt, tuple):
        check_ids(prompt, served, "prompt")
        tokens = list(prompt)
    elif prompt:
        try:
            tokens = encode_prompt(prompt, served.tokenizer, served.engine.hparams.n_vocab)
        except UsageError as error:
            raise Refusal(str(error), param="prompt") from None
    elif start is not None:
        tokens = [start]
    else:
        raise Refusal("this model cannot begin out of nothing; give a prompt", param="prompt")
    if asked.truncate is not None:
        tokens = tokens[-served.window if asked.truncate == -1 else -asked.truncate :]
    if len(tokens) > served.window:
        raise Refusal(
            f"the prompt has {len(tokens)} tokens, more than the model's window of "
            f"{served.window}; truncate_prompt_tokens: -1 keeps the end of it",
            param="prompt",
            code="context_length_exceeded",
        )
    return tokens


def check_ids(tokens: Iterable[object], served: Served, param: str) -> None:
    """Raises Refusal for what is no token of the model."""
    n_vocab = served.engine.hparams.n_vocab
    for id in tokens:
        if type(id) is not int or not 0 <= id < n_vocab:
            raise Refusal(
                f"{served.name} has tokens 0 to {n_vocab - 1}, and no {id!r:.40}", param=param
            )
