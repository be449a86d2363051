"""A model's shape, its precision, a batch and a length -> the memory that a run needs, in bytes,
and what would fit where that is not free. Knows no files and no loaded engine.

Measured by benchmarks/bench_sizes.py, which holds what is foretold here against what was used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from gpt2_sampler.errors import EngineError
from gpt2_sampler.weights.hparams import HParams

MOST_ROWS = 32
"""More gain little: benchmarks/bench_corpus.py."""
BASE = 80 << 20  # bytes: Python, the libraries, the vocabulary


def needed(
    hparams: HParams, precision: str, rows: int, tokens: int, *, loaded: bool = False
) -> int:
    """Bytes that no other program can have meanwhile, on a CPU, for rows texts of so many tokens
    each, prompts included. The files, which are mapped, are no part of it: what is read of them
    makes way for whatever else needs the memory. Nor is what reading a long prompt takes for a
    moment. loaded: beyond what a loaded model has already."""
    h = hparams
    weights = sum(map(math.prod, h.variable_shapes().values())) * (1 if precision == "int8" else 4)
    # A head's keys: in int8 they share a float32 scale.
    head = h.head_size + 4 if precision == "int8" else 4 * h.head_size
    slot = 2 * h.n_layer * h.n_head * head
    logits = 8 * 4 * rows * h.n_vocab
    texts = slot * rows * min(tokens, h.n_ctx) + logits
    return texts if loaded else BASE + weights + texts


def require_memory(
    hparams: HParams,
    precision: str,
    rows: int,
    tokens: int,
    available: int,
    *,
    loaded: bool = False,
) -> None:
    """Raises EngineError, with settings that would fit, where the memory does not do. loaded: the
    model is, and only its texts need room; its precision is then as it is."""
    need = needed(hparams, precision, rows, tokens, loaded=loaded)
    if need <= available:
        return
    message = (
        f"{size(need)} of memory are needed for {f'{precision} weights and ' * (not loaded)}{rows} "
        f"text{'s' * (rows != 1)} of {tokens} tokens, {size(available)} are free"
    )
    for fits, (p, r, t) in alternatives(precision, rows, tokens):
        if loaded and p != precision:
            continue
        if needed(hparams, p, r, t, loaded=loaded) <= available:
            raise EngineError(message, fits=fits)
    raise EngineError(f"{message}; no setting fits, only a smaller model")


def alternatives(
    precision: str, rows: int, tokens: int
) -> Iterator[tuple[dict[str, object], tuple[str, int, int]]]:
    """Settings to change and what they make, those first that cost least: a smaller batch only
    takes time."""
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
    """As many texts at the same time as are worth it and take half of what is free, 1 at least:
    the other half is for prompts, and for whoever wants memory meanwhile."""
    rows = MOST_ROWS
    while rows > 1 and needed(hparams, precision, rows, tokens) > available // 2:
        rows //= 2
    return rows


def free_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process can have, of the machine and, on Linux, of its container."""
    import psutil

    free = psutil.virtual_memory().available
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        cached = re.search(r"^file (\d+)$", (cgroup / "memory.stat").read_text(), re.MULTILINE)
        return min(free, limit - used + int(cached[1] if cached else 0))
    except (OSError, ValueError):  # no Linux, or no limit ("max")
        return free


def size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
