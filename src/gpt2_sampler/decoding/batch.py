"""Requests -> tokens: the one decoding loop. Add, step, cancel.

Knows an engine, and what each row of its cache holds: no layers, no text, no files.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from itertools import count, islice

from gpt2_sampler.decoding.draft import Draft
from gpt2_sampler.decoding.logits import Logits
from gpt2_sampler.decoding.reading import PIECE, WORTH_COPYING, Reading, n_shared, read
from gpt2_sampler.decoding.request import Place, Request, Text, Token, draw, told
from gpt2_sampler.decoding.window import checked, in_window, is_whole
from gpt2_sampler.engines.engine import Cache, Engine
from gpt2_sampler.errors import OutOfMemory, SamplerError, UsageError

log = logging.getLogger(__name__)


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


Going = tuple[Row, Text, list[int], bool]
"""A row, its text, tokens that the row is to read, and whether a token is drawn after them: they
are then all that it does not hold."""


class Batch:
    """Writes the texts that are asked for, so many at the same time.

    Each text is what it would be by itself, in any batch, order and number of rows, up to the
    rounding of the engine's logits. Whatever stops a step, the batch can be used on: what was being
    read is read again.
    """

    def __init__(
        self, engine: Engine, rows: int, draft: Engine | Future[Engine] | None = None
    ) -> None:
        """draft is the same model, or a smaller one of the same vocabulary, which takes less time:
        what it guesses is checked, so that it changes the speed alone. It may still be loading.

        The cache is made by the first step. Raises UsageError for no rows, and for a draft
        that does not fit the engine."""
        if not is_whole(rows, 1):
            raise UsageError(f"a batch has 1 row or more, not {rows!r}")
        self.engine = engine
        self.rows = rows
        """Texts at the same time; halved where the memory has no room for them."""
        self._window = engine.hparams.n_ctx
        self._rows: list[Row] = []
        self._cache: Cache | None = None
        self._draft = None if draft is None else Draft(draft, engine)
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
        """The next tokens, one of each request that has any ready. If none has, the engine is
        called once first; while prompts are being read there may still be none. An empty list for
        ever once no request is left.

        Where the memory has no room, the draft is given up, and if that is not enough half of the
        rows go back to wait, and go on later where they were. Raises OutOfMemory or MemoryError
        where one row has no room, CheckpointError for logits that are no numbers, and what the
        engine raises.
        """
        if not any(text.ready for text in self._texts.values()):
            self._make_ready()
        return self._hand_out()

    def _make_ready(self) -> None:
        while self._texts:
            try:
                return self._call()
            except (SamplerError, MemoryError) as problem:
                no_room = isinstance(problem, (OutOfMemory, MemoryError))
                texts = self._give_back() or self.rows
                if self._draft is not None:
                    self._draft = None
                    log.warning("going on without a draft: %s", str(problem) or "no room for it")
                elif no_room and self.rows > 1:
                    self.rows = max(1, texts // 2)
                    log.warning("no room for %d texts at once; going on with %d", texts, self.rows)
                else:
                    raise

    def _call(self) -> None:
        """One call of the engine, and what is drawn from its logits."""
        if self._cache is None:
            self._cache = self.engine.new_cache(self.rows)
            self._rows = [Row(number) for number in range(self.rows)]
        for row in self._rows:
            if row.source is not None and row.text is not None:
                self._copy(row, row.text.seen(self._window))
        self._fill()
        plan = self._plan()
        guesses = self._guess(plan)
        readings, places = list[Reading](), list[Place]()
        for row, text, unread, whole in plan:
            guessed = guesses.get(row.number, [])
            own = [Place(text, guessed[:n]) for n in range(len(guessed) + 1)] if whole else []
            readings.append(Reading(row.number, len(row.held), [*unread, *guessed], len(own)))
            places += own
        logits = read(self.engine, self._cache, readings)
        ids = draw(places, logits, self._window)
        drawn = zip(places, logits, ids, strict=True)
        for row, _, unread, whole in plan:
            row.held += unread
            if whole:
                guessed = guesses.get(row.number, [])
                self._keep(row, guessed, list(islice(drawn, len(guessed) + 1)))

    def _guess(self, plan: Sequence[Going]) -> dict[int, list[int]]:
        if self._draft is None:
            return {}
        texts = {
            row.number: text for row, text, unread, whole in plan if whole and len(unread) == 1
        }
        return self._draft.guess(texts, self.rows)

    def _keep(
        self, row: Row, guessed: Sequence[int], drawn: Sequence[tuple[Place, Logits, int]]
    ) -> None:
        """Makes ready what was drawn in a row, as far as all that was guessed before is right."""
        for n_right, (place, logits, id) in enumerate(drawn):
            place.text.ready.append(told(place, logits, self._window, id))
            if n_right == len(guessed) or id != guessed[n_right]:
                break
            row.held.append(id)
        if guessed and self._draft is not None:
            self._draft.learn(len(guessed), n_right)

    def _hand_out(self) -> list[Token]:
        tokens = []
        for row in self._rows:
            text = row.text
            if text is None or not text.ready:
                continue
            drawn = text.ready.popleft()
            text.add(drawn.id, self._window)
            if ended := text.ended(drawn.id):
                del self._texts[text.request.id]
                self._free(row)
            tokens.append(Token(text.request, drawn.id, ended, drawn.choice, drawn.top))
        return tokens

    # Rows and what they hold.

    def _fill(self) -> None:
        """Gives each free row to a text that waits: to the first one the row that holds most of
        it, or else the one that was left the longest ago."""
        while self._waiting and (free := [row for row in self._rows if row.text is None]):
            tokens = self._waiting[0].seen(self._window)
            shared = {row: n_shared(row.held, tokens) for row in free}
            row = max(free, key=lambda row: (shared[row], -row.freed))
            row.held = row.held[: shared[row]]
            row.text = self._waiting.popleft()
            self._borrow(row, tokens)

    def _borrow(self, row: Row, tokens: list[int]) -> None:
        """Copies what another row holds of the tokens, if it is much more than this one does.
        Where that row is still reading it, this one is to wait."""
        shared = {}
        for other in self._rows:
            if other is not row:
                held = other.held
                if other.text is not None and other.source is None:  # it reads on by itself
                    held = other.text.seen(self._window)
                shared[other] = n_shared(held, tokens)
        source = max(shared, key=shared.__getitem__, default=row)
        if shared.get(source, 0) >= len(row.held) + WORTH_COPYING:
            row.source = (source, source.text, shared[source])
            self._copy(row, tokens)

    def _copy(self, row: Row, tokens: list[int]) -> None:
        """What the row waits for, if it is there by now; or looks for it elsewhere."""
        if row.source is None:
            return
        source, text, n = row.source
        if source.held[:n] == tokens[:n]:
            assert self._cache is not None
            self.engine.copy(self._cache, source.number, [row.number], n)
            row.held, row.source = tokens[:n], None
        elif source.text is not text:
            row.source = None
            self._borrow(row, tokens)

    def _free(self, row: Row) -> None:
        row.text, row.source, row.freed = None, None, next(self._clock)

    def _give_back(self) -> int:
        """All rows, for none is certain to hold anything -> how many had a text."""
        texts = [row.text for row in self._rows if row.text is not None]
        self._rows, self._cache = [], None
        for text in texts:
            text.ready.clear()
        self._waiting.extendleft(sorted(texts, key=lambda text: -text.order))
        return len(texts)

    def _plan(self) -> list[Going]:
        """What each row reads in this step.

        Texts that need one token more go on in every step; what the others need is read in
        pieces beside them, who came first first, and in one go where nobody waits.
        """
        plan, prompts = [], []
        for row in self._rows:
            text = row.text
            if text is None:
                continue
            n_seen = in_window(len(text.tokens), self._window)
            if n_seen < len(row.held):  # past the window: its last half is read again
                row.held = []
            elif n_seen == len(row.held):  # a step was stopped before it could draw
                row.held = row.held[:-1]
            unread = text.tokens[len(text.tokens) - n_seen + len(row.held) :]
            if len(unread) == 1:
                plan.append((row, text, unread, True))
            elif row.source is None:
                prompts.append((row, text, unread))
        room = PIECE if plan else self._window
        for row, text, unread in sorted(prompts, key=lambda prompt: prompt[1].order):
            if room:
                plan.append((row, text, unread[:room], len(unread) <= room))
                room -= len(unread[:room])
        return plan
