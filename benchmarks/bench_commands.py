"""What a person waits for: from typing a command to its first characters, and many samples on
stdout beside a file.

    python3 benchmarks/bench_commands.py [--folder DIR] [--rounds 5] [--only first,stdout]

Random weights in the shape of 117M, whose exports and packed weights are there already, as at each
start but the first. Python keeps compiled modules, as it does by default.

- first: seconds from starting gpt2-generate to the first characters of its sample, through a pipe;
  beside them a Python that imports NumPy, which no start can go below
- stdout: tokens/s of `gpt2-generate --batch_size 32 --nsamples 64 --length 256`, of the whole
  process, to stdout and to --output in turns, and of the scheduler in this process

The last line is the same in JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.make_checkpoint import make  # noqa: E402

from gpt2_sampler import Batch, Request, Sampling, Text, load_engine, load_tokenizer  # noqa: E402
from gpt2_sampler.decoding.scheduler import Texts, write_in_order  # noqa: E402

PRECISIONS = ("float32", "int8")
ROWS, SAMPLES, LENGTH, SEED = 32, 64, 256, 1
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def main(folder: str = "", rounds: int = 5, only: str = "first,stdout") -> None:
    folder = folder or str(Path(tempfile.gettempdir()) / "random/117M")
    make("117M", folder)
    results: dict[str, float] = {}
    if "first" in only:
        results |= first_characters(folder, rounds)
    if "stdout" in only:
        for precision in PRECISIONS:
            results |= rates(folder, precision, rounds)
    for name, value in results.items():
        print(f"{name:24}{value:10.3f}")
    print(json.dumps(results))


def command(folder: str, precision: str, *more: str) -> list[str]:
    script = str(ROOT / "src/generate_unconditional_samples.py")
    return [sys.executable, script, "--model_name", folder, "--precision", precision, *more]


def first_characters(folder: str, rounds: int) -> dict[str, float]:
    """Medians, in seconds. The first round is not counted."""
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for precision in PRECISIONS:
            seconds = until_first(command(folder, precision, "--nsamples", "1", "--length", "50"))
            times.setdefault(f"{precision}, first", []).extend([seconds] * (turn > 0))
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import numpy"], check=True, env=ENVIRONMENT)
        times.setdefault("import numpy", []).append(time.perf_counter() - start)
    return {name: statistics.median(all_) for name, all_ in times.items()}


def until_first(words: list[str]) -> float:
    """Seconds until there is something after the line that is the sample's header."""
    start, out = time.perf_counter(), b""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    ) as process:
        assert process.stdout
        while not out.partition(b"\n")[2]:
            piece = os.read(process.stdout.fileno(), 1 << 12)
            assert piece, "the command ended before its first characters"
            out += piece
        seconds = time.perf_counter() - start
        process.kill()
    return seconds


def rates(folder: str, precision: str, rounds: int) -> dict[str, float]:
    """Tokens/s to stdout, to a file and of the loop, in turns: medians. The first round is not
    counted."""
    times: dict[str, list[float]] = {"stdout": [], "--output": [], "loop": []}
    words = command(folder, precision, "--batch_size", str(ROWS), "--nsamples", str(SAMPLES))
    words += ["--length", str(LENGTH), "--seed", str(SEED), "--ignore_eot"]
    with tempfile.TemporaryDirectory() as kept:
        for turn in range(rounds + 1):
            output = ["--output", f"{kept}/{turn}.jsonl"]
            seconds = {
                "stdout": whole(words),
                "--output": whole([*words, *output]),
                "loop": loop(folder, precision),
            }
            for name, one in seconds.items():
                times[name] += [one] * (turn > 0)
    n_tokens = SAMPLES * LENGTH
    return {f"{precision}, {name}": n_tokens / statistics.median(t) for name, t in times.items()}


def whole(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(words, check=True, env=ENVIRONMENT, capture_output=True)
    return time.perf_counter() - start


def loop(folder: str, precision: str) -> float:
    """Seconds that the scheduler takes for the same samples, with the loading of the model."""
    start = time.perf_counter()
    tokenizer = load_tokenizer(folder)
    with load_engine(folder, "cpu", precision) as engine:
        begin = [tokenizer.end_of_text or 0]
        texts = (
            Text(Request(n, begin, (SEED, n), Sampling(), LENGTH), tokenizer)
            for n in range(SAMPLES)
        )
        for _ in write_in_order(Texts(Batch(engine, ROWS)), texts):
            pass
    return time.perf_counter() - start


if __name__ == "__main__":
    fire.Fire(main)
