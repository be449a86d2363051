"""Prompts and requests for more -> samples, kept as a stack of steps that can be undone.

Knows no commands and no keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from gpt2_sampler.cli.flags.settings import InteractiveSettings
from gpt2_sampler.cli.session.loading import Model, tokens_of
from gpt2_sampler.cli.session.process import interruptible
from gpt2_sampler.cli.session.terminal import show
from gpt2_sampler.cli.session.writer import CLOSING, header, write
from gpt2_sampler.decoding.request import Choice
from gpt2_sampler.decoding.scheduler import Texts
from gpt2_sampler.decoding.score import tell
from gpt2_sampler.decoding.text import Text
from gpt2_sampler.errors import UsageError
from gpt2_sampler.seeing.pieces import look, quote

QUESTION = "Model prompt >>> "


@dataclasses.dataclass
class TypedPrompt:
    """What was typed, its tokens for the model that answers it, and how many sample numbers have
    been used for it."""

    text: str
    tokens: list[int]
    model: Model
    used: int = 0


@dataclasses.dataclass(frozen=True)
class Step:
    """Samples that were drawn together, after a prompt or after the text in start."""

    prompt: TypedPrompt
    start: Text | None
    samples: list[Text]
    taken: tuple[int, ...] = ()
    """The tokens that each of them begins with; the last was chosen by the person."""


class Session:
    """The same input with the same seed makes the same session: a new draw takes the next sample
    number of its prompt, and /more goes on in the sample's own stream of random numbers.

    One batch serves the whole session, so that the model reads only what is new of a text."""

    def __init__(self, answering: Callable[[str], Model], settings: InteractiveSettings) -> None:
        """answering says which model continues a prompt."""
        self.answering = answering
        self.settings = settings
        self.steps: list[Step] = []
        self._looked_at: tuple[Text | None, int] = (None, 0)
        """The text and the place that why yielded last."""
        self._texts: Texts | None = None
        self._rows = 0
        """Of its batch when it was made."""

    def ask(self, text: str) -> None:
        """Continues the prompt."""
        model = self.answering(text)
        prompt = TypedPrompt(text, tokens_of(text, model, self.settings.special_tokens), model)
        self._draw(prompt, None, range(self.settings.nsamples))

    def retry(self) -> None:
        """The last step again, drawn anew."""
        last = self._last()
        n_samples = 1 if last.start or last.taken else self.settings.nsamples
        first = last.prompt.used
        self._draw(last.prompt, last.start, range(first, first + n_samples), last.taken)

    def more(self, sample: int | None = None) -> None:
        """Goes on where the last text stopped, or the last text of the sample with this number."""
        prompt = self._last().prompt
        texts = [text for step in self.steps if step.prompt is prompt for text in step.samples]
        texts = [text for text in texts if sample in (None, text.number)]
        if not texts:
            raise UsageError("the last prompt has no such sample")
        number = texts[-1].number
        self._draw(prompt, texts[-1], range(number, number + 1))

    def why(self, place: int | None, top: int) -> Iterator[tuple[int, Choice, tuple[Choice, ...]]]:
        """For each place of the last text, or only the given one: the place, counted from 1, what
        was drawn there and the likeliest tokens. Raises UsageError."""
        sample = self.last_text()
        at, n_places = 1 if place is None else place, len(sample.tokens)
        if not 1 <= at <= n_places:
            raise UsageError(f"the last text has {n_places} places; there is no {at}")
        asked, last = sample.request, n_places if place is None else place
        request = dataclasses.replace(
            asked,
            id=(asked.id, "why"),
            tokens=[*asked.tokens, *sample.tokens[:last]],
            length=0,
            drawn=asked.drawn + last,
            top=top,
            tell_from=len(asked.tokens) + at - 1,
        )
        for number, token in enumerate(
            tell(self._texts_of(self._last().prompt.model), request), at
        ):
            assert token.choice is not None
            self._looked_at = (sample, number)
            yield number, token.choice, token.top

    def take(self, rank: int, place: int | None = None) -> None:
        """Goes on from the last text cut off at a place, by default the one that why yielded last,
        and the token that has the given rank there. Raises UsageError."""
        last, sample = self._last(), self.last_text()
        if place is None:
            looked_at, place = self._looked_at
            if looked_at is not sample:
                raise UsageError("say at which place: /take PLACE RANK (/why shows them)")
        n_vocab = last.prompt.model.engine.hparams.n_vocab
        if not 1 <= rank <= n_vocab:
            raise UsageError(f"/take takes a rank from 1 to {n_vocab}, not {rank}")
        number = sample.number
        [(_, _, best)] = self.why(place, rank)
        taken = (*sample.tokens[: place - 1], best[rank - 1].id)
        self._draw(last.prompt, last.start, range(number, number + 1), taken)

    def look(self, token: int) -> str:
        """How a token is shown in a list, by the tokenizer of the last text."""
        return quote(look(self._last().prompt.model.tokenizer, token))

    def last_text(self) -> Text:
        """Raises UsageError if there is none."""
        return self._last().samples[-1]

    def undo(self) -> str:
        """Takes back the last step -> the text that is last now, "" if there is none."""
        self._last()
        self.steps.pop()
        return self.steps[-1].samples[-1].characters if self.steps else ""

    def transcript(self) -> str:
        """Prompts and samples as they were shown, without what was undone."""
        parts, prompt = list[str](), None
        for step in self.steps:
            if step.prompt is not prompt:
                prompt = step.prompt
                parts.append(f"{QUESTION}{prompt.text}\n")
            parts += [f"{header(sample.number)}{sample.characters}\n" for sample in step.samples]
            parts.append(CLOSING)
        return "".join(parts)

    def _draw(
        self,
        prompt: TypedPrompt,
        start: Text | None,
        numbers: range,
        taken: tuple[int, ...] = (),
    ) -> None:
        samples: list[Text] = []
        length = self.settings.sample_length(prompt.model.window)
        try:
            try:
                with interruptible() as stopped:
                    for sample in write(
                        self._texts_of(prompt.model),
                        prompt.model,
                        self.settings,
                        prompt.tokens,
                        numbers,
                        length=length,
                        start=start,
                        taken=taken,
                        stopped=stopped,
                    ):
                        samples.append(sample)
            except KeyboardInterrupt:  # pressed again before the text could stop by itself
                show("\n")
            show(CLOSING)
        finally:  # a failure, or a reader that has ended, takes nothing of what was written
            prompt.used = max(prompt.used, numbers.stop)
            if samples:
                self.steps.append(Step(prompt, start, samples, taken))

    def _texts_of(self, model: Model) -> Texts:
        """Those there are, as long as they have that model and as many rows as the settings say."""
        engine, rows = model.engine, self.settings.rows
        if self._texts is None or self._texts.batch.engine is not engine or self._rows != rows:
            self._texts, self._rows = Texts(model.batch(rows)), rows
        return self._texts

    def _last(self) -> Step:
        if not self.steps:
            raise UsageError("there is no text yet; type a prompt first")
        return self.steps[-1]
