"""Drawn tokens -> samples on stdout, in order, in the layout of OpenAI's scripts.

A single sample is shown as it is written; samples that are written together are shown when they are
complete. Does not know where prompts come from, nor what becomes of the samples.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

from gpt2_sampler.cli.flags.settings import WriterSettings
from gpt2_sampler.cli.session.display import Display, paints
from gpt2_sampler.cli.session.loading import Model
from gpt2_sampler.cli.session.quiet import quiet
from gpt2_sampler.cli.session.terminal import aside, show
from gpt2_sampler.corpus.jobs import stream
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import END_OF_TEXT, Request, Token
from gpt2_sampler.decoding.text import SampleText

RULE = "=" * 40
CLOSING = f"{RULE}{RULE}\n"
"""Ends the samples of a prompt."""


def write(
    batch: Batch,
    model: Model,
    settings: WriterSettings,
    prompt: Sequence[int],
    numbers: range | itertools.count[int],
    *,
    length: int,
    start: SampleText | None = None,
    taken: Sequence[int] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[SampleText]:
    """Writes the samples with these numbers and yields each when it is shown in full.

    They go on from the prompt or, if start is given, from where that text ended, and first of all
    with the tokens in taken; then length more are drawn. Once stopped() is true, unfinished samples
    are shown as they are; where stdout takes no more, they are yielded before BrokenPipeError is
    raised. However it ends, none of their requests is left in the batch.
    """
    rows = min(batch.rows, len(numbers)) if isinstance(numbers, range) else batch.rows
    before = len(prompt) if start is None else len(start.rest().tokens)
    model.require_room(rows, before + len(taken) + length)
    alone = rows == 1
    waiting = (sample(model, settings, prompt, number, length, start, taken) for number in numbers)
    sheets: dict[int, Sheet] = {}  # in order
    verbose = settings.verbose  # libraries write most of their messages during the first step
    try:
        while not stopped():
            for text in itertools.islice(waiting, batch.rows - len(batch)):
                sheet = sheets[text.number] = Sheet(text, Display(settings, model.tokenizer))
                if not text.ended:
                    batch.add(text.rest())
                if alone:
                    sheet.show()
            if not sheets:
                return
            with quiet(verbose):
                tokens = batch.step()
            verbose = True
            for token in tokens:
                sheet = sheets[token.request.stream[-1]]
                sheet.add(token)
                if sheet.text.ended and not token.ended:
                    batch.cancel(token.request.id)
                if alone:
                    sheet.show()
            while sheets and (first := next(iter(sheets.values()))).text.ended:
                first.close()
                yield sheets.pop(first.text.number).text
        yield from unfinished(batch, sheets, Sheet.close)
    except BrokenPipeError:  # nobody reads on; whoever asked for them can have them yet
        yield from unfinished(batch, sheets, lambda sheet: sheet.text.take())
        raise
    finally:
        for number in filter(batch.__contains__, sheets):
            batch.cancel(number)


def sample(
    model: Model,
    settings: WriterSettings,
    prompt: Sequence[int],
    number: int,
    length: int,
    start: SampleText | None = None,
    taken: Sequence[int] = (),
) -> SampleText:
    """The sample with this number, as yet with the taken tokens only."""
    out_of_nothing = list(prompt) == [model.tokenizer.start_of_text]
    request = Request(
        id=number,
        tokens=prompt if start is None else start.rest().tokens,
        stream=stream(settings.seed or 0, number, () if out_of_nothing else prompt),
        sampling=settings.sampling,
        length=length,
        ends=frozenset() if settings.ignore_eot else model.tokenizer.ends,
        drawn=0 if start is None else start.rest().drawn,
        top=0 if paints(settings) else None,
    )
    text = SampleText(request, model.tokenizer, settings.stop_texts, start)
    for token in taken:
        text.add(Token(request, token, END_OF_TEXT if token in request.ends else ""))
    return text


class Sheet:
    """A sample on its way to stdout, with its display and its clock."""

    def __init__(self, text: SampleText, display: Display) -> None:
        self.text = text
        self.display = display
        self.header = header(text.number)
        self.began = self.ended = 0.0  # monotonic time of the first and the last token, seconds

    def add(self, token: Token) -> None:
        self.text.add(token)
        self.ended = time.monotonic()
        self.began = self.began or self.ended

    def show(self) -> None:
        show(self.header + self.display.add(self.text.take_parts()), made_harmless=True)
        self.header = ""

    def close(self) -> None:
        self.show()
        show(self.display.finish() + "\n", made_harmless=True)
        n_tokens = len(self.text.tokens)
        remark = f"{n_tokens} token{'s' * (n_tokens != 1)}"
        if n_tokens > 1 and self.ended > self.began:
            remark += f", {(n_tokens - 1) / (self.ended - self.began):.1f} tokens/s"
        aside(f"[{remark}, {self.text.ended}]")


def unfinished(
    batch: Batch, sheets: dict[int, Sheet], let_go: Callable[[Sheet], object]
) -> Iterator[SampleText]:
    """Ends them where they are, one after another; the batch forgets them."""
    for number, sheet in list(sheets.items()):
        if number in batch:
            batch.cancel(number)
        sheet.text.end("stopped")
        let_go(sheet)
        yield sheets.pop(number).text


def header(number: int) -> str:
    return f"{RULE} SAMPLE {number + 1} {RULE}\n"
