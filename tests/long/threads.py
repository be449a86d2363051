"""Many threads on one engine -> how many texts they wrote, each held to what it is alone.

    python -m tests.long.threads [--minutes 5] [--threads 8] [--seed 1]

Each thread adds texts to batches of its own and cancels some at random moments; in the middle the
process forks, and in the end the engine is closed under their hands.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.request import Request
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import EngineError, UsageError
from tests.checkpoints import random_checkpoint

TEXTS, LENGTH = 12, 9
GREEDY = Sampling(top_k=1)
ROUNDING = 1e-3
"""A text may go on otherwise only where the two likeliest tokens are nearer than this."""


class Writer(threading.Thread):
    """Writes texts until the engine is closed; error is what else ended it."""

    def __init__(self, engine: Engine, texts: list[list[int]], seed: int) -> None:
        super().__init__(daemon=True)
        self.engine, self.texts, self.random = engine, texts, random.Random(seed)
        self.written = 0
        self.error: BaseException | None = None
        self.was_told = False

    def run(self) -> None:
        try:
            while True:
                self.write()
        except UsageError as error:
            self.was_told = "closed" in str(error)
        except BaseException as error:
            self.error = error

    def write(self) -> None:
        batch = Batch(self.engine, self.random.randint(1, 4))
        drawn: dict[int, list[int]] = {}
        for _ in range(self.random.randint(5, 40)):
            number = self.random.randrange(len(self.texts))
            if number not in batch and self.random.random() < 0.5:
                drawn[number] = []
                batch.add(Request(number, self.texts[number][:-LENGTH], (0,), GREEDY, LENGTH))
            elif number in batch and self.random.random() < 0.2:
                batch.cancel(number)
            for token in batch.step():
                assert isinstance(token.request.id, int)
                drawn[token.request.id].append(token.id)
        for number, tokens in drawn.items():
            self.check(number, tokens)

    def check(self, number: int, tokens: list[int]) -> None:
        prompt, expected = self.texts[number][:-LENGTH], self.texts[number][-LENGTH:]
        for place, (token, right) in enumerate(zip(tokens, expected, strict=False)):
            if token != right:
                logits = self.engine.logits([*prompt, *expected[:place]])[-1]
                assert logits[right] - logits[token] < ROUNDING, (number, tokens, expected)
                return
        self.written += 1


def write_alone(engine: Engine, seed: int) -> list[list[int]]:
    """Prompts and how they go on, one after another."""
    n_vocab, texts = engine.hparams.n_vocab, []
    for number in range(TEXTS):
        numbers = np.random.default_rng([seed, number])
        text = numbers.integers(n_vocab, size=numbers.integers(1, 12)).tolist()
        for _ in range(LENGTH):
            text.append(int(engine.logits(text)[-1].argmax()))
        texts.append(text)
    return texts


def fork(engine: Engine) -> bool:
    """Whether a process forked while others read is told that it cannot, and ends."""
    child = os.fork()
    if child == 0:
        try:
            engine.logits([1])
        except EngineError:
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def stress(engine: Engine, threads: int, seconds: float, seed: int) -> int:
    """The texts that were written. Raises AssertionError for a wrong one, and what a thread met."""
    texts = write_alone(engine, seed)
    writers = [Writer(engine, texts, seed + n) for n in range(threads)]
    for writer in writers:
        writer.start()
    time.sleep(seconds / 2)
    assert not hasattr(os, "fork") or fork(engine)
    time.sleep(seconds / 2)
    engine.close()
    for writer in writers:
        writer.join(60)
        if writer.error is not None:
            raise writer.error
        assert writer.was_told, "a thread that does not end"
    return sum(writer.written for writer in writers)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = random_checkpoint(Path(folder) / "model")
        for precision in ("float32", "int8"):
            engine = load_engine(model, "cpu", precision)
            written = stress(engine, asked.threads, 30 * asked.minutes, asked.seed)
            print(f"{precision}: {written} texts by {asked.threads} threads, all right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
