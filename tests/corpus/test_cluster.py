"""On a cluster the records are those of one machine, whoever dies."""

from __future__ import annotations

import builtins
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpt2_sampler.corpus import cluster
from gpt2_sampler.corpus.cluster import Source, connect, spread, start_workers, write_on
from gpt2_sampler.corpus.jobs import Job, Plan, out_of_nothing
from gpt2_sampler.corpus.write import Record, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import CheckpointError, UsageError
from gpt2_sampler.opening import load_tokenizer, open_model
from tests.checkpoints import DEMO, ROOT

PLAN = Plan(seed=3, first=0, samples=150, length=13, sampling=Sampling(top_k=7))
START = 4095
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's


@pytest.fixture(autouse=True)
def print_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray puts its own in the place of print, and leaves it there."""
    monkeypatch.setattr(builtins, "print", print)


def source(**changes: Any) -> Source:
    values = {
        "path": str(DEMO),
        "step": None,
        "models_dir": None,
        "fingerprint": open_model(DEMO).fingerprint,
        "device": "cpu",
        "precision": "int8",
        "threads": 1,
        "rows": 7,
    }
    return Source(**values | changes)


def here(jobs: Iterator[Job]) -> list[Record]:
    """On this machine alone."""
    batch = Batch(load_engine(DEMO, "cpu", "int8"), 32)
    pieces = write(batch, load_tokenizer(DEMO), jobs, PLAN)
    return [record for piece in pieces for record in piece.records]


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [one for one in children if "ray::Worker" in " ".join(one.cmdline())]


def test_two_workers_one_of_which_is_killed_write_what_one_machine_writes(
    two_workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "BLOCK", 11)
    workers = start_workers(source(), PLAN)
    assert len(workers) == 2
    pieces = spread(workers, out_of_nothing(START, PLAN))
    records = list(next(pieces).records)
    killed = worker_processes()[0]
    os.kill(killed.pid, signal.SIGKILL)
    for piece in pieces:
        records += piece.records
    assert not killed.is_running()
    assert len(worker_processes()) == 2
    assert records == here(out_of_nothing(START, PLAN))


def test_a_failure_of_a_worker_is_told_in_its_own_words(
    two_workers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "connect", lambda address: None)
    for changes, message in (
        ({"fingerprint": "another"}, "has another model at "),
        ({"path": str(ROOT / "tests")}, "tests"),
    ):
        with pytest.raises(CheckpointError, match=message):
            list(write_on("local", source(**changes), out_of_nothing(START, PLAN), PLAN))
        two_workers.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)


def test_an_address_where_nobody_listens_is_a_mistake_at_once() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UsageError, match=f"no Ray cluster at {address}"):
        connect(address)
    with pytest.raises(UsageError, match="HOST:PORT, or local, not 'somewhere'"):
        connect("somewhere")
    for impossible in ("a..b:1", f"{'x' * 70}.org:1", f"here:{'9' * 5000}"):
        with pytest.raises(UsageError, match="there is no Ray cluster at"):
            connect(impossible)


def test_a_token_that_is_there_is_shown_to_the_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not cluster.has_token()
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert cluster.has_token()
