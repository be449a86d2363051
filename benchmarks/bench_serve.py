"""gpt2-serve under load, beside the raw loop and llama.cpp's server with the same client.

    python3 benchmarks/bench_serve.py [--quick] [--clients 1,8,32,64,200] [--llama False]

Random weights in the shape of 117M, int8 (llama.cpp: q8_0; pip install xllamacpp), 32 rows, prompts
of 16 tokens, 128 new ones, every request with a seed and settings of its own, streamed on loopback
to an asyncio client in another process. As in vLLM's benchmark, TTFT is from sending a request to
its first event, and ITL between two of its events; a token that ends no character has none. The
raw loop is the scheduler with as many rows and as much to tell, before and after: what server and
client take of the processor beside it is what the ratio shows. Some 5 minutes, 2 with --quick; a
last line has all of it in JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.make_checkpoint import make
from benchmarks.serve_client import Stream, ask, health, load

from gpt2_sampler import Batch, Engine, Request, Sampling, Text, load_engine, load_tokenizer
from gpt2_sampler.decoding.scheduler import Texts, write_in_order

ROOT = Path(__file__).resolve().parents[1]
ROWS, PROMPT, LENGTH, LONG, QUEUE = 32, 16, 128, 1000, 256
PATIENCE = 120  # seconds, for a server to start and for any one load
ASKED = {
    "of the raw loop, at least": 0.9,
    "of llama.cpp at 32, at least": 2.5,
    "TTFT with a row free, ms": 50.0,
    "ITL p99 beside a prompt of 1,000, ms": 40.0,
    "/health p99, ms": 50.0,
    "idle, % of a core": 0.5,
}


def settings_of(number: int) -> dict[str, Any]:
    return {"temperature": 0.5 + number % 40 / 50, "top_k": 20 + number % 60, "top_p": 0.95}


def prompts(n: int, length: int = PROMPT) -> list[list[int]]:
    return np.random.default_rng(n).integers(50257, size=[n, length]).tolist()


def body_of(number: int, tokens: Sequence[int], logprobs: int | None = None) -> dict[str, Any]:
    body = {"prompt": tokens, "max_tokens": LENGTH, "seed": number, "ignore_eos": True}
    told = {} if logprobs is None else {"logprobs": logprobs}
    return {**body, **settings_of(number), "stream_options": {"include_usage": True}, **told}


def raw_rate(engine: Engine, folder: str, rows: int, n_texts: int, logprobs: int | None) -> float:
    """Tokens/s of the scheduler alone."""
    texts, tokenizer = Texts(Batch(engine, rows)), load_tokenizer(folder)
    for warm in (True, False):
        began, first = time.perf_counter(), texts.n_drawn
        requests = (
            Request(
                n, tokens, (1, n), Sampling(**settings_of(n)), 4 if warm else LENGTH, top=logprobs
            )
            for n, tokens in enumerate(prompts(n_texts))
        )
        for _ in write_in_order(texts, (Text(request, tokenizer) for request in requests)):
            pass
    return (texts.n_drawn - first) / (time.perf_counter() - began)


def milliseconds(seconds: Sequence[float] | np.ndarray, q: float) -> float:
    return round(1e3 * float(np.percentile(seconds, q)), 1)


def between(streams: Sequence[Stream]) -> np.ndarray:
    return np.concatenate([np.diff(stream.times) for stream in streams])


async def measure(port: int, clients: int, n: int, logprobs: int | None) -> dict[str, float]:
    bodies = [body_of(*one, logprobs) for one in enumerate(prompts(n))]
    streams = await asyncio.wait_for(load(port, clients, bodies), PATIENCE)
    ended, began = max(s.times[-1] for s in streams), min(s.began for s in streams)
    assert all(stream.n_tokens == LENGTH for stream in streams)
    first = [stream.times[0] - stream.began for stream in streams]
    return {
        "tokens/s": round(n * LENGTH / (ended - began), 1),
        "TTFT p50": milliseconds(first, 50),
        "TTFT p99": milliseconds(first, 99),
        "ITL p50": milliseconds(between(streams), 50),
        "ITL p99": milliseconds(between(streams), 99),
    }


async def measure_latencies(port: int, n_trials: int) -> dict[str, float]:
    """Beside ROWS - 1 streams, in milliseconds."""
    busy = [await ask(port, body_of(*one) | {"max_tokens": 900}) for one in enumerate(prompts(31))]
    for stream in busy:
        await stream.first()
    short, waits, beside = list[float](), list[float](), list[np.ndarray]()
    for number, tokens in enumerate(prompts(n_trials)):
        stream = await ask(port, body_of(number, tokens) | {"max_tokens": 1})
        short.append(await stream.first())
        waits.append(await health(port))
    for number, tokens in enumerate(prompts(max(2, n_trials // 5), LONG)):
        at = [len(stream.times) for stream in busy]
        reading = await ask(port, body_of(number, tokens) | {"max_tokens": 1})
        while not reading.times:
            waits.append(await health(port))
            await asyncio.sleep(0.02)
        beside += [np.diff(s.times[max(0, n - 1) :]) for s, n in zip(busy, at, strict=True)]
    # One more than there are rows: it is served when another one's client goes.
    extra = [await ask(port, body_of(n, tokens)) for n, tokens in enumerate(prompts(2))]
    await extra[0].first()
    await asyncio.sleep(0.2)
    assert not extra[1].times
    went = time.perf_counter()
    busy[0].transport.abort()
    await extra[1].first()
    freed, step = extra[1].times[0] - went, float(np.median(between(busy[1:])))
    for stream in (*busy, *extra):
        stream.transport.abort()
    return {
        "TTFT with a row free, ms": milliseconds(short, 50),
        "TTFT with a row free, p99": milliseconds(short, 99),
        "ITL p99 beside a prompt of 1,000, ms": milliseconds(np.concatenate(beside), 99),
        "/health p99, ms": milliseconds(waits, 99),
        "from a disconnect to another one's first token, ms": round(1e3 * freed, 1),
        "a step then, ms": round(1e3 * step, 1),
    }


@contextlib.contextmanager
def serving(*command: str) -> Iterator[tuple[int, psutil.Process]]:
    """Its port and process."""
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        try:
            said, began = "", time.monotonic()
            while not (found := re.search(r"http://[^ ]*:(\d+)/? serves", said)):
                line = server.stderr.readline()
                assert line and time.monotonic() - began < PATIENCE, said
                said = line
            yield int(found[1]), psutil.Process(server.pid)
        finally:
            server.kill()


def idle_share(process: psutil.Process, seconds: float = 2) -> float:
    """% of a core."""
    before = sum(process.cpu_times()[:2])
    time.sleep(seconds)
    return round(100 * (sum(process.cpu_times()[:2]) - before) / seconds, 2)


def main(
    clients: Sequence[int] | int = (1, 8, 32, 64, 200), llama: bool = True, quick: bool = False
) -> None:
    counts = (1, 32) if quick else (clients,) if isinstance(clients, int) else tuple(clients)
    cases = [(k, logprobs) for k in counts for logprobs in (None, 10)]
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = str(Path(temporary, "117M"))
        make("117M", folder)
        flags = ["--model_name", folder, "--precision", "int8", "--port", "0"]
        flags += ["--rows", str(ROWS), "--queue", str(QUEUE)]
        raw: dict[tuple[int, int | None], list[float]] = {}

        def measure_raw(engine: Engine) -> None:
            for rows, told in {(min(k, ROWS), told) for k, told in cases}:
                n = rows if quick or rows < ROWS else 2 * rows
                rate = raw_rate(engine, folder, rows, n, told)
                raw.setdefault((rows, told), []).append(rate)

        with (
            load_engine(folder, "cpu", "int8") as engine,
            serving(str(ROOT / "src" / "serve_completions.py"), *flags) as (port, process),
        ):
            asyncio.run(measure(port, 4, 4, None))  # warms up
            measure_raw(engine)
            for k, told in cases:
                n = max(k, 2 * min(k, ROWS))
                report[name_of(k, told)] = asyncio.run(measure(port, k, n, told))
            measure_raw(engine)
            alone = asyncio.run(measure_latencies(port, 10 if quick else 30))
            time.sleep(1)
            alone["idle, % of a core"] = idle_share(process)
        if llama:
            peer = str(ROOT / "benchmarks" / "peers" / "llama_server.py")
            with serving(peer, folder, f"{folder}.gguf", str(ROWS)) as (port, _):
                asyncio.run(measure(port, 4, 4, None))
                for k in sorted({1, min(ROWS, max(counts))}):
                    report[f"llama.cpp, {name_of(k, None)}"] = asyncio.run(
                        measure(port, k, max(2, k), None)
                    )
    print_report(report, {case: sum(rates) / len(rates) for case, rates in raw.items()}, alone)


def name_of(clients: int, logprobs: int | None) -> str:
    return f"{clients} clients" + (", logprobs 10" if logprobs else "")


def print_report(
    report: dict[str, dict[str, float]],
    raw: dict[tuple[int, int | None], float],
    alone: dict[str, float],
) -> None:
    for name, numbers in report.items():
        if not name.startswith("llama"):
            rows, told = min(int(name.split()[0]), ROWS), 10 if "logprobs" in name else None
            numbers["raw loop"] = round(raw[rows, told], 1)
            numbers["ratio"] = round(numbers["tokens/s"] / raw[rows, told], 3)
    columns = [*next(iter(report.values()))]
    print(f"{'':28}" + "".join(f"{column:>10}" for column in columns))
    for name, numbers in report.items():
        cells = (f"{numbers[c]:,}" if c in numbers else "-" for c in columns)
        print(f"{name:28}" + "".join(f"{cell:>10}" for cell in cells))
    for name, number in alone.items():
        print(f"{name:52}{number:8,}")
    found = {**alone, "of the raw loop, at least": min(n.get("ratio", 9) for n in report.values())}
    peer = f"llama.cpp, {name_of(ROWS, None)}"
    if peer in report:
        ratio = report[name_of(ROWS, None)]["tokens/s"] / report[peer]["tokens/s"]
        found["of llama.cpp at 32, at least"] = round(ratio, 2)
    for name, asked in ASKED.items():
        if name in found:
            missed = found[name] < asked if "at least" in name else found[name] > asked
            print(f"{name}: asked {asked}, got {found[name]}{'  MISSED' if missed else ''}")
    print(json.dumps({**report, "alone": alone}))


if __name__ == "__main__":
    fire.Fire(main)
