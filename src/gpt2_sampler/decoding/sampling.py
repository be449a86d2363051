"""Logits -> next tokens: penalties, temperature, top-k, top-p, the draw, and the decoding loop.

Knows arrays and engines: no layers, no text, no files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from gpt2_sampler.engines.engine import Engine

Logits = npt.NDArray[np.float32]
"""[B, V]"""
Floats = npt.NDArray[np.float64]
AnyFloats = TypeVar("AnyFloats", Logits, Floats)
Texts = Sequence[Sequence[int]]
"""The tokens that each of B rows goes on from."""

BLOCK = 256  # tokens
AHEAD = 64  # random numbers
BELOW_1 = np.nextafter(1, 0)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen. The defaults change nothing."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0  # tokens

    @property
    def looks_back(self) -> bool:
        """Whether the text so far matters."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram != 0


def penalise(logits: Logits, texts: Texts, penalty: float) -> Logits:  # [B, V] -> [B, V]
    """Above 1 makes tokens that are in the row's text less likely, below 1 more; 1 changes nothing.

    Keskar et al. 2019, "CTRL", section 4.1; a negative logit is multiplied, as dividing it would
    raise it.
    """
    if penalty == 1:
        return logits
    changed = logits.copy()
    for row, text in zip(changed, texts, strict=True):
        tokens = np.asarray(text)
        seen = row[tokens]
        row[tokens] = np.where(seen > 0, seen / penalty, seen * penalty)
    return changed


def block_repeats(logits: Logits, texts: Texts, n: int) -> Logits:  # [B, V] -> [B, V]
    """Takes out what would make n tokens in a row appear in the row's text again; 0 takes nothing.
    A row that would have no token left keeps all."""
    if n == 0:
        return logits
    kept = logits.copy()
    for row, text in zip(kept, texts, strict=True):
        if len(text) >= n:
            runs = np.lib.stride_tricks.sliding_window_view(np.asarray(text), n)  # [T - n + 1, n]
            again = (runs[:, :-1] == text[len(text) - n + 1 :]).all(axis=-1)
            blocked = row.copy()
            blocked[runs[again, -1]] = -np.inf
            if blocked.max() > -np.inf:
                row[:] = blocked
    return kept


def scale(logits: Logits, temperature: float) -> Logits:  # [B, V] -> [B, V]
    """Below 1 sharpens, above 1 flattens. 0 keeps the most likely token (the first of equals)."""
    if temperature == 1:
        return logits
    if temperature > 0:
        return logits / float(temperature)  # stays float32
    kept = np.full_like(logits, -np.inf)
    best = logits.argmax(axis=-1, keepdims=True)
    np.put_along_axis(kept, best, 0, axis=-1)
    return kept


def top_k(logits: Logits, k: int) -> tuple[npt.NDArray[np.intp], Logits]:
    """Keeps each row's k most likely tokens, and those equal to the last of them; 0 keeps all.

    [B, V] -> the N tokens that any row keeps, ascending, and their logits [B, N], -inf where the
    row itself does not keep one: a handful of columns stands for the vocabulary from here on.
    """
    n_vocab = logits.shape[-1]
    if not 0 < k < n_vocab:
        return np.arange(n_vocab), logits
    ordered = logits.copy()
    ordered.partition(n_vocab - k, axis=-1)
    kth = ordered[:, n_vocab - k, None]
    kept = logits >= kth
    if len(kept) == 1:  # the usual case, and a third of the time
        (columns,) = kept[0].nonzero()
        return columns, logits[:, columns]
    columns = np.flatnonzero(kept.any(axis=0))
    return columns, np.where(kept[:, columns], logits[:, columns], -np.inf)


