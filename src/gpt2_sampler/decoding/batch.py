"""Requests -> tokens: the one decoding loop. Add, step, cancel.

Knows an engine and the rows of its cache: no layers, no text, no files.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from itertools import count, islice
from typing import NamedTuple

from gpt2_sampler.decoding.draft import Draft
from gpt2_sampler.decoding.progress import Progress, Spot, draw, look
from gpt2_sampler.decoding.reading import PIECE, Reading, read
from gpt2_sampler.decoding.request import Request, Token, check_tokens
from gpt2_sampler.decoding.rows import CacheRows, Row
from gpt2_sampler.decoding.sampling import check_bias
from gpt2_sampler.engines.engine import Cache, Engine, Floats, require_engine
from gpt2_sampler.errors import OutOfMemory, SamplerError, UsageError, brief, require_kind
from gpt2_sampler.limits import Limits, check_limits

log = logging.getLogger(__name__)


class Turn(NamedTuple):
    """What a row reads in a step."""

    row: Row
    progress: Progress
    unread: list[int]
    """The tokens that it has yet to read, or the first of them."""
    following: list[int]
    """Tokens that are read as well because they come next, or are guessed to."""
    n_spots: int
    """After how many of the last tokens the next one is drawn, or told."""

    @property
    def spots(self) -> list[Spot]:
        return [Spot(self.progress, self.following[:n]) for n in range(self.n_spots)]


class Batch:
    """Serves the requests that are added, so many at the same time.

    Each gets what it would get by itself, in any batch, order and number of rows, up to the
    rounding of the engine's logits. Whatever stops a step, the batch can be used on: what was being
    read is read again. It may be used from several threads, which take turns.

    >>> batch = Batch(engine, rows=8)
    >>> batch.add(Request("a", tokens, stream=(7, 0), length=20))
    >>> while batch:
    ...     for token in batch.step():
    ...         print(token.request.id, token.id, token.ended)
    """

    def __init__(
        self, engine: Engine, rows: int, draft: Engine | Future[Engine] | None = None
    ) -> None:
        """draft is the same model, or a smaller one of the same vocabulary, which takes less time:
        what it guesses is checked, so that it changes the speed alone. It may still be loading.

        No memory is taken before the first step. Raises UsageError for no rows, and for a draft
        that does not fit the engine."""
        require_engine(engine)
        self.engine = engine
        self.rows = check_limits("rows", rows, Limits(1))
        """Requests at the same time; halved where the memory has no room for them."""
        self._window = engine.hparams.n_ctx
        self._rows: CacheRows | None = None
        self._draft = None if draft is None else Draft(draft, engine)
        self._requests: dict[Hashable, Progress] = {}
        self._waiting: deque[Progress] = deque()
        self._clock = count()

    def __len__(self) -> int:
        """The requests that have not ended."""
        return len(self._requests)

    def __contains__(self, id: Hashable) -> bool:
        return id in self._requests

    def add(self, request: Request) -> None:
        """Takes a request, to be begun as soon as a row is free. Raises UsageError for one that
        cannot be served, and for the id of another that has not ended."""
        require_kind("request", request, Request, "a Request")
        tokens = check_tokens(request.tokens, self.engine.hparams.n_vocab)
        check_bias(request.sampling, self.engine.hparams.n_vocab)
        with self.engine.lock:
            if request.id in self._requests:
                raise UsageError(f"there is a request {brief(request.id)} already")
            progress = Progress(request, tokens, self._window, next(self._clock))
            self._requests[request.id] = progress
            self._waiting.append(progress)

    def cancel(self, id: Hashable) -> None:
        """Raises UsageError if no unfinished request has this id."""
        with self.engine.lock:
            progress = self._requests.pop(id, None)
            if progress is None:
                raise UsageError(f"there is no request {brief(id)}")
            if progress in self._waiting:
                self._waiting.remove(progress)
            if self._rows is not None:
                self._rows.free(progress)

    def step(self) -> list[Token]:
        """The next tokens: one that was drawn of each request that has any ready, after all of its
        own tokens that have been told. If none has, the engine is called once first; while prompts
        are being read there may still be none. Empty once all requests have ended.

        Where the memory has no room, the draft is given up, and if that is not enough half of the
        rows go back to wait, and go on later where they were. Raises OutOfMemory or MemoryError
        where one row has no room, CheckpointError for logits that are no numbers, and what the
        engine raises.
        """
        with self.engine.lock:
            if not any(progress.ready for progress in self._requests.values()):
                self._make_ready()
            return self._hand_out()

    def _make_ready(self) -> None:
        while self._requests:
            try:
                return self._call()
            except (SamplerError, MemoryError) as problem:
                no_room = isinstance(problem, (OutOfMemory, MemoryError))
                n_served = self._give_back() or self.rows
                if self._draft is not None:
                    self._draft = None
                    log.warning("going on without a draft: %s", str(problem) or "no room for it")
                elif no_room and self.rows > 1:
                    self.rows = max(1, n_served // 2)
                    log.warning(
                        "no room for %d texts at once; going on with %d", n_served, self.rows
                    )
                else:
                    raise

    def _call(self) -> None:
        """One call of the engine, and what is drawn from its logits."""
        if self._rows is None:
            self._rows = CacheRows(self.engine, self.rows)
        self._rows.fill(self._waiting)
        plan = self._with_guesses(self._plan(self._rows))
        logits = self._read(plan, self._rows.cache)
        spots = [spot for turn in plan for spot in turn.spots]
        threads = self.engine.threads
        tokens = iter(look(spots, logits, draw(spots, logits, threads), threads))
        for turn in plan:
            self._keep(turn, list(islice(tokens, turn.n_spots)))

    def _read(self, plan: Sequence[Turn], cache: Cache) -> Floats:  # [W, V]
        """What the rows hold behind their requests' tokens stays if the same is read again."""
        readings, behind = list[Reading](), list[list[int]]()
        for row, _, unread, following, n_spots in plan:
            readings.append(Reading(row.number, row.at, unread + following, n_spots))
            behind.append(row.held[row.at :])
            del row.held[row.at :]  # undefined, should the engine fail
        logits = read(self.engine, cache, readings)
        for turn, reading, old in zip(plan, readings, behind, strict=True):
            new = reading.tokens
            turn.row.held += old if old[: len(new)] == new else new
            turn.row.at += len(turn.unread)
        return logits

    def _with_guesses(self, plan: Sequence[Turn]) -> list[Turn]:
        if self._draft is None:
            return list(plan)
        ready = {
            turn.row.number: turn.progress
            for turn in plan
            if turn.n_spots == 1 and len(turn.unread) == 1 and not turn.progress.own
        }
        guesses = self._draft.guess(ready, self.rows)
        return [
            turn._replace(following=guessed, n_spots=len(guessed) + 1)
            if (guessed := guesses.get(turn.row.number))
            else turn
            for turn in plan
        ]

    def _keep(self, turn: Turn, tokens: Sequence[Token]) -> None:
        """Queues the tokens of a row up to and including the first that differs from its guess."""
        following, own = turn.following, bool(turn.progress.own)
        for n_right, token in enumerate(tokens):
            turn.progress.ready.append(token)
            if n_right == len(following) or token.id != following[n_right]:
                break
            turn.row.at += 1
        if following and not own and self._draft is not None:
            self._draft.learn(len(following), n_right)

    def _hand_out(self) -> list[Token]:
        tokens = list[Token]()
        if self._rows is None:
            return tokens
        for row in self._rows:
            while (progress := row.progress) is not None and progress.ready:
                token = progress.ready.popleft()
                progress.add(token)
                if ended := progress.why_ended(token):
                    del self._requests[progress.request.id]
                    self._rows.free(progress)
                tokens.append(token._replace(ended=ended))
                if token.drawn:
                    break
        return tokens

    def _give_back(self) -> int:
        """Gives up all rows, for none is certain to hold anything -> how many served a request."""
        served = [row.progress for row in self._rows or () if row.progress is not None]
        self._rows = None
        for progress in served:
            progress.ready.clear()
        self._waiting.extendleft(sorted(served, key=lambda progress: -progress.order))
        return len(served)

    def _plan(self, rows: CacheRows) -> list[Turn]:
        """What each row reads in this step.

        Requests that need one token more go on in every step. What the others need is read in
        pieces beside them, who came first first, and in one go where nobody waits. Where tokens are
        told, a piece is never longer, as each takes logits for the whole vocabulary.
        """
        plan, long = list[Turn](), list[tuple[Row, Progress, list[int]]]()
        for row in rows:
            progress = row.progress
            if progress is None:
                continue
            n_seen = progress.n_in_window
            if n_seen < row.at:  # past the window: its last half is read again
                row.at = 0
            row.at = min(row.at, n_seen - 1)  # the last token's logits are needed
            unread = progress.tokens[len(progress.tokens) - n_seen + row.at :]
            if len(unread) == 1 and not progress.own:
                plan.append(Turn(row, progress, unread, [], 1))
            elif row.source is None:
                long.append((row, progress, unread))
        room = max(PIECE - len(plan), PIECE // 2) if plan else self._window
        spots = PIECE
        for row, progress, unread in sorted(long, key=lambda one: one[1].order):
            n_read, own = min(len(unread), room), progress.own
            if n_read < len(unread):
                if n_read:
                    plan.append(Turn(row, progress, unread[:n_read], [], 0))
            elif not own:
                plan.append(Turn(row, progress, unread, [], 1))
            elif spots:
                # A request that draws nothing needs no look at what comes after its last token.
                n_left = len(own) if progress.left else len(own) - 1
                room_in_row = self._window - progress.n_in_window
                n_own = min(n_left, room_in_row, room - n_read, spots - 1)
                following = list(islice(own, n_own))
                plan.append(Turn(row, progress, unread, following, n_own + 1))
                spots -= n_own + 1
                n_read += n_own
            room -= n_read
        return plan
