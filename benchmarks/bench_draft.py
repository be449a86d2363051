"""float32 with a draft in int8 beside float32 alone: the same texts, in which time?

    python3 benchmarks/bench_draft.py [--folder DIR] [--rounds 3] [--only 1x128,8x128] [--pair]

The checkpoint has 117M's shape and writes as models/demo does (grow_checkpoint.py), because what a
draft saves depends on how often it is right. Both write the same samples in turn, in one process,
the first of each uncounted; ratios are medians over the rounds, and every text is compared.

- share: of the guesses at a place that were compared, how many were right
- tokens a check: what one call of float32 gives
- lookup: what a draft out of the text itself would be worth: at how many places the last tokens
  stood there before, and how often the same token followed then

With --pair, 117M's shape drafts for 345M's, both grown from models/demo, the small one with so
much noise in its weights that about 90, 75 and 60% of its guesses are right. It says nothing of how
often OpenAI's 117M guesses what 345M writes.

The last line is the same in JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.grow_checkpoint import grow  # noqa: E402

from gpt2_sampler import Batch, Engine, Request, Sampling, load_engine, load_tokenizer  # noqa: E402
from gpt2_sampler.decoding.draft import AT_ONCE, Draft  # noqa: E402

PROMPT = "Once upon a time there was a king who had three daughters. The youngest of them"
SAMPLINGS = {
    "top_k 40, 0.7": Sampling(0.7, top_k=40),
    "all": Sampling(),
    "likeliest": Sampling(0),
}
DISTURBANCES = (0.06, 0.13, 0.26)
CASES = ("1x128", "1x1000", "2x128", "4x128", "8x128")
SUFFIXES = (2, 3, 5)  # tokens
Texts = dict[int, list[int]]


class Watched(Draft):
    """Counts."""

    guessed = compared = right = checks = 0

    def learn(self, guessed: int, right: int) -> None:
        super().learn(guessed, right)
        self.guessed += guessed
        self.compared += min(guessed, right + 1)
        self.right += right
        self.checks += 1


def write(
    engine: Engine, draft: Draft | None, prompt: Sequence[int], rows: int, length: int, s: Sampling
) -> tuple[Texts, float]:
    """The texts, and the seconds that all but the first token took."""
    batch = Batch(engine, rows)
    batch._draft = draft
    for row in range(rows):
        batch.add(Request(row, prompt, (1, row), s, length))
    texts, start = defaultdict[int, list[int]](list), 0.0
    while batch:
        for token in batch.step():
            start = start or time.perf_counter()
            texts[token.request.stream[-1]].append(token.id)
    return texts, time.perf_counter() - start


def race(
    exact: Engine, fast: Engine, prompt: Sequence[int], case: str, s: Sampling, rounds: int
) -> tuple[dict[str, Any], Texts]:
    rows, length = map(int, case.split("x"))
    alone, drafted, same = list[float](), list[float](), 0
    for turn in range(rounds + 1):
        draft = Watched(fast, exact)
        expected, t_alone = write(exact, None, prompt, rows, length, s)
        texts, t_drafted = write(exact, draft, prompt, rows, length, s)
        same += sum(expected[row] == texts[row] for row in expected)
        if turn:
            alone.append(t_alone)
            drafted.append(t_drafted)
    per_token = 1e3 / (rows * (length - 1))
    found = {
        "alone": statistics.median(alone) * per_token,
        "drafted": statistics.median(drafted) * per_token,
        "ratio": statistics.median(a / d for a, d in zip(alone, drafted, strict=True)),
        "share": draft.right / max(1, draft.compared),
        "tokens a check": (draft.right + draft.checks) / max(1, draft.checks),
        "same": f"{same} of {rows * (rounds + 1)}",
    }
    return found, texts


def lookup(text: Sequence[int], n: int) -> tuple[int, int]:
    """At how many places the last n tokens had stood before, and how often the token that
    followed then, the last time, follows again."""
    followed: dict[tuple[int, ...], int] = {}
    known = right = 0
    for place in range(n, len(text)):
        last = tuple(text[place - n : place])
        if last in followed:
            known += 1
            right += followed[last] == text[place]
        followed[last] = text[place]
    return known, right


def difference(engine: Engine, text: Sequence[int]) -> float:
    """The largest difference of any logit, read one by one and as many as a check reads."""
    n = len(text) // AT_ONCE * AT_ONCE
    cache = engine.new_cache(2)
    largest = 0.0
    for start in range(0, n, AT_ONCE):
        places = range(start, start + AT_ONCE)
        together = engine.forward(
            cache, text[start : start + AT_ONCE], [0] * AT_ONCE, places, range(AT_ONCE)
        )
        single = [engine.forward(cache, [text[p]], [1], [p], [0])[0] for p in places]
        largest = max(largest, float(np.abs(together - np.stack(single)).max()))
    return largest


def race_pairs(folder: Path, cases: str, rounds: int) -> None:
    """A larger model with each of the small ones."""
    grow(str(folder / "345M"), "345M")
    exact = load_engine(folder / "345M", "cpu", "float32")
    prompt = load_tokenizer(folder / "345M").encode(PROMPT)
    results: dict[str, Any] = {}
    for disturbance in DISTURBANCES:
        small = folder / f"117M-{disturbance}"
        grow(str(small), "117M", disturbance)
        with load_engine(small, "cpu", "int8") as fast:
            for case in cases.split(","):
                name = f"{case}, disturbance {disturbance}"
                results[name], _ = race(
                    exact, fast, prompt, case, SAMPLINGS["top_k 40, 0.7"], rounds
                )
                show(name, results[name])
    print(json.dumps(results))


def show(name: str, found: dict[str, Any]) -> None:
    values = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in found.items()
    )
    print(f"{name}: {values}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "grown/117M")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--pair", action="store_true")
    options = parser.parse_args()
    if options.pair:
        return race_pairs(options.folder.parent, options.only, options.rounds)
    grow(str(options.folder))
    exact = load_engine(options.folder, "cpu", "float32")
    fast = load_engine(options.folder, "cpu", "int8")
    prompt = load_tokenizer(options.folder).encode(PROMPT)
    results: dict[str, Any] = {}
    for case in options.only.split(","):
        for name, sampling in SAMPLINGS.items():
            found, texts = race(exact, fast, prompt, case, sampling, options.rounds)
            text = [*prompt, *texts[0]]
            for n in SUFFIXES:
                known, right = lookup(text, n)
                found[f"lookup {n}"] = f"{right} of {known}"
            results[f"{case}, {name}"] = found
            show(f"{case}, {name}", found)
    results["difference"] = difference(exact, text)
    print(f"logits read {AT_ONCE} at once and one by one differ by {results['difference']:.1e}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
