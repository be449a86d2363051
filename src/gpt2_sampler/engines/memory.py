"""A model's shape, a precision, a batch and a length -> the memory that a run needs, in bytes, and
settings that would fit if it is not free. Knows no files and no loaded engine.

benchmarks/bench_sizes.py compares these predictions with what is really used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from gpt2_sampler.engines.cgroups import ROOT, group_memory, read
from gpt2_sampler.errors import EngineError
from gpt2_sampler.weights.hparams import HParams

AVAILABLE = re.compile(r"^MemAvailable: *(\d+) kB", re.MULTILINE)
"""As Linux says it."""
MOST_ROWS = 64
"""117M writes 15% faster than with 32, as benchmarks/README.md shows, for twice their memory."""
BASE = 30 << 20  # bytes: Python, the libraries, the vocabulary
LITERT_PIECE = 128
"""Tokens that LiteRT reads at once, at most. For 117M more would not be faster."""
BETWEEN = 8
"""Vectors of n_embd that LiteRT keeps in a layer for each of these tokens."""


def memory_needed(
    hparams: HParams, precision: str, rows: int, tokens: int, *, loaded: bool = False
) -> int:
    """The bytes that a CPU run keeps from other programs, for that many rows of that many tokens
    each, prompts included; with loaded, only those beyond what the loaded model has already.

    Weights count although they are mapped from a file: the system could drop their pages, but each
    step reads all of them. Processes that run one model share them.
    """
    h, weights = hparams, weights_size(hparams, precision)
    # A head's key or value in one slot; in int8 it has a float32 scale.
    head = h.head_size + 4 if precision == "int8" else 4 * h.head_size
    slot = 2 * h.n_layer * h.n_head * head
    logits = 8 * 4 * rows * h.n_vocab
    reading = 4 * BETWEEN * h.n_embd * (h.n_layer + 1) * min(tokens, LITERT_PIECE)
    texts = slot * rows * min(tokens, h.n_ctx) + logits + reading
    return texts if loaded else BASE + weights + texts


def weights_size(hparams: HParams, precision: str) -> int:  # bytes
    numbers = sum(map(math.prod, hparams.variable_shapes().values()))
    return numbers * (1 if precision == "int8" else 4)


def address_space_needed(hparams: HParams, precision: str) -> int:
    """The bytes of address space that loading a model takes beyond what is needed: the checkpoint,
    the export and its packed weights are mapped, and packing has them once more."""
    return 2 * BASE + weights_size(hparams, "float32") + 2 * weights_size(hparams, precision)


def require_memory(
    hparams: HParams,
    precision: str,
    rows: int,
    tokens: int,
    available: int,
    *,
    loaded: bool = False,
) -> None:
    """Raises EngineError, with settings that would fit, if the memory does not suffice. loaded says
    that the model is in memory, so that its precision is fixed and only its texts need room."""
    if not loaded:
        require_address_space(hparams, precision)
    need = memory_needed(hparams, precision, rows, tokens, loaded=loaded)
    if need <= available:
        return
    message = (
        f"{size(need)} of memory are needed for {f'{precision} weights and ' * (not loaded)}{rows} "
        f"text{'s' * (rows != 1)} of {tokens} tokens, {size(available)} are free"
    )
    for fits, (p, r, t) in alternatives(precision, rows, tokens):
        if loaded and p != precision:
            continue
        if memory_needed(hparams, p, r, t, loaded=loaded) <= available:
            raise EngineError(message, fits=fits)
    raise EngineError(f"{message}; no setting fits, only a smaller model")


def require_address_space(hparams: HParams, precision: str) -> None:
    """Raises EngineError, with a precision that would fit, if the model cannot be loaded."""
    space, taken = address_space(), address_space_taken(hparams, precision)
    if space < taken:
        fits = address_space_taken(hparams, "int8") <= space
        raise EngineError(
            f"loading {precision} weights takes {size(taken)} of address space, and this process "
            f"is limited to {size(int(space))} more (ulimit -v)",
            change=["precision"] if fits else [],
        )


def address_space_taken(hparams: HParams, precision: str) -> int:
    """The bytes of address space that a run of one text takes."""
    return address_space_needed(hparams, precision) + memory_needed(hparams, precision, 1, 1)


def alternatives(
    precision: str, rows: int, tokens: int
) -> Iterator[tuple[dict[str, object], tuple[str, int, int]]]:
    """Settings to change, and the precision, rows and tokens they lead to. Those that cost least
    come first: a smaller batch only takes time."""
    smaller = sorted({2**n for n in range(rows.bit_length()) if 2**n < rows}, reverse=True)
    for p in dict.fromkeys((precision, "int8")):
        chosen: dict[str, object] = {} if p == precision else {"precision": p}
        for r in (rows, *smaller):
            batch = {} if r == rows else {"batch_size": r}
            yield chosen | batch, (p, r, tokens)
        for t in (tokens // 2, tokens // 4, tokens // 8):
            if t:
                batch = {} if rows == 1 else {"batch_size": 1}
                yield chosen | batch | {"length": t}, (p, 1, t)


def rows_that_fit(hparams: HParams, precision: str, tokens: int, available: int) -> int:
    """As many rows as are worth it and fit half of the free memory, but at least 1. The other half
    is left for prompts and other programs."""
    rows = MOST_ROWS
    while rows > 1 and memory_needed(hparams, precision, rows, tokens) > available // 2:
        rows //= 2
    return rows


def free_memory(root: Path = ROOT) -> int:
    """The bytes that this process may still use, of the machine and of its limits."""
    return max(0, int(min(machine_memory(root), group_memory(root), address_space())))


def machine_memory(root: Path) -> int:
    """The bytes that programs of the machine can still have."""
    if told := AVAILABLE.search(read(root / "proc/meminfo")):
        return int(told[1]) << 10
    import psutil  # knows all systems, and takes as long to import as the model to load

    free: int = psutil.virtual_memory().available
    return free


def address_space() -> float:
    """The bytes that this process may still allocate or map (`ulimit -v`), inf without a limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    import psutil

    return float(limit - psutil.Process().memory_info().vms)


def size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
