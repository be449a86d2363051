"""gpt2-serve under load: tokens/s beside the raw loop, times to the first token and between tokens.

    python3 benchmarks/bench_serve.py [--clients 1,8,32,64] [--precision int8] [--quick]

Random weights in the shape of 117M, 32 rows, prompts of 16 tokens, 128 new ones, every request with
a seed and settings of its own, streamed over loopback to an asyncio client in another process. As
in vLLM's benchmark, TTFT is from sending a request to its first token, and ITL between two of its
tokens. The raw loop is the scheduler with as many texts in one process, before and after: what the
server and the client take of the processor beside it is what the ratio shows.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.make_checkpoint import make

from gpt2_sampler import Batch, Request, Sampling, Text, load_engine
from gpt2_sampler.decoding.scheduler import Texts, write_in_order

ROOT = Path(__file__).resolve().parents[1]
ROWS, PROMPT, LENGTH, SEED = 32, 16, 128, 1


def settings_of(number: int) -> dict[str, Any]:
    return {"temperature": 0.5 + number % 40 / 50, "top_k": 20 + number % 60, "top_p": 0.95}


def prompts(n: int) -> list[list[int]]:
    random = np.random.default_rng(SEED)
    return random.integers(50257, size=[n, PROMPT]).tolist()


def raw_rate(folder: str, precision: str, n_texts: int) -> float:
    """Tokens/s of the scheduler alone."""
    with load_engine(folder, "cpu", precision) as engine:
        texts = Texts(Batch(engine, ROWS))
        for warm in (True, False):
            began, first = time.perf_counter(), texts.n_drawn
            requests = (
                Text(Request(n, tokens, (SEED, n), Sampling(**settings_of(n)), LENGTH))
                for n, tokens in enumerate(prompts(ROWS if warm else n_texts))
            )
            for _ in write_in_order(texts, requests):
                pass
        return (texts.n_drawn - first) / (time.perf_counter() - began)


async def ask(port: int, number: int, tokens: Sequence[int], logprobs: int | None) -> list[float]:
    """The times of a request and of each of its tokens, in seconds."""
    body = {"prompt": tokens, "max_tokens": LENGTH, "seed": number, "ignore_eos": True}
    body |= {"stream": True, "logprobs": logprobs if logprobs is not None else 0}
    content = json.dumps({**body, **settings_of(number)}).encode()
    times = [time.perf_counter()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (port, len(content))
    )
    writer.write(content)
    while line := await reader.readline():
        if line.startswith(b"data: {"):
            times.append(time.perf_counter())
    writer.close()
    assert len(times) == LENGTH + 1, (len(times), line)
    return times


async def load(port: int, clients: int, n_requests: int, logprobs: int | None) -> list[list[float]]:
    waiting = iter(list(enumerate(prompts(n_requests))))
    found: list[list[float]] = []

    async def client() -> None:
        for number, tokens in waiting:
            found.append(await ask(port, number, tokens, logprobs))

    await asyncio.gather(*(client() for _ in range(clients)))
    return found


def summary(found: Sequence[Sequence[float]]) -> dict[str, float]:
    first = [times[1] - times[0] for times in found]
    between = np.concatenate([np.diff(times[1:]) for times in found])
    seconds = max(times[-1] for times in found) - min(times[0] for times in found)
    return {
        "tokens/s": round(len(found) * LENGTH / seconds, 1),
        "TTFT p50 ms": round(1e3 * float(np.percentile(first, 50)), 1),
        "TTFT p99 ms": round(1e3 * float(np.percentile(first, 99)), 1),
        "ITL p50 ms": round(1e3 * float(np.percentile(between, 50)), 1),
        "ITL p99 ms": round(1e3 * float(np.percentile(between, 99)), 1),
    }


def main(
    clients: Sequence[int] | int = (1, 8, 32, 64), precision: str = "int8", quick: bool = False
) -> None:
    counts = (1, 32) if quick else (clients,) if isinstance(clients, int) else tuple(clients)
    with tempfile.TemporaryDirectory() as folder:
        make("117M", folder)
        n_texts = 64 if quick else 128
        rates = [raw_rate(folder, precision, n_texts)]
        report = {
            f"{k} clients{', logprobs 10' if logprobs else ''}": run_server(
                folder, precision, k, min(n_texts, 8 * k), logprobs
            )
            for k in counts
            for logprobs in ((None, 10) if k == ROWS else (None,))
        }
        rates.append(raw_rate(folder, precision, n_texts))
    print(f"raw loop, {ROWS} rows: {rates[0]:,.0f} and {rates[1]:,.0f} tokens/s")
    for name, numbers in report.items():
        share = numbers["tokens/s"] / (sum(rates) / 2)
        shown = "  ".join(f"{key} {value:,}" for key, value in numbers.items())
        print(f"{name:24}  {shown}  {share:.2f} of the raw loop")
    print(json.dumps({"raw": rates, **report}))


def run_server(
    folder: str, precision: str, clients: int, n_requests: int, logprobs: int | None
) -> dict[str, float]:
    flags = ["--model_name", folder, "--precision", precision, "--port", "0", "--rows", str(ROWS)]
    command = [sys.executable, str(ROOT / "src" / "serve_completions.py"), *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = re.search(r":(\d+) serves", server.stderr.readline())
        assert said is not None
        try:
            asyncio.run(load(int(said[1]), min(clients, 4), 4, logprobs))  # warms up
            return summary(asyncio.run(load(int(said[1]), clients, n_requests, logprobs)))
        finally:
            server.terminate()


if __name__ == "__main__":
    fire.Fire(main)
