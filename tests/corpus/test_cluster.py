"""A cluster writes what one machine writes, also when a worker dies midway."""

from __future__ import annotations

import builtins
import os
import signal
import threading
import time

import psutil
import pytest

from gpt2_sampler import load_tokenizer
from gpt2_sampler.corpus.cluster import LOCAL, Source, write_on
from gpt2_sampler.corpus.jobs import Plan, out_of_nothing
from gpt2_sampler.corpus.write import Piece, Record, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import DEMO

PLAN = Plan(seed=3, first=5, samples=600, length=40, sampling=Sampling(top_k=40))
START = 4095


def records(pieces: list[Piece]) -> list[Record]:
    return [record for piece in pieces for record in piece.records]


def kill_a_worker(killed: list[int]) -> None:
    """Once there is one, and it has had a moment to begin."""
    while not killed:
        for process in psutil.Process().children(recursive=True):
            if "ray::Worker" in " ".join(process.cmdline() or [process.name()]):
                time.sleep(1)
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                return
        time.sleep(0.1)


def test_a_worker_that_is_killed_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(builtins, "print", print)  # Ray puts its own there
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")]))
    checkpoint = open_checkpoint(DEMO)
    source = Source(str(DEMO), None, None, checkpoint.fingerprint, "cpu", "float32", 1, 8)
    killed: list[int] = []
    threading.Thread(target=kill_a_worker, args=(killed,), daemon=True).start()
    written = records(list(write_on(LOCAL, source, out_of_nothing(START, PLAN), PLAN)))
    assert killed
    batch = Batch(load_engine(checkpoint, "cpu"), 8)
    alone = write(batch, load_tokenizer(DEMO), out_of_nothing(START, PLAN), PLAN)
    assert written == records(list(alone))
