"""A job in JSON -> one measurement of one program, in JSON; for bench_decode.py.

A process of its own, for its start and its peak memory are measured too: it imports little.
"""

from __future__ import annotations

import functools
import json
import math
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers import PEERS
from benchmarks.peers.peer import BYTES, END_OF_TEXT, Peer

WARM_UP = 2  # tokens
AROUND = 10  # tokens before and after a position
READS = 3  # of a prompt
CLOSE = {4: 0.01, 2: 0.01, 34 / 32: 0.1, 1: 0.2}
"""Bytes of a weight -> how far logits may be from ours in float32, root mean square over their
spread. A wrong conversion is off by more than 1; llama.cpp's cache is float16 in any precision."""


def check(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    """How far the logits are from ours, as CLOSE has it. Raises RuntimeError if too far."""
    ours = PEERS["gpt2-sampler float32"]
    ours.load(job["folder"], job["target"], job["threads"])
    tokens = np.random.default_rng(0).integers(END_OF_TEXT, size=24).tolist()
    right, got = ours.logits(tokens), peer.logits(tokens)
    error = float(np.sqrt(np.mean((got - right) ** 2)) / right.std())
    if not error < CLOSE[BYTES[peer.precision]]:
        raise RuntimeError(f"its logits are not ours: {error:.1%} off")
    for n_prompt in 1, 12:
        *first, last = peer.generate(n_prompt, 12, 2, lambda: None, top_k=1)
        if last != peer.logits([END_OF_TEXT] * n_prompt + first).argmax():
            raise RuntimeError("its loop does not give what its logits say")
    return {"logits off": error}


def run(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    """Texts from an empty prompt, several at once: the time they take when this long."""
    rows, top_k = job["rows"], job["top_k"]
    times: list[float] = []
    inside: list[float] = []

    def step() -> None:
        times.append(time.perf_counter())
        inside.append(peer.engine_seconds or 0)

    peer.generate(1, WARM_UP, rows, lambda: None, top_k)
    step()
    peer.generate(1, job["numbers"][-1], rows, step, top_k)
    result = {f"{job['numbers'][-1]} MB": peak_memory()}
    speed = bandwidth(job["threads"])
    for n in job["numbers"]:
        seconds = times[n] - times[0]
        result |= {f"{n} ms": 1e3 * seconds / n, f"{n} tokens/s": rows * n / seconds}
        if peer.engine_seconds is not None:
            result[f"{n} choosing %"] = 100 * (1 - (inside[n] - inside[0]) / seconds)
        step_bytes = bytes_read(peer, job["folder"], rows, (n + 1) / 2)
        result[f"{n} limit %"] = 100 * step_bytes * n / speed / 1e9 / seconds
    if top_k == 0:
        return {
            f"{rows} x {n} choosing of all %": result[f"{n} choosing %"] for n in job["numbers"]
        }
    return {f"{rows} x {key}": value for key, value in result.items()} | {"GB/s": speed}


def at(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    """A step late in a text, several texts at once."""
    rows, result = job["rows"], {}
    for position in job["numbers"]:
        times: list[float] = []
        step = functools.partial(note_time, times)
        peer.generate(position - AROUND, 2 * AROUND, rows, step)
        result[f"{rows} at {position} ms"] = 1e3 * statistics.median(np.diff(times[WARM_UP:]))
    return result


def prompt(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    result = {}
    for n in job["numbers"]:
        seconds = []
        for _ in range(1 + READS):
            start = time.perf_counter()
            peer.read(n)
            seconds.append(time.perf_counter() - start)
        result[f"prompt {n} tokens/s"] = n / statistics.median(seconds[1:])
        result[f"prompt {n} MB"] = peak_memory()
    return result


def first(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    peer.generate(1, 1, 1, lambda: None)
    return {}  # whoever waits for this takes the time


def note_time(times: list[float]) -> None:
    times.append(time.perf_counter())


def peak_memory() -> float:  # MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def bandwidth(threads: int) -> float:  # GB/s
    from concurrent.futures import ThreadPoolExecutor

    arrays = [np.ones(1 << 26, np.float32) for _ in range(threads)]
    speeds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(20):
            start = time.perf_counter()
            list(pool.map(lambda array: np.dot(array, array), arrays))
            speeds.append(threads * arrays[0].nbytes / 1e9 / (time.perf_counter() - start))
    return statistics.median(speeds)


def bytes_read(peer: Peer, folder: Path, rows: int, slots: float) -> float:
    """By a step: the weights, of which the table of positions is read by the row, and so many
    slots of each row's cache."""
    from gpt2_sampler.weights.hparams import load_hparams

    h = load_hparams(folder)
    shapes = h.variable_shapes()
    weights = sum(math.prod(shape) for name, shape in shapes.items() if name != "wpe")
    cache = 2 * h.n_layer * h.n_embd * rows * slots
    return weights * BYTES[peer.precision] + cache * peer.cache_bytes


KINDS = {kind.__name__: kind for kind in (check, run, at, prompt, first)}


def main() -> None:
    job = json.loads(sys.argv[1])
    peer = PEERS[job["peer"]]
    job |= {"folder": Path(job["folder"]), "target": Path(job["target"])}
    if job["kind"] == "check":
        peer.convert(job["folder"], job["target"])
    peer.load(job["folder"], job["target"], job["threads"])
    print(json.dumps({"result": KINDS[job["kind"]](peer, job)}), flush=True)


if __name__ == "__main__":
    main()
