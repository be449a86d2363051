"""Jobs -> their records, in order, from the machines of a Ray cluster. Knows no files of samples.

Ray starts a worker on each machine, gives blocks of jobs to idle workers, restarts dead ones and
has their blocks done again. That does no harm, as a text is the same wherever it is written.

Workers find the model by its path, which must lead to it on every machine.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import platform
import socket
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.write import Record, Written, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.engines.memory import free_memory, rows_that_fit
from gpt2_sampler.errors import CheckpointError, SamplerError, UsageError
from gpt2_sampler.files import reason
from gpt2_sampler.opening import load_tokenizer, open_model
from gpt2_sampler.packages import require
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.checkpoint import Checkpoint

LOCAL = "local"
BLOCK = 256  # jobs: four times the rows of a usual batch, so that few rows are idle at its end
PATIENCE = 10  # seconds
AHEAD = 4  # blocks per worker that may be done before an earlier one


@dataclasses.dataclass(frozen=True)
class Source:
    """The model that a worker loads, and how it is to be run."""

    path: str
    """The same on every machine."""
    step: str | None
    models_dir: str | None
    fingerprint: str
    """Of its weights, since another machine may have others at the same path."""
    device: str
    precision: str
    threads: int | None
    rows: int
    """How many texts at the same time; 0 for as many as are worth it."""


class Worker:
    """Runs the model on one machine; loads it with the first block."""

    def __init__(self, source: Source, plan: Plan) -> None:
        self._source = source
        self._plan = plan

    def write(self, number: int, jobs: Sequence[Job]) -> tuple[int, list[Record]]:
        """A block's number and jobs -> its number and records."""
        steps = write(self._batch, self._tokenizer, jobs, self._plan)
        return number, [record for step in steps for record in step.records]

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        s = self._source
        checkpoint = open_model(s.path, s.step, s.models_dir)
        if checkpoint.fingerprint != s.fingerprint:
            raise CheckpointError(f"{platform.node()} has another model at {s.path}")
        return checkpoint

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self._checkpoint)

    @cached_property
    def _batch(self) -> Batch:
        s, hparams = self._source, self._checkpoint.hparams
        rows = s.rows or rows_that_fit(hparams, s.precision, self._plan.length, free_memory())
        return Batch(load_engine(self._checkpoint, s.device, s.precision, s.threads), rows)


def write_on(address: str, source: Source, jobs: Iterable[Job], plan: Plan) -> Iterator[Written]:
    """On the cluster at the address or, for LOCAL, one that is started on this machine. Raises
    UsageError if there is no such cluster, and what a worker raises."""
    connect(address)
    import ray

    try:
        yield from spread(start_workers(source, plan), jobs)
    except ray.exceptions.RayTaskError as problem:
        raise of_worker(problem) from None
    except ray.exceptions.RayError as problem:
        raise SamplerError(f"the cluster failed: {first_line(problem)}") from None
    finally:
        ray.shutdown()


def spread(workers: Sequence[Any], jobs: Iterable[Job]) -> Iterator[Written]:
    """Gives blocks to idle workers, and holds back the records of a block until its turn."""
    from ray.util import ActorPool

    pool = ActorPool(workers)
    waiting = iter(jobs)
    few = list(itertools.islice(waiting, BLOCK * len(workers)))
    size = -(-len(few) // len(workers))  # smaller blocks if there are too few jobs for all workers
    waiting = itertools.chain(few, waiting)
    done: dict[int, list[Record]] = {}
    begun = written = 0
    while True:
        while pool.has_free() and begun < written + AHEAD * len(workers):
            block = list(itertools.islice(waiting, size))
            if not block:
                break
            pool.submit(lambda worker, numbered: worker.write.remote(*numbered), (begun, block))
            begun += 1
        if not pool.has_next():
            return
        number, records = pool.get_next_unordered()
        done[number] = records
        ready = list[Record]()
        while written in done:
            ready += done.pop(written)
            written += 1
        yield Written(sum(record["length"] for record in records), ready)


def connect(address: str) -> None:
    """Raises UsageError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address != LOCAL and has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    require("ray", "clusters need")
    import ray

    if address != LOCAL:
        require_answer(address)
    alone = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    except (ConnectionError, OSError, ValueError, RuntimeError) as problem:
        raise UsageError(f"there is no Ray cluster at {address} ({first_line(problem)})") from None


def has_token() -> bool:
    """Whether this user has a cluster's password, which `ray start` of 2.59 and later asks for
    where it finds one; ray.init() shows it only if it is told to."""
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or Path("~/.ray/auth_token").expanduser().is_file()


def require_answer(address: str) -> None:
    """Raises UsageError at once if nobody listens there; Ray would keep trying for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"a Ray cluster's address is HOST:PORT, or {LOCAL}, not {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError, ValueError) as problem:
        raise UsageError(f"there is no Ray cluster at {address:.200} ({reason(problem)})") from None


def start_workers(source: Source, plan: Plan) -> list[Any]:
    """One on every GPU if GPUs are asked for; else one on every machine or, if the threads of each
    are given, as many as it has cores for. Workers of a machine that is lost move to others."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    resource = "GPU" if source.device == "gpu" else "CPU"
    workers = []
    for node in filter(lambda node: node["Alive"], ray.nodes()):
        there = int(node["Resources"].get(resource, 0))
        each = 1 if resource == "GPU" else source.threads or there
        # A worker claims only half of the cores it uses, so that another may move here.
        claim = {"num_gpus": 1} if resource == "GPU" else {"num_cpus": each // 2 or 0.5}
        worker = ray.remote(Worker).options(
            **claim,
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=True),
        )
        workers += [worker.remote(source, plan) for _ in range(there // each if each else 0)]
    if not workers:
        raise UsageError(f"the cluster has no machine with {source.threads or 1} {resource}")
    return workers


def of_worker(problem: Any) -> SamplerError:
    """An error that a worker has met -> one of our own."""
    cause = problem.cause
    if isinstance(cause, SamplerError):
        return cause
    return SamplerError(f"a worker failed: {type(cause).__name__}: {first_line(cause)}")


def first_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0]
