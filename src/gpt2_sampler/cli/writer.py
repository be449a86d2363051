"""Drawn tokens -> samples on stdout, in order, in the layout of OpenAI's scripts.

Knows neither where prompts come from nor what becomes of the samples. One sample at a time is
shown as it is written; samples written together are shown when complete.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

from gpt2_sampler.cli.loading import Model
from gpt2_sampler.cli.quiet import quiet
from gpt2_sampler.cli.settings import Settings
from gpt2_sampler.cli.terminal import aside, show
from gpt2_sampler.decoding.batches import generate_within_memory
from gpt2_sampler.decoding.text import BEGINNING, SampleText, Start

RULE = "=" * 40
CLOSING = f"{RULE}{RULE}\n"
"""Ends the samples of a prompt."""


def write(
    model: Model,
    settings: Settings,
    prompt: Sequence[int],
    numbers: range | itertools.count[int],
    *,
    length: int,
    start: Start = BEGINNING,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[SampleText]:
    """Writes the samples with these numbers, length tokens each, after the prompt and start;
    gives each when it is shown. Once stopped() is true, what is unfinished is shown as it is."""
    rows = settings.batch_size
    if isinstance(numbers, range):
        rows = min(rows, len(numbers))
    end_of_text = None if settings.ignore_eot else model.encoder.end_of_text
    begun: dict[int, Sheet] = {}

    def ends(number: int, token: int) -> bool:
        if number not in begun:
            stops = settings.stop_texts
            begun[number] = Sheet(
                SampleText(number, model.encoder, stops, end_of_text, start, prompt)
            )
        return begun[number].text.add(token)

    draws = generate_within_memory(
        model.engine,
        [*prompt, *start.tokens],
        numbers,
        length=length,
        rows=rows,
        seed=settings.seed or 0,
        sampling=settings.sampling,
        ends=ends,
        drawn=start.draws,
    )
    with quiet(settings.verbose):  # libraries have more to say when they first run
        first_draw = list(itertools.islice(draws, 1))
    for number, _, last in itertools.chain(first_draw, draws):
        if rows == 1:
            begun[number].show()
        if last:
            begun[number].end("length reached")
        while begun and (first := next(iter(begun.values()))).text.ended:
            first.close()
            yield begun.pop(first.text.number).text
        if stopped():
            break
    for sheet in begun.values():
        sheet.end("stopped")
        sheet.close()
        yield sheet.text


class Sheet:
    """A sample on its way to stdout."""

    def __init__(self, text: SampleText) -> None:
        self.text = text
        self.header = header(text.number)
        self.began = self.ended = time.monotonic()

    def show(self) -> None:
        show(self.header + self.text.take())
        self.header = ""

    def end(self, why: str) -> None:
        self.text.end(why)
        self.ended = time.monotonic()

    def close(self) -> None:
        self.show()
        show("\n")
        n_tokens = len(self.text.tokens)
        remark = f"{n_tokens} token{'s' * (n_tokens != 1)}"
        if n_tokens > 1 and self.ended > self.began:  # the first one came before the clock
            remark += f", {(n_tokens - 1) / (self.ended - self.began):.1f} tokens/s"
        aside(f"[{remark}, {self.text.ended}]")


def header(number: int) -> str:
    return f"{RULE} SAMPLE {number + 1} {RULE}\n"
