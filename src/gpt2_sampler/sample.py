"""Logits -> next tokens: temperature, top-k, top-p, the draw, and the decoding loop.

Knows arrays and engines: no layers, no text, no files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpt2_sampler.engines import Engine

Logits = npt.NDArray[np.float32]
"""[B, V]"""

NUCLEUS_GUESS = 1024
"""Tokens that most nuclei fit in; selecting so many is several times cheaper than sorting all."""
BLOCK = 256  # tokens


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is chosen. The defaults change nothing."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def scale(logits: Logits, temperature: float) -> Logits:  # [B, V] -> [B, V]
    """Below 1 sharpens, above 1 flattens. 0 keeps the most likely token (the first of equals)."""
    if temperature == 1:
        return logits
    if temperature > 0:
        return logits / np.float32(temperature)
    kept = np.full_like(logits, -np.inf)
    best = logits.argmax(axis=-1, keepdims=True)
    np.put_along_axis(kept, best, 0, axis=-1)
    return kept


def top_k(logits: Logits, k: int) -> Logits:  # [B, V] -> [B, V]
    """Keeps each row's k most likely tokens, and those equal to the last of them; 0 keeps all."""
    n_vocab = logits.shape[-1]
    if not 0 < k < n_vocab:
        return logits
    kth = np.partition(logits, n_vocab - k, axis=-1)[:, n_vocab - k, None]
    return np.where(logits >= kth, logits, -np.inf)


def top_p(logits: Logits, p: float) -> Logits:  # [B, V] -> [B, V]
    """Keeps each row's smallest set of tokens whose probability reaches p; 1 keeps all. Of equal
    tokens at its edge the first ones stay.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    if p >= 1:
        return logits
    columns, candidates = finite_columns(logits)
    goal = p * weights(candidates).sum(axis=-1, keepdims=True, dtype=np.float64)
    best = candidates.max(axis=-1, keepdims=True)
    for n_best in (NUCLEUS_GUESS, len(columns)):  # few rows need more than the first guess
        top = largest(candidates, n_best)
        mass = np.cumsum(np.exp(top - best), axis=-1, dtype=np.float64)
        size = (mass < goal).sum(axis=-1, keepdims=True) + 1
        if (size <= top.shape[-1]).all():
            break
    size = np.minimum(size, top.shape[-1])  # rounding may leave the whole mass short of its sum
    edge = np.take_along_axis(top, size - 1, axis=-1)
    inside, at_edge = candidates > edge, candidates == edge
    room = size - inside.sum(axis=-1, keepdims=True)
    if (room < at_edge.sum(axis=-1, keepdims=True)).any():
        at_edge &= np.cumsum(at_edge, axis=-1) <= room
    inside |= at_edge
    kept = np.full_like(logits, -np.inf)
    kept[:, columns] = np.where(inside, candidates, -np.inf)
    return kept


def draw(logits: Logits, uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """One token a row by inverse transform: [B, V], B numbers in [0, 1) -> [B].

    First the block of tokens, then the token in it: a running sum over all of V is what costs.
    """
    columns, candidates = finite_columns(logits)
    rows, n = candidates.shape
    mass = np.zeros([rows, -(-n // BLOCK) * BLOCK], np.float32)
    mass[:, :n] = weights(candidates)
    blocks = mass.reshape(rows, -1, BLOCK)
    sums = blocks.sum(axis=-1).astype(np.float64)
    block, left = inverse(sums, uniform * sums.sum(axis=-1))
    within, _ = inverse(blocks[np.arange(rows), block].astype(np.float64), left)
    return columns[block * BLOCK + within]


def inverse(
    mass: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """[B, N], [B] -> the place in each row where the running sum passes the target, and what of
    the target was left there. A target that rounding put past the end is the last place with
    any mass."""
    sums = np.cumsum(mass, axis=-1)
    last = mass.shape[-1] - 1 - (mass[:, ::-1] > 0).argmax(axis=-1)
    place = np.minimum((sums <= target[:, None]).sum(axis=-1), last)
    rows = np.arange(len(mass))
    return place, target - (sums - mass)[rows, place]


def weights(logits: Logits) -> Logits:  # [B, N] -> [B, N]
    """Probabilities before they are divided by their sum."""
    return np.exp(logits - logits.max(axis=-1, keepdims=True))


def largest(logits: Logits, n: int) -> Logits:  # [B, N] -> [B, min(n, N)], descending
    n = min(n, logits.shape[-1])
    cut = logits.shape[-1] - n
    return np.sort(np.partition(logits, cut, axis=-1)[:, cut:] if cut else logits)[:, ::-1]


def finite_columns(logits: Logits) -> tuple[npt.NDArray[np.intp], Logits]:
    """The tokens that any row still allows, their logits [B, number of them]: after top-k a
    handful of columns stands for the whole vocabulary."""
    columns = np.flatnonzero((logits > -np.inf).any(axis=0))
    return columns, logits if len(columns) == logits.shape[-1] else logits[:, columns]


def choose(
    logits: Logits, sampling: Sampling, uniform: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """[B, V], B numbers in [0, 1) -> B tokens."""
    allowed = top_p(top_k(scale(logits, sampling.temperature), sampling.top_k), sampling.top_p)
    return draw(allowed, uniform)


class Draw(NamedTuple):
    """A token of a sample; last says that the sample ends with it."""

    sample: int
    token: int
    last: bool


@dataclasses.dataclass
class Row:
    """A sample in the making: what has been read and drawn of it, and where its cache ends."""

    sample: int
    random: np.random.Generator
    tokens: list[int]  # the prompt and what was drawn
    position: int  # slots of the cache that count
    slid: bool = False  # its slots no longer hold the prompt


def generate(
    engine: Engine,
    prompt: Sequence[int],
    samples: Iterable[int],
    *,
    length: int,
    rows: int = 1,
    seed: int = 0,
    sampling: Sampling = Sampling(),  # noqa: B008, it is frozen
    ends: Callable[[int, int], bool] = lambda sample, token: False,
) -> Iterator[Draw]:
    """Continues the prompt (1 to C tokens) once for each number in samples, rows at a time.

    A sample ends after length tokens, or with the token for which ends(sample, token) is true;
    its row is then given to the next sample. Sample i draws from a random stream of its own,
    fixed by seed and i: it is the same beside any others. Text longer than the window goes on
    from the last half of the window, which is read again.
    """
    queue = iter(samples)
    engine.reset(rows)
    after_prompt = engine.read(prompt, range(rows))
    logits = np.repeat(after_prompt[None], rows, axis=0)
    active: dict[int, Row] = {}

    def begin(row: int) -> bool:
        """Gives the row to the next sample, if there is one."""
        slid = row in active and active.pop(row).slid
        for sample in queue:
            random = np.random.default_rng([seed, sample])
            active[row] = Row(sample, random, list(prompt), len(prompt))
            if slid:
                engine.read(prompt, [row])
            logits[row] = after_prompt
            return True
        return False

    undrawn = [row for row in range(rows) if begin(row)]
    while undrawn:
        uniform = np.array([active[row].random.random() for row in undrawn])
        ended = []
        for row, token in zip(undrawn, choose(logits[undrawn], sampling, uniform), strict=True):
            state = active[row]
            state.tokens.append(int(token))
            drawn = len(state.tokens) - len(prompt)
            last = ends(state.sample, int(token)) or drawn >= length
            yield Draw(state.sample, int(token), last)
            if last:
                ended.append(row)
        undrawn = [row for row in ended if begin(row)]
        if not undrawn and active:
            logits = advance(engine, active, rows)
            undrawn = list(active)


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
