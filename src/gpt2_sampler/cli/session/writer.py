"""Texts -> samples on stdout, in order, in the layout of OpenAI's scripts.

A single sample is shown as it is written; samples that are written together are shown when they are
complete. Does not know where prompts come from, nor what becomes of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count

from gpt2_sampler.cli.flags.settings import WriterSettings
from gpt2_sampler.cli.session.display import Display, paints
from gpt2_sampler.cli.session.loading import Model
from gpt2_sampler.cli.session.quiet import quiet_at_first
from gpt2_sampler.cli.session.terminal import aside, show
from gpt2_sampler.decoding.request import END_OF_TEXT, Request, Token, stream_of
from gpt2_sampler.decoding.scheduler import Texts, write_in_order
from gpt2_sampler.decoding.text import Piece, Text

RULE = "=" * 40
CLOSING = f"{RULE}{RULE}\n"
"""Ends the samples of a prompt."""


def write(
    texts: Texts,
    model: Model,
    settings: WriterSettings,
    prompt: Sequence[int],
    numbers: range | count[int],
    *,
    length: int,
    start: Text | None = None,
    taken: Sequence[int] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Text]:
    """Writes the samples with these numbers and yields each when it is shown in full.

    They go on from the prompt or, if start is given, from where that text ended, and first of all
    with the tokens in taken; then length more are drawn. Once stopped() is true, unfinished samples
    are shown as they are; where stdout takes no more, they are yielded before BrokenPipeError is
    raised. However it ends, none of them is left in texts.
    """
    rows = min(texts.rows, len(numbers)) if isinstance(numbers, range) else texts.rows
    before = len(prompt) if start is None else len(start.request.tokens) + len(start.tokens)
    model.require_room(rows, before + len(taken) + length)
    sheets: dict[object, Sheet] = {}  # in order

    def begin() -> Iterator[Text]:
        for number in numbers:
            text = text_of(model, settings, prompt, number, length, start, taken)
            sheet = Sheet(text, Display(settings, model.tokenizer), alone=rows == 1)
            sheets[text.id] = sheet
            sheet.begin()
            yield text

    steps = write_in_order(texts, begin(), stopped=stopped)
    try:
        for piece in chain.from_iterable(quiet_at_first(steps, settings.verbose)):
            sheets[piece.text.id].add(piece)
            if piece.ended:
                yield sheets.pop(piece.text.id).text
    except BrokenPipeError:  # nobody reads on; whoever asked for them can have them yet
        steps.close()
        for sheet in sheets.values():
            sheet.text.end()
            yield sheet.text
        raise
    finally:
        steps.close()


def text_of(
    model: Model,
    settings: WriterSettings,
    prompt: Sequence[int],
    number: int,
    length: int,
    start: Text | None = None,
    taken: Sequence[int] = (),
) -> Text:
    """The sample with this number, as yet with the taken tokens only."""
    out_of_nothing = list(prompt) == [model.tokenizer.start_of_text]
    before = None if start is None else start.rest()
    request = Request(
        id=number,
        tokens=prompt if before is None else before.tokens,
        stream=stream_of(settings.seed or 0, number, () if out_of_nothing else prompt),
        sampling=settings.sampling,
        length=length,
        ends=frozenset() if settings.ignore_eot else model.tokenizer.ends,
        drawn=0 if before is None else before.drawn,
        top=0 if paints(settings) else None,
    )
    text = Text(request, model.tokenizer, settings.stop_texts, start)
    for token in taken:
        text.add(Token(request, token, END_OF_TEXT if token in request.ends else ""))
    return text


class Sheet:
    """A sample on its way to stdout."""

    def __init__(self, text: Text, display: Display, *, alone: bool) -> None:
        """A sample that is written alone has its header at once, and each piece as it comes."""
        self.text = text
        self._display = display
        self._alone = alone
        self._unshown = header(text.number)

    def begin(self) -> None:
        if self._alone:
            self._show()

    def add(self, piece: Piece) -> None:
        self._unshown += self._display.add(piece.tokens)
        if self._alone or piece.ended:
            self._show()
        if piece.ended:
            self._close()

    def _show(self) -> None:
        shown, self._unshown = self._unshown, ""
        show(shown, made_harmless=True)

    def _close(self) -> None:
        show(self._display.finish() + "\n", made_harmless=True)
        n_tokens, seconds = len(self.text.tokens), self.text.last_time - self.text.first_time
        remark = f"{n_tokens} token{'s' * (n_tokens != 1)}"
        if n_tokens > 1 and seconds > 0:
            remark += f", {(n_tokens - 1) / seconds:.1f} tokens/s"
        aside(f"[{remark}, {self.text.ended}]")


def header(number: int) -> str:
    return f"{RULE} SAMPLE {number + 1} {RULE}\n"
