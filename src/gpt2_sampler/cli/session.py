"""Prompts and wishes -> samples, and what a person can come back to: a stack of steps.

Knows no commands and no keys.
"""

from __future__ import annotations

import dataclasses

from gpt2_sampler.cli.loading import Model
from gpt2_sampler.cli.prompts import QUESTION, tokens_of
from gpt2_sampler.cli.settings import InteractiveSettings
from gpt2_sampler.cli.terminal import interruptible, show
from gpt2_sampler.cli.writer import CLOSING, header, write
from gpt2_sampler.decoding.text import BEGINNING, SampleText, Start
from gpt2_sampler.errors import UsageError


@dataclasses.dataclass
class Opening:
    """A prompt, its tokens, and how many sample numbers it has used."""

    prompt: str
    tokens: list[int]
    used: int = 0


@dataclasses.dataclass(frozen=True)
class Step:
    """Samples that were drawn together, and where they began: at the opening, or later on."""

    opening: Opening
    start: Start
    samples: list[SampleText]


class Session:
    """A new draw takes the next sample number that its prompt has not used, more text goes on in
    its sample's own stream: the same words typed after the same seed make the same session."""

    def __init__(self, model: Model, settings: InteractiveSettings) -> None:
        self.model = model
        self.settings = settings
        self.steps: list[Step] = []

    def ask(self, prompt: str) -> None:
        """Continues the prompt."""
        opening = Opening(prompt, tokens_of(prompt, self.model))
        self._draw(opening, BEGINNING, range(self.settings.nsamples))

    def retry(self) -> None:
        """The last step again, drawn anew."""
        last = self._last()
        n_samples = 1 if last.start.draws else self.settings.nsamples
        first = last.opening.used
        self._draw(last.opening, last.start, range(first, first + n_samples))

    def more(self, sample: int | None = None) -> None:
        """Goes on from where the last text stopped, or that of the sample with this number."""
        opening = self._last().opening
        texts = [text for step in self.steps if step.opening is opening for text in step.samples]
        texts = [text for text in texts if sample in (None, text.number)]
        if not texts:
            raise UsageError("the last prompt has no such sample")
        number = texts[-1].number
        self._draw(opening, texts[-1].rest(), range(number, number + 1))

    def undo(self) -> str:
        """Takes back the last step -> the text that is the last one now, "" for none."""
        self._last()
        self.steps.pop()
        return self.steps[-1].samples[-1].text if self.steps else ""

    def transcript(self) -> str:
        """Prompts and samples as they were shown, without what was taken back."""
        parts, opening = list[str](), None
        for step in self.steps:
            if step.opening is not opening:
                opening = step.opening
                parts.append(f"{QUESTION}{opening.prompt}\n")
            parts += [f"{header(sample.number)}{sample.text}\n" for sample in step.samples]
            parts.append(CLOSING)
        return "".join(parts)

    def _draw(self, opening: Opening, start: Start, numbers: range) -> None:
        samples: list[SampleText] = []
        length = self.settings.sample_length(self.model.window)
        try:
            with interruptible() as stopped:
                for sample in write(
                    self.model,
                    self.settings,
                    opening.tokens,
                    numbers,
                    length=length,
                    start=start,
                    stopped=stopped,
                ):
                    samples.append(sample)
        except KeyboardInterrupt:  # pressed again before the text could stop by itself
            show("\n")
        show(CLOSING)
        opening.used = max(opening.used, numbers.stop)
        if samples:
            self.steps.append(Step(opening, start, samples))

    def _last(self) -> Step:
        if not self.steps:
            raise UsageError("there is no text yet; type a prompt first")
        return self.steps[-1]
