"""Measures how fast sets of samples are written, beside llama.cpp and CTranslate2.

- prompts: 64 prompts of 10 to 600 tokens, 200 new tokens after each
- nothing: 64 samples of 1,024 tokens out of nothing
- uneven: 256 samples out of nothing that end after 20 to 380 tokens, 200 in the mean

In batches of 32, top_k 40, temperature 0.7, a program's own sampler, 2 threads, random weights in
the shape of 117M, with which nothing ends before its length. Tokens are those that are sampled;
reading prompts takes its time and counts none. "full" is the decoding loop alone, without text and
records, with all rows full all the time: its texts and prompts have the mean's length.

What bounds it: the processor for the weights, which 32 rows share, and memory for the caches, which
they do not. CTranslate2 takes many minutes for "nothing", so 8 samples of it, in one batch, are
measured, as in bench_decode.py. It has no texts of different lengths. llama.cpp's rows of "uneven"
are not refilled, as a program has to do that by itself.

    pip install ctranslate2 gguf llama-cpp-python
    python3 benchmarks/bench_corpus.py --folder MODEL --results FILE [--rows 32]
        [--kinds prompts] [--only "llama.cpp q8_0"]

Each run measures what is asked for once, one after another, adds it to the results' file, and
reports the medians of all that is there, so that it can be run in pieces, which take turns. A
measurement is a process of its own, of a minute to three. Conversions are those of bench_decode.py,
made if they are not there. Nothing else may run meanwhile: what others disturbed, for more than 5%
of the machine's time, is told and not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_decode import DISTURBED, others_seconds, prepare, processor
from benchmarks.peers import PEERS
from benchmarks.peers.ours import LiteRT
from benchmarks.peers.peer import END_OF_TEXT

OURS, LLAMA, CT2, FULL = "gpt2-sampler int8", "llama.cpp q8_0", "CTranslate2 int8", "full"
N, SHORTEST, LONGEST, NEW, WHOLE = 64, 10, 600, 200, 1024
UNEVEN, SOONEST, LATEST = 256, 20, 380
WARM_UP = 2  # tokens
WHO = {
    "prompts": (OURS, FULL, LLAMA, CT2),
    "nothing": (OURS, FULL, LLAMA, CT2),
    "uneven": (OURS, FULL, LLAMA),
}
ASKED = {LLAMA: 2.5, CT2: 5.0, FULL: 0.9}
"""Times the others' rate; the part of the full batches' one."""

Texts = list[tuple[list[int], int]]
"""Prompts, and how many tokens are to follow each."""


def texts(kind: str, name: str) -> Texts:
    random = np.random.default_rng(0)

    def lengths(low: int, high: int, n: int) -> list[int]:
        """Evenly from low to high, in any order."""
        all_lengths = np.linspace(low, high, n).round().astype(int)
        random.shuffle(all_lengths)
        return [int(all_lengths.mean())] * n if name == FULL else all_lengths.tolist()

    if kind == "nothing":
        return [([END_OF_TEXT], WHOLE - 1)] * (8 if name == CT2 else N)
    if kind == "uneven":
        return [([END_OF_TEXT], length) for length in lengths(SOONEST, LATEST, UNEVEN)]
    prompts = lengths(SHORTEST, LONGEST, N)
    return [(random.integers(END_OF_TEXT, size=length).tolist(), NEW) for length in prompts]


def measure(name: str, kind: str, folder: Path, rows: int, threads: int) -> float:
    """Tokens a second."""
    peer = PEERS[OURS if name == FULL else name]
    peer.load(folder, prepare(peer, folder, threads)["target"], threads)
    if name == FULL:
        assert isinstance(peer, LiteRT)
        run = peer.draw_all
    else:
        run = peer.continue_all
    wanted = texts(kind, name)
    run([(prompt, WARM_UP) for prompt, _ in wanted[:rows]], rows)
    start = time.perf_counter()
    n_tokens = run(wanted, rows)
    seconds = time.perf_counter() - start
    assert n_tokens == sum(length for _, length in wanted), n_tokens
    return n_tokens / seconds


def report(results: dict[str, list[float]], kinds: Sequence[str]) -> None:
    for kind in kinds:
        rates = {}
        for name in WHO[kind]:
            if all_rates := results.get(f"{kind}: {name}"):
                rates[name] = median(all_rates)
                each = ", ".join(f"{rate:,.0f}" for rate in all_rates)
                print(f"{kind:8}  {name:18} {rates[name]:7,.0f} tokens/s, median of {each}")
        for name in WHO[kind]:
            if name in ASKED and {name, OURS} <= rates.keys():
                got = rates[OURS] / rates[name]
                missed = "" if got >= ASKED[name] else "  MISSED"
                print(f"{kind:8}  {OURS} / {name}: asked {ASKED[name]}, got {got:.2f}{missed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="as bench_decode.py has it")
    parser.add_argument("--results", type=Path, required=True, help="added to, made if not there")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[OURS, FULL, LLAMA, CT2], metavar="NAME")
    parser.add_argument("--kinds", nargs="+", default=list(WHO), choices=WHO)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        name, kind = asked.one
        print(measure(name, kind, asked.folder, asked.rows, asked.threads))
        return
    results: dict[str, list[float]] = defaultdict(list)
    if asked.results.exists():
        results |= json.loads(asked.results.read_text())
    common = ["--folder", asked.folder, "--results", asked.results]
    common += ["--rows", str(asked.rows), "--threads", str(asked.threads)]
    for kind in asked.kinds:
        for name in [name for name in asked.only if name in WHO[kind]]:
            one = [sys.executable, __file__, *common, "--one", name, kind]
            others, start = -others_seconds(), time.perf_counter()
            done = subprocess.run(one, stdout=subprocess.PIPE, check=True)
            others += others_seconds()
            rate = float(done.stdout.split()[-1])
            share = 100 * others / (time.perf_counter() - start) / (os.cpu_count() or 1)
            if share > DISTURBED:
                print(f"{kind}: {name}: {rate:,.0f} tokens/s, others took {share:.0f}%: not kept")
                continue
            results[f"{kind}: {name}"].append(rate)
            asked.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{processor()}, {asked.threads} threads, batches of {asked.rows}")
    report(results, asked.kinds)


if __name__ == "__main__":
    main()