def top_p(logits: Logits, p: float) -> Logits:  # [B, V] -> [B, V]
    """Keeps each row's smallest set of tokens whose probability reaches p; 1 keeps all. Of equal
    tokens at its edge the first ones stay.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    if p >= 1:
        return logits
    kept = np.full_like(logits, -np.inf)
    for row, kept_row in zip(logits, kept, strict=True):
        mass = weights(row)
        goal = p * mass.sum(dtype=np.float64)
        # Tokens with less mass each have less than 1 - p all together: few are left to sort.
        columns = np.flatnonzero(mass >= (goal / p - goal) / len(mass))
        candidates = row[columns]
        top = np.sort(candidates)[::-1]
        sums = np.cumsum(weights(top), dtype=np.float64)
        size = min(int(np.searchsorted(sums, goal)) + 1, len(top))  # rounding may leave no place
        edge = top[size - 1]
        inside = candidates > edge
        inside[np.flatnonzero(candidates == edge)[: size - inside.sum()]] = True
        kept_row[columns[inside]] = candidates[inside]
    return kept


def draw(logits: Logits, uniform: Floats) -> npt.NDArray[np.intp]:
    """One token a row by inverse transform: [B, N], B numbers in [0, 1) -> [B].

    First the block of tokens, then the token in it: a running sum over all of V is what costs.
    """
    rows, n = logits.shape
    if n <= BLOCK:
        return passed(np.add.accumulate(weights(logits.astype(np.float64)), axis=-1), uniform)
    blocks = np.pad(weights(logits), [(0, 0), (0, -n % BLOCK)]).reshape(rows, -1, BLOCK)
    sums = np.add.accumulate(blocks.sum(axis=-1, dtype=np.float64), axis=-1)
    block = passed(sums, uniform)
    row = np.arange(rows)
    before = np.where(block > 0, sums[row, block - 1], 0)
    share = (uniform * sums[:, -1] - before) / (sums[row, block] - before)
    own = np.add.accumulate(blocks[row, block], axis=-1, dtype=np.float64)
    return block * BLOCK + passed(own, np.clip(share, 0, BELOW_1))  # it was rounded


# A step of the model leaves nothing of Python in the processor's cache: what is called between two
# steps takes several times what it takes in a loop of its own, so the shortest way is taken
# through NumPy. np.add.reduce is what np.sum comes to in the end.


def passed(sums: Floats, uniform: Floats) -> npt.NDArray[np.intp]:
    """[B, N], [B] -> the place in each row where the running sums pass that share of the whole.
    A float64 below 1 times the whole rounds to less than the whole, so that there is one."""
    return np.add.reduce(sums <= uniform[:, None] * sums[:, -1:], axis=-1)


def weights(logits: AnyFloats) -> AnyFloats:  # [..., N] -> [..., N]
    """Probabilities before they are divided by their sum."""
    return np.exp(logits - np.maximum.reduce(logits, axis=-1, keepdims=True))


def choose(
    logits: Logits, texts: Texts, sampling: Sampling, uniform: Floats
) -> npt.NDArray[np.intp]:
    """[B, V], B texts, B numbers in [0, 1) -> B tokens. Where the sampling does not look back,
    there need be no texts."""
    s = sampling
    fresh = block_repeats(penalise(logits, texts, s.repetition_penalty), texts, s.no_repeat_ngram)
    columns, likely = top_k(fresh, s.top_k)  # the same before the temperature as after it
    return columns[draw(top_p(scale(likely, s.temperature), s.top_p), uniform)]


class Draw(NamedTuple):
    """A token of a sample; last says that the sample ends with it."""

    sample: int
    token: int
    last: bool


@dataclasses.dataclass
class Row:
    """A sample in the making: its latest tokens, and where its cache ends."""

    sample: int
    numbers: Iterator[float]  # in [0, 1), one for each draw
    tokens: list[int]  # the latest C to 2 C of the prompt and what was drawn
    position: int  # slots of the cache that count
    drawn: int = 0  # tokens
    slid: bool = False  # its slots no longer hold the prompt

    def add(self, token: int, window: int) -> None:
        self.tokens.append(token)
        self.drawn += 1
        if len(self.tokens) >= 2 * window:
            del self.tokens[:-window]


def generate(
    engine: Engine,
    prompt: Sequence[int],
    samples: Iterable[int],
    *,
    length: int,
    rows: int = 1,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    ends: Callable[[int, int], bool] = lambda sample, token: False,
    drawn: int = 0,
) -> Iterator[Draw]:
    """Continues the prompt (1 token or more) once for each number in samples, rows at a time.

    A sample ends after length tokens, or with the token for which ends(sample, token) is true;
    its row is then given to the next sample. Sample i draws from a random stream of its own,
    fixed by seed and i: it is the same beside any others. Text longer than the window goes on
    from the last half of the window, which is read again.

    drawn says how many numbers of its stream a sample has used before, so that a sample goes on
    where it stopped when the prompt is its text so far. Whatever stops the loop, the engine can
    be used again.
    """
    window = engine.hparams.n_ctx
    start = prompt[-in_window(len(prompt), window) :]
    queue = iter(samples)
    engine.reset(rows)
    after_prompt = engine.read(start, range(rows))
    logits = np.repeat(after_prompt[None], rows, axis=0)
    active: dict[int, Row] = {}

    def begin(row: int) -> bool:
        """Gives the row to the next sample, if there is one."""
        slid = row in active and active.pop(row).slid
        for sample in queue:
            numbers = random_numbers([seed, sample], drawn)
            active[row] = Row(sample, numbers, list(prompt[-window:]), len(start))
            if slid:
                engine.read(start, [row])
            logits[row] = after_prompt
            return True
        return False

    undrawn = [row for row in range(rows) if begin(row)]
    while undrawn:
        uniform = np.array([next(active[row].numbers) for row in undrawn])
        texts = [active[row].tokens[-window:] for row in undrawn if sampling.looks_back]
        ended = []
        of_undrawn = logits if undrawn == [*range(rows)] else logits[undrawn]
        tokens = choose(of_undrawn, texts, sampling, uniform).tolist()
        for row, token in zip(undrawn, tokens, strict=True):
            state = active[row]
            state.add(token, window)
            last = ends(state.sample, token) or state.drawn >= length
            yield Draw(state.sample, token, last)
            if last:
                ended.append(row)
        undrawn = [row for row in ended if begin(row)]
        if not undrawn and active:
            logits = advance(engine, active, rows)
            undrawn = sorted(active)


def random_numbers(seed: Sequence[int], skipped: int) -> Iterator[float]:
    """In [0, 1), from PCG64."""
    random = np.random.Generator(np.random.PCG64(seed).advance(skipped))
    while True:
        yield from random.random(AHEAD).tolist()  # the same numbers as one by one


def in_window(n_tokens: int, window: int) -> int:
    """How many of a text's tokens the cache holds, were the text read one by one as above."""
    if n_tokens <= window:
        return n_tokens
    half = max(1, window // 2)
    return half + (n_tokens - window - 1) % (window - half + 1)


def advance(engine: Engine, active: dict[int, Row], rows: int) -> Logits:
    """Reads each active row's newest token -> logits [B, V]."""
    window = engine.hparams.n_ctx
    reread = {}
    for row, state in active.items():
        if state.position == window:
            kept = state.tokens[-max(1, window // 2) :]
            reread[row] = engine.read(kept, [row])
            state.position, state.slid = len(kept), True
    if len(reread) == len(active):
        logits = np.empty([rows, engine.hparams.n_vocab], np.float32)
    else:
        # A row without a sample, or just read again, takes part with a token that no later
        # step looks at.
        tokens = [active[row].tokens[-1] if row in active else 0 for row in range(rows)]
        positions = [active[row].position if row in active else 0 for row in range(rows)]
        positions = [min(position, window - 1) for position in positions]
        logits = engine.decode(tokens, positions)
        for row, state in active.items():
            state.position += row not in reread
    for row, again in reread.items():
        logits[row] = again
    return logits
