"""Texts under way -> guesses at how they go on, from a model that takes less time.

Batch reads the guesses with its own engine and keeps what that one draws as well: they change how
long a text takes, and nothing else. Engine and draft draw with the same noise, and models that
nearly agree then nearly always draw the same token. (Leviathan, Kalman and Matias 2023, "Fast
Inference from Transformers via Speculative Decoding", with that in place of their rejections.)

Knows the draft's engine, and what each row of its cache holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

from gpt2_sampler.decoding.progress import Progress, Spot, draw
from gpt2_sampler.decoding.reading import PIECE, WORTH_COPYING, Reading, count_shared, read
from gpt2_sampler.engines.engine import Cache, Engine, require_engine
from gpt2_sampler.errors import UsageError

WORTH_READING = 32  # tokens
"""What the draft reads to catch up with a text, at most, for each token that is still to come: more
would take longer than its guesses save."""
MOST = 6
"""At most this many guesses: with the last known token they fill one tile of AT_ONCE rows."""
AT_ONCE = 7  # tokens
"""With AVX-512 XNNPACK multiplies this many by the weights in one pass over them."""
FIRST, WEIGHT, KEPT = 0.95, 8, 0.9
"""The share of right guesses expected before any was checked, the number of guesses that this
expectation counts for, and the part of all past guesses that still counts after another step."""
LEAST_COST = 0.2
"""However small the draft is, its calls and draws take some time."""
PATIENCE = 16
"""After this many steps without a guess, one is tried again."""


@dataclasses.dataclass
class Guess:
    """At how the text in a row goes on."""

    row: int
    progress: Progress
    most: int
    unread: list[int]
    """Tokens to be read next."""
    whole: bool
    """Whether they are all that the draft has not read."""
    tokens: list[int] = dataclasses.field(default_factory=list)

    def add(self, token: int) -> None:
        self.tokens.append(token)
        self.unread = [token]

    @property
    def goes_on(self) -> bool:
        return len(self.tokens) < self.most and self.tokens[-1] not in self.progress.request.ends


class Draft:
    """Guesses for the rows of a batch."""

    def __init__(self, engine: Engine | Future[Engine], target: Engine) -> None:
        """target is the batch's engine. A draft that is still being loaded guesses from
        when it is there. Raises UsageError for one of another vocabulary or a smaller window."""
        if not isinstance(engine, Future):
            require_engine(engine, "draft")
        self._engine = engine
        self._target = target
        self._hparams = target.hparams
        self._cost = 1.0
        """What a guess takes, compared with one by an int8 copy of the engine's model."""
        self._cache: Cache | None = None
        self._held: list[list[int]] = []
        self._right, self._compared = FIRST * WEIGHT, float(WEIGHT)
        self._idle = 0  # steps without a guess
        if isinstance(engine, Engine):
            self._check(engine)

    def guess(self, requests: Mapping[int, Progress], rows: int) -> dict[int, list[int]]:
        """The requests that go on, by the number of their row -> how, for some of them.

        Raises what the engine raises, or whoever loads it.
        """
        engine = self._engine_if_loaded() if requests else None
        n = self._worth_guessing(len(requests)) if engine else 0
        if engine is None or not n:
            return {}
        with engine.lock:
            return self._guess(engine, requests, rows, n)

    def _guess(
        self, engine: Engine, requests: Mapping[int, Progress], rows: int, n: int
    ) -> dict[int, list[int]]:
        if self._cache is None or self._cache.rows != rows:
            self._cache = engine.new_cache(rows)
            self._held = [[] for _ in range(rows)]
        guesses = list(self._begin(engine, self._cache, requests, n))
        reading = guesses
        while reading:
            logits = read(
                engine,
                self._cache,
                [Reading(g.row, len(self._held[g.row]), g.unread, int(g.whole)) for g in reading],
            )
            for guess in reading:
                self._held[guess.row] += guess.unread
            reading = [guess for guess in reading if guess.whole]
            spots = [Spot(guess.progress, guess.tokens) for guess in reading]
            for guess, token in zip(reading, draw(spots, logits, engine.threads), strict=True):
                guess.add(token)
            reading = [guess for guess in reading if guess.goes_on]
        return {guess.row: guess.tokens for guess in guesses}

    def learn(self, guessed: int, right: int) -> None:
        """Takes in how many guesses at a text were checked, and how many were right before the
        first wrong one."""
        self._right = KEPT * self._right + right
        self._compared = KEPT * self._compared + min(guessed, right + 1)

    def _begin(
        self, engine: Engine, cache: Cache, requests: Mapping[int, Progress], n: int
    ) -> Iterator[Guess]:
        """What the draft is to read of each text before n guesses at most: first the texts that it
        has kept up with, then as much of the others as these may be kept waiting for."""
        guesses = []
        for row, progress in requests.items():
            seen = progress.window_tokens
            self._hold(engine, cache, row, seen[:-1])
            unread = seen[len(self._held[row]) :]
            most = min(n, progress.left - 1, self._hparams.n_ctx - len(seen))
            if most > 0 and len(unread) <= WORTH_READING * progress.left:
                guesses.append(Guess(row, progress, most, unread, whole=True))
        room = PIECE if len(guesses) > 1 else self._hparams.n_ctx
        for guess in sorted(guesses, key=lambda guess: len(guess.unread)):
            guess.whole = len(guess.unread) <= room
            guess.unread = guess.unread[:room]
            room -= len(guess.unread)
            if guess.unread:
                yield guess

    def _hold(self, engine: Engine, cache: Cache, row: int, tokens: list[int]) -> None:
        """Makes a row hold as many of the tokens as it can without reading, and nothing else."""
        shared = count_shared(self._held[row], tokens)
        if shared + WORTH_COPYING <= len(tokens):
            other = max(self._held, key=lambda held: count_shared(held, tokens))
            if (n := count_shared(other, tokens)) >= shared + WORTH_COPYING:
                engine.copy(cache, self._held.index(other), [row], n)
                shared = n
        self._held[row] = tokens[:shared]

    def _worth_guessing(self, n_texts: int) -> int:
        """The number of guesses at each text that makes tokens come fastest, judged by how often
        recent ones were right. If it is 0, one is still tried now and then, unless not even right
        guesses would pay."""
        best = fastest(n_texts, self._right / self._compared, self._cost)
        if best or not fastest(n_texts, 1, self._cost):
            return best
        self._idle += 1
        return int(self._idle % PATIENCE == 0)

    def _engine_if_loaded(self) -> Engine | None:
        if isinstance(self._engine, Future):
            if not self._engine.done():
                return None
            self._engine = self._engine.result()
            self._check(self._engine)
        return self._engine

    def _check(self, engine: Engine) -> None:
        own, theirs = engine.hparams, self._hparams
        if own.n_vocab != theirs.n_vocab or own.n_ctx < theirs.n_ctx:
            raise UsageError(
                f"a draft for a model with {theirs.n_vocab} tokens and a window of {theirs.n_ctx} "
                f"cannot have {own.n_vocab} and {own.n_ctx}"
            )
        self._cost = max(LEAST_COST, 4 * engine.weight_bytes / self._target.weight_bytes)


# Times, in units of what float32 takes to read one token, with int8 as the draft: measured with
# 117M on 2 cores of Zen 4. They only decide how much is guessed.


def fastest(n_texts: int, share: float, cost: float = 1) -> int:
    """The number of guesses at each text with which tokens come fastest, if each guess is right
    with this probability and takes so many times what an int8 copy takes."""

    def rate(n: int) -> float:
        tokens = sum(share**guess for guess in range(n + 1))
        return tokens / (checking(n_texts * (n + 1)) + n * cost * guessing(n_texts))

    return max(range(MOST + 1), key=rate)


def checking(n_tokens: int) -> float:
    """Reading so many tokens in float32."""
    return 0.4 + 0.6 * -(-n_tokens // AT_ONCE)


def guessing(n_texts: int) -> float:
    """Reading one token of each text in int8, and drawing the next."""
    return 0.3 + 0.045 * n_texts
