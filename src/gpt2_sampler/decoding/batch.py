"""Requests -> tokens: the one decoding loop. Add, step, cancel.

Knows an engine, and what each row of its cache holds: no layers, no text, no files.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Sequence
from itertools import count

import numpy as np

from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.request import Choice, Request, Text, Token, told
from gpt2_sampler.decoding.sampling import Logits, choose
from gpt2_sampler.decoding.window import checked, in_window, is_whole
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import OutOfMemory, UsageError

log = logging.getLogger(__name__)

PIECE = 64  # tokens
"""What is read of prompts in one step while other rows wait for their next token. For 117M in int8
a step takes about 3 ms and 0.15 to 0.2 a token more: with a piece it takes 15, still faster than
anybody reads, and a prompt of 1,000 begins to be answered after 16 of them. Larger pieces would
make a prompt no cheaper, smaller ones leave the processor's cores half idle."""
WORTH_COPYING = 8  # tokens; a row that can have fewer of another's reads them itself, in this step


class Row:
    """A row of the engine's cache: the tokens that its slots hold, and whose they are."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.held: list[int] = []
        self.text: Text | None = None
        self.freed = 0
        """When its last text ended."""
        self.source: tuple[Row, Text | None, int] | None = None
        """The row that is reading what this one needs as well, its text, and how many tokens."""


class Batch:
    """Writes the texts that are asked for, so many at the same time.

    Each text is what it would be by itself, in any batch, order and number of rows, up to the
    rounding of the engine's logits. Whatever stops a step, the batch can be used on: what was being
    read is read again.

    Whatever else reads with the engine between two steps costs time: the rows are read again.
    """

    def __init__(self, engine: Engine, rows: int) -> None:
        """Nothing is reserved before the first step. Raises UsageError for no rows."""
        if not is_whole(rows, 1):
            raise UsageError(f"a batch has 1 row or more, not {rows!r}")
        self.engine = engine
        self.rows = rows
        """Texts at the same time; halved where the memory has no room for them."""
        self._rows: list[Row] = []
        self._texts: dict[Hashable, Text] = {}
        self._waiting: deque[Text] = deque()
        self._clock = count()

    def __len__(self) -> int:
        """The requests that have not ended."""
        return len(self._texts)

    def __contains__(self, id: Hashable) -> bool:
        return id in self._texts

    def add(self, request: Request) -> None:
        """Takes a request, to be begun as soon as a row is free. Raises UsageError for one that
        cannot be served, or whose id another has that has not ended."""
        if request.id in self._texts:
            raise UsageError(f"there is a request {request.id!r} already")
        for name, low in (("length", 1), ("drawn", 0), ("top", 0)):
            value = getattr(request, name)
            if not is_whole(value, low) and (name, value) != ("top", None):
                raise UsageError(f"a request's {name} must be {low} or more, not {value!r}")
        if not request.stream or not all(is_whole(number, 0) for number in request.stream):
            raise UsageError(f"a stream is of whole numbers from 0 on, not {request.stream!r}")
        tokens = checked(request.tokens, self.engine.hparams.n_vocab)
        text = Text(request, tokens, next(self._clock))
        self._texts[request.id] = text
        self._waiting.append(text)

    def cancel(self, id: Hashable) -> Request:
        """Takes a request back -> one that goes on where it was. It has the tokens that matter: of
        a text of more than four windows the first are left out. Raises UsageError for an id that
        no request has which has not ended."""
        text = self._texts.pop(id, None)
        if text is None:
            raise UsageError(f"there is no request {id!r}")
        if text in self._waiting:
            self._waiting.remove(text)
        for row in self._rows:
            if row.text is text:
                self._free(row)
        return text.rest()

    def step(self) -> list[Token]:
        """One call of the engine -> the next tokens, of some requests or, while prompts are being
        read, of none; an empty list for ever once no request is left.

        Where the memory has no room, half of the rows go back to wait, and go on later where they
        were. Raises OutOfMemory or MemoryError where one row has no room, CheckpointError for
        logits that are no numbers, and what the engine raises.
        """
        while True:
            try:
                return self._step()
            except (OutOfMemory, MemoryError):
                texts = self._give_back() or self.rows
                if self.rows == 1:
                    raise
                self.rows = max(1, texts // 2)
                log.warning("no room for %d texts at once; going on with %d", texts, self.rows)

    def _step(self) -> list[Token]:
        if not self._texts:
            return []
        if not self._rows or self.engine.holder is not self:
            self._give_back()
            self.engine.reserve(self.rows)
            self.engine.holder = self
            self._rows = [Row(number) for number in range(self.rows)]
        for row in self._rows:
            if row.source is not None and row.text is not None:
                self._copy(row, self._window(row.text))
        self._fill()
        reading = self._plan()
        tokens, rows, positions, wanted = list[int](), list[int](), list[int](), list[int]()
        drawing: list[tuple[Row, Text]] = []
        for row, text, unread, whole in reading:
            tokens += unread
            rows += [row.number] * len(unread)
            positions += range(len(row.held), len(row.held) + len(unread))
            if whole:
                wanted.append(len(tokens) - 1)
                drawing.append((row, text))
        logits = self.engine.forward(tokens, rows, positions, wanted)
        for row, _, unread, _ in reading:
            row.held += unread
        return self._draw(drawing, logits) if drawing else []

    # Rows and what they hold.

    def _fill(self) -> None:
        """Gives each free row to a text that waits: to the first one the row that holds most of
        it, or else the one that was left the longest ago."""
        while self._waiting and (free := [row for row in self._rows if row.text is None]):
            window = self._window(self._waiting[0])
            shared = {row: n_shared(row.held, window) for row in free}
            row = max(free, key=lambda row: (shared[row], -row.freed))
            row.held = row.held[: shared[row]]
            row.text = self._waiting.popleft()
            self._borrow(row, window)

    def _borrow(self, row: Row, window: list[int]) -> None:
        """Copies what another row holds of the window, if it is much more than this one does.
        Where that row is still reading it, this one is to wait."""
        shared = {}
        for other in self._rows:
            if other is not row:
                held = other.held
                if other.text is not None and other.source is None:  # it reads on by itself
                    held = self._window(other.text)
                shared[other] = n_shared(held, window)
        source = max(shared, key=shared.__getitem__, default=row)
        if shared.get(source, 0) >= len(row.held) + WORTH_COPYING:
            row.source = (source, source.text, shared[source])
            self._copy(row, window)

    def _copy(self, row: Row, window: list[int]) -> None:
        """What the row waits for, if it is there by now; or looks for it elsewhere."""
        if row.source is None:
            return
        source, text, n = row.source
        if source.held[:n] == window[:n]:
            self.engine.copy(source.number, [row.number], n)
            row.held, row.source = window[:n], None
        elif source.text is not text:
            row.source = None
            self._borrow(row, window)

    def _free(self, row: Row) -> None:
        row.text, row.source, row.freed = None, None, next(self._clock)

    def _give_back(self) -> int:
        """All rows, for none is certain to hold anything -> how many had a text."""
        texts = [row.text for row in self._rows if row.text is not None]
        self._rows = []
        self._waiting.extendleft(sorted(texts, key=lambda text: -text.order))
        return len(texts)

    def _window(self, text: Text) -> list[int]:
        """The tokens that the model is to see."""
        return text.tokens[-in_window(len(text.tokens), self.engine.hparams.n_ctx) :]

    def _plan(self) -> list[tuple[Row, Text, list[int], bool]]:
        """What each row reads in this step, and whether all it has to read before it can draw.

        Texts that need one token more go on in every step; what the others need is read in
        pieces beside them, who came first first, and in one go where nobody waits.
        """
        window = self.engine.hparams.n_ctx
        plan, prompts = [], []
        for row in self._rows:
            text = row.text
            if text is None:
                continue
            n_seen = in_window(len(text.tokens), window)
            if n_seen < len(row.held):  # past the window: its last half is read again
                row.held = []
            elif n_seen == len(row.held):  # a step was stopped before it could draw
                row.held = row.held[:-1]
            unread = text.tokens[len(text.tokens) - n_seen + len(row.held) :]
            if len(unread) == 1:
                plan.append((row, text, unread, True))
            elif row.source is None:
                prompts.append((row, text, unread))
        room = PIECE if plan else window
        for row, text, unread in sorted(prompts, key=lambda prompt: prompt[1].order):
            if room:
                plan.append((row, text, unread[:room], len(unread) <= room))
                room -= len(unread[:room])
        return plan

    # Tokens.

    def _draw(self, drawing: list[tuple[Row, Text]], logits: Logits) -> list[Token]:
        ids = self._choose([text for _, text in drawing], logits)
        drawn = []
        for (row, text), id, row_logits in zip(drawing, ids, logits, strict=True):
            request = text.request
            what: tuple[Choice | None, tuple[Choice, ...]] = None, ()
            if request.top is not None:
                what = told(row_logits, self._seen(text), request.sampling, id, request.top)
            text.add(id, self.engine.hparams.n_ctx)
            if ended := text.ended(id):
                del self._texts[request.id]
                self._free(row)
            drawn.append(Token(request, id, ended, *what))
        return drawn

    def _choose(self, texts: list[Text], logits: Logits) -> list[int]:
        requests = [text.request for text in texts]
        keys = np.array(
            [key(r.stream, r.drawn + t.drawn) for r, t in zip(requests, texts, strict=True)],
            np.uint64,
        )
        if all(request.sampling is requests[0].sampling for request in requests):
            seen = [self._seen(text) for text in texts]
            return choose(logits, seen, requests[0].sampling, keys).tolist()
        ids = []
        for n, (text, request) in enumerate(zip(texts, requests, strict=True)):
            one = slice(n, n + 1)
            ids += choose(logits[one], [self._seen(text)], request.sampling, keys[one]).tolist()
        return ids

    def _seen(self, text: Text) -> list[int]:
        """What of the text a penalty looks at."""
        return text.tokens[-self.engine.hparams.n_ctx :] if text.request.sampling.looks_back else []


def n_shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts have in common from their beginning."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return next(i for i in range(n) if a[i] != b[i])
