"""Scoring: tokens/s of many short texts and of one long one, beside reading them as a prompt.

    python3 benchmarks/bench_score.py [--precision int8] [--texts 200]

Random weights in the shape of 117M. Every place of a scored text needs the logits of all tokens,
1.45 times the multiplications of a prompt that is only read; what more it takes is log-sum-exp and
ranks. Medians of three rounds in turns.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fire
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.make_checkpoint import make

from gpt2_sampler import Engine, load_engine, score_texts

LONG = 1000  # tokens


def main(precision: str = "int8", texts: int = 200, rounds: int = 3) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make("117M", folder)
        with load_engine(folder, "cpu", precision) as engine:
            report(engine, precision, texts, rounds)


def report(engine: Engine, precision: str, n_texts: int, rounds: int) -> None:
    random = np.random.default_rng(1)
    short = [random.integers(50257, size=n).tolist() for n in random.integers(5, 61, size=n_texts)]
    long = random.integers(50257, size=LONG).tolist()
    n_short = sum(map(len, short))
    cases: dict[str, tuple[int, Callable[[], object]]] = {
        "short texts": (n_short, lambda: list(score_texts(engine, short))),
        "with 10 alternatives": (
            sum(map(len, short)),
            lambda: list(score_texts(engine, short, 10)),
        ),
        f"one of {LONG}": (LONG, lambda: list(score_texts(engine, [long]))),
        "a prompt of 512, read only": (512, lambda: read(engine, long[:512])),
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, (n_tokens, work) in cases.items():
            began = time.perf_counter()
            work()
            if number:  # the first round warms up
                rates[name].append(n_tokens / (time.perf_counter() - began))
    found = {name: round(statistics.median(values)) for name, values in rates.items()}
    for name, rate in found.items():
        print(f"{name:28}{rate:8,} tokens/s")
    print(json.dumps({"precision": precision, **found}))


def read(engine: Engine, tokens: list[int]) -> None:
    n = len(tokens)
    engine.forward(engine.new_cache(1), tokens, [0] * n, range(n), [n - 1])


if __name__ == "__main__":
    fire.Fire(main)
