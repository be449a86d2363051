"""How long the draw takes: the compiled kernel and NumPy in turns, on logits like GPT-2's.

    python benchmarks/bench_choose.py [--repeats 15] [--threads 2]

What bounds it: a row's 50,257 logits are read once (200 kB, from a cache); top_p of all tokens
computes as many exponentials, penalties copy the row. Times are the least of all repeats, in
microseconds a call, so that a busy machine matters little. One line of JSON comes last.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from gpt2_sampler.decoding import plain
from gpt2_sampler.decoding.kernel import find_kernel
from gpt2_sampler.decoding.noise import key
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling

V = 50257
DIFFERENT = [
    Sampling(0.5 + n / 32, (0, 40, 0, 100)[n % 4], (0.9, 1.0, 0.95, 0.9)[n % 4], 1 + n % 8 / 20)
    for n in range(32)
]
CASES = {
    "1 row, top_k 40": [Sampling(temperature=0.7, top_k=40)],
    "1 row, all tokens": [Sampling()],
    "1 row, top_p 0.9": [Sampling(top_p=0.9)],
    "1 row, repetition_penalty 1.1": [Sampling(repetition_penalty=1.1)],
    "32 rows, top_k 40": [Sampling(top_k=40)] * 32,
    "32 rows, all tokens": [Sampling()] * 32,
    "32 rows, top_p 0.9": [Sampling(0.7 + n / 100, top_p=0.9) for n in range(32)],
    "32 rows, all different": DIFFERENT,
}
Least = dict[str, dict[str, float]]


def measure_seconds(work: Callable[[], object]) -> float:
    """Microseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6


def measure(repeats: int, threads: int) -> Least:
    kernel = find_kernel()
    if kernel is None:
        sys.exit("there was no C compiler when this was installed")
    random = np.random.default_rng(0)
    logits = (random.normal(size=[32, V]) * 2.5).astype(np.float32)
    histories = [History(random.integers(0, V, 300).tolist(), 200) for _ in range(32)]
    keys = np.array([key((0, 0), place) for place in range(32)], np.uint64)
    least: Least = {}
    for name, samplings in CASES.items():
        n = len(samplings)
        own = logits[:n], histories[:n], samplings, keys[:n]
        least[name] = in_turns(
            partial(kernel.choose, *own, threads), partial(plain.choose, *own), repeats
        )
    for n in (1, 32):
        told = logits[:n], histories[:n], DIFFERENT[:n], [3] * n, [10] * n
        least[f"10 likeliest told, rows: {n}"] = in_turns(
            partial(kernel.tell, *told, threads), partial(plain.tell, *told), repeats
        )
    return least


def in_turns(
    compiled: Callable[[], object], numpy: Callable[[], object], repeats: int
) -> dict[str, float]:
    turns = [(measure_seconds(compiled), measure_seconds(numpy)) for _ in range(repeats)]
    return dict(zip(("kernel", "numpy"), map(min, zip(*turns, strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    least = measure(arguments.repeats, arguments.threads)
    print(f"{'microseconds':32}{'kernel':>10}{'numpy':>10}")
    for name, times in least.items():
        print(f"{name:32}{times['kernel']:10.0f}{times['numpy']:10.0f}")
    print(json.dumps(least))


if __name__ == "__main__":
    main()
