"""Measures how fast sets of samples are written, beside llama.cpp and CTranslate2.

- prompts: 64 prompts of 10 to 600 tokens, 200 new tokens after each
- nothing: 64 samples of 1,024 tokens out of nothing

Each in batches of 32, top_k 40, temperature 0.7, a program's own sampler, 2 threads, random weights
in the shape of 117M. Tokens are those that are sampled; reading prompts takes its time and counts
none. "full" is what this project reaches when all rows are always full: two batches of equal
prompts' length (305 tokens, the mean), or one batch of 1,024.

What bounds it: the processor for the weights, which 32 rows share, and memory for the caches, which
they do not. CTranslate2 takes many minutes for the second, so 8 samples of it, in one batch, are
measured, as in bench_decode.py.

    pip install ctranslate2 transformers torch gguf llama-cpp-python
    python3 benchmarks/bench_corpus.py --folder MODEL [--rows 32] [--only "llama.cpp q8_0"]

Every measurement is a process of its own. Conversions are those of bench_decode.py, made if they
are not there. The last line is the same in JSON. Nothing else may run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_decode import prepare
from benchmarks.peers import PEERS
from benchmarks.peers.peer import END_OF_TEXT

OURS, LLAMA, CT2 = "gpt2-sampler int8", "llama.cpp q8_0", "CTranslate2 int8"
N, SHORTEST, LONGEST, NEW, WHOLE = 64, 10, 600, 200, 1024
WARM_UP = 2  # tokens
KINDS = "prompts", "nothing"
ASKED = {LLAMA: 2.5, CT2: 5.0, "full": 0.9}
"""Times the others' rate; the part of the full batches' one."""


def texts(kind: str, name: str) -> tuple[list[list[int]], int]:
    """Prompts, and how many tokens are to follow."""
    random = np.random.default_rng(0)
    if kind == "nothing":
        n = 8 if name == CT2 else N // 2 if name == "full" else N
        return [[END_OF_TEXT]] * n, WHOLE - 1
    lengths = np.linspace(SHORTEST, LONGEST, N).round().astype(int)
    random.shuffle(lengths)
    if name == "full":
        lengths[:] = lengths.mean()
    return [random.integers(END_OF_TEXT, size=length).tolist() for length in lengths], NEW


def measure(name: str, kind: str, folder: Path, rows: int, threads: int) -> float:
    """Tokens a second."""
    peer = PEERS[OURS if name == "full" else name]
    peer.load(folder, prepare(peer, folder, threads)["target"], threads)
    prompts, length = texts(kind, name)
    peer.continue_all(prompts[:rows], WARM_UP, rows)
    start = time.perf_counter()
    n_tokens = peer.continue_all(prompts, length, rows)
    return n_tokens / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True, help="as bench_decode.py has it")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[OURS, "full", LLAMA, CT2])
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        name, kind = asked.one
        print(measure(name, kind, asked.folder, asked.rows, asked.threads))
        return
    rates: dict[str, dict[str, float]] = {}
    for kind in asked.kinds:
        rates[kind] = {}
        for name in asked.only:
            words = [__file__, "--folder", str(asked.folder), "--one", name, kind]
            words += ["--rows", str(asked.rows), "--threads", str(asked.threads)]
            done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, check=True)
            rates[kind][name] = float(done.stdout.split()[-1])
            print(f"{kind:8}  {name:20}{rates[kind][name]:8,.0f} tokens/s", flush=True)
        for name, least in ASKED.items():
            if name in rates[kind] and OURS in rates[kind]:
                got = rates[kind][OURS] / rates[kind][name]
                missed = "" if got >= least else "  MISSED"
                print(f"{kind:8}  {OURS} / {name}: asked {least}, got {got:.2f}{missed}")
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
