"""Measures every size of GPT-2 on a CPU: how fast it writes, what memory and disk it takes.

For 117M, 345M, 774M and 1558M with random weights, in float32 and int8:

- prepare: seconds to make the file that the engine runs, once for each model; its size in MB
- start: seconds from an existing file to a model that is ready
- prefill: tokens/s of reading a prompt of 256
- ms a token, one text and 4 at once, median of 32 tokens after that prompt; the first 2 warm up
- MB: most memory of that process that nothing else could have (RssAnon, looked at every 5 ms,
  and the size of the packed weights, which are mapped);
  and what gpt2_sampler.engines.memory foretells, which must not be less
- set: tokens/s of as many texts at once as a corpus of 1,024 tokens each is written in (32 where
  they fit half of the free memory), in the middle of them, at position 512; median of 7 steps

What bounds it: each token reads every weight once, so ms a token is at least the weights' bytes
by the memory's bandwidth. A size that does not fit the free memory is left out, and named.

    python3 benchmarks/bench_sizes.py [--sizes 117M,345M] [--precisions int8] [--folder DIR]

Each measurement is a process of its own. Models are made in the folder one at a time, and what the
engine runs in the user's cache; both are deleted after use. 1558M takes 6.2 GB in each. The last
line is the same in JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.make_checkpoint import SIZES  # noqa: E402

from gpt2_sampler import Engine, load_engine  # noqa: E402
from gpt2_sampler.engines.engine import Cache  # noqa: E402
from gpt2_sampler.engines.litert.export import discard, export_model  # noqa: E402
from gpt2_sampler.engines.litert.packed import SUFFIX  # noqa: E402
from gpt2_sampler.engines.load import PRECISIONS  # noqa: E402
from gpt2_sampler.engines.memory import free_memory, memory_needed, rows_that_fit  # noqa: E402
from gpt2_sampler.weights.checkpoint import open_checkpoint  # noqa: E402
from gpt2_sampler.weights.hparams import HParams  # noqa: E402
from gpt2_sampler.weights.huggingface import save_huggingface  # noqa: E402

PROMPT, WARM_UP, MEASURED = 256, 2, 32  # tokens
ROWS = 4
MIDDLE, STEPS = 512, 7
COLUMNS = (
    *("size", "precision", "prepare s", "file MB", "start s", "prefill tok/s", "ms 1 row"),
    *("tok/s 1 row", "ms 4 rows", "tok/s 4 rows", "MB", "foretold MB"),
    *("set rows", "set tok/s"),
)


class RandomWeights(dict[str, np.ndarray]):
    """Made when asked for: 1558M has 6 GB of them."""

    def __init__(self, hparams: HParams) -> None:
        super().__init__()
        self.shapes = hparams.variable_shapes()
        self.random = np.random.default_rng(0)

    def __missing__(self, name: str) -> np.ndarray:
        weight = self.random.standard_normal(self.shapes[name], np.float32)
        weight *= np.float32(0.02)
        return weight + np.float32(name.endswith("/g"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    print("  ".join(f"{column:>13}" for column in COLUMNS))
    rows = []
    for size in arguments.sizes.split(","):
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=f"gpt2-{size}-") as folder:
            save_huggingface(Path(folder), SIZES[size], RandomWeights(SIZES[size]), {})
            for precision in arguments.precisions.split(","):
                need = memory_needed(SIZES[size], precision, ROWS, SIZES[size].n_ctx)
                if need > psutil.virtual_memory().available:
                    print(f"{size} {precision}: {need / 1e6:,.0f} MB are not free; left out")
                    continue
                # One process to prepare, another to measure: preparing leaves memory behind.
                command = [sys.executable, __file__, "--measure", folder, precision]
                try:
                    prepared = json.loads(subprocess.check_output(command))
                    measured = json.loads(subprocess.check_output(command))
                finally:
                    discard(open_checkpoint(folder))
                row = [size, precision, prepared["prepare s"], *list(measured.values())[1:]]
                rows.append(dict(zip(COLUMNS, row, strict=True)))
                print("  ".join(f"{value:>13}" for value in row), flush=True)
    print(json.dumps(rows))


def measure(folder: str, precision: str) -> dict[str, float]:
    most = [0]
    began = time.monotonic()
    checkpoint = open_checkpoint(folder)
    path = export_model(checkpoint, precision).path
    load_engine(checkpoint, "cpu", precision).close()  # packs the weights
    prepared = time.monotonic()
    threading.Thread(target=watch, args=(most,), daemon=True).start()
    engine = load_engine(checkpoint, "cpu", precision)
    ready = time.monotonic()
    random = np.random.default_rng(1)
    prompt = random.integers(engine.hparams.n_vocab, size=PROMPT).tolist()
    cache = engine.new_cache(1)
    for _ in range(2):  # the first warms up
        started = time.monotonic()
        engine.forward(cache, prompt, [0] * PROMPT, range(PROMPT), [PROMPT - 1])
        read = time.monotonic() - started
    milliseconds = []
    for rows in (1, ROWS):
        cache = engine.new_cache(rows)
        engine.forward(cache, prompt, [0] * PROMPT, range(PROMPT), [])
        engine.copy(cache, 0, range(1, rows), PROMPT)
        steps = [
            measure_seconds(engine, cache, rows, PROMPT + step)
            for step in range(WARM_UP + MEASURED)
        ]
        milliseconds.append(statistics.median(steps[WARM_UP:]))
    packed = max(path.parent.glob(f"{path.stem}-*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
    memory = most[0] + packed.stat().st_size
    hparams = engine.hparams
    many = rows_that_fit(hparams, precision, hparams.n_ctx, free_memory())
    cache = engine.new_cache(many)
    prompt = random.integers(hparams.n_vocab, size=MIDDLE).tolist()
    engine.forward(cache, prompt, [0] * MIDDLE, range(MIDDLE), [])
    engine.copy(cache, 0, range(1, many), MIDDLE)
    step_of_set = statistics.median(
        measure_seconds(engine, cache, many, MIDDLE + step) for step in range(STEPS)
    )
    foretold = memory_needed(hparams, precision, ROWS, PROMPT + WARM_UP + MEASURED)
    return {
        "prepare s": round(prepared - began, 1),
        "file MB": round(path.stat().st_size / 1e6),
        "start s": round(ready - prepared, 2),
        "prefill tok/s": round(PROMPT / read),
        "ms 1 row": round(milliseconds[0], 1),
        "tok/s 1 row": round(1e3 / milliseconds[0], 1),
        "ms 4 rows": round(milliseconds[1], 1),
        "tok/s 4 rows": round(ROWS * 1e3 / milliseconds[1], 1),
        "MB": round(memory / 1e6),
        "foretold MB": round(foretold / 1e6),
        "set rows": many,
        "set tok/s": round(1e3 * many / step_of_set),
    }


def measure_seconds(engine: Engine, cache: Cache, rows: int, position: int) -> float:
    """Milliseconds of a step in which each row reads a token and its logits are wanted."""
    started = time.perf_counter()
    engine.forward(cache, [5] * rows, range(rows), [position] * rows, range(rows))
    return 1e3 * (time.perf_counter() - started)


def watch(most: list[int]) -> None:
    """Keeps the most bytes of anonymous memory that it saw."""
    while True:
        status = Path("/proc/self/status").read_text().split()
        most[0] = max(most[0], int(status[status.index("RssAnon:") + 1]) * 1024)
        time.sleep(0.005)


if __name__ == "__main__":
    main()
