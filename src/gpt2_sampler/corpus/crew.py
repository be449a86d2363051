"""Blocks of jobs -> their records, from workers on whichever machines a Ray cluster has.

Machines come and go. Ray does not restart a worker that is lost, as that would keep its block until
there is room for it; the block comes back, for whoever is left. Knows no order of records.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.joining import last_line
from gpt2_sampler.corpus.workers import Source, Worker
from gpt2_sampler.corpus.write import Record
from gpt2_sampler.errors import ClusterError, SamplerError, UsageError

TICK, LOOK = 0.5, 2  # seconds: the longest wait for an answer, and between looks at the machines
SOON, LATE = 5, 30  # seconds without a worker until it is said: where cores are busy, and anywhere
PATIENCE = 10  # seconds in which a first machine may come back, or another one come
TRIES = 3  # workers in a row that die on one machine, which is then left alone
DEATHS = 8  # workers that die of the same block

Tell = Callable[[str], None]
"""Shows the person a line."""


class Block(NamedTuple):
    """Jobs that a worker is given together."""

    number: int
    jobs: Sequence[Job]


class Done(NamedTuple):
    block: Block
    records: list[Record]


@dataclasses.dataclass(eq=False)
class Member:
    """A worker as the driver sees it."""

    machine: str
    actor: Any
    answer: Any
    """The reference to what it is asked for; None when it is idle."""
    block: Block | None = None
    has_started: bool = False


class Machines:
    """Those of a cluster that this process has joined."""

    def __init__(self, head: str, resource: str) -> None:
        """head is the address of the first machine; resource is CPU or GPU."""
        import ray

        self._head, self._resource = head, resource
        self._own = ray.get_runtime_context().get_node_id()
        self._answered = time.monotonic()

    def list(self) -> dict[str, int] | None:
        """Machine -> how many of the resource it has; None while the first machine does not answer.
        Raises ClusterError if it does not for long, or if this machine is no longer one of them."""
        import ray

        now = time.monotonic()
        if not self._head_answers():  # Ray would wait for it, and then end the process
            if now - self._answered > PATIENCE:
                raise ClusterError(f"the cluster's first machine, {self._head}, is gone")
            return None
        self._answered = now
        alive = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        if self._own not in alive:
            raise ClusterError(f"this machine is no longer in the cluster at {self._head}")
        return {name: int(there.get(self._resource, 0)) for name, there in alive.items()}

    def n_free(self) -> float:
        """How many of the resource nobody holds."""
        import ray

        return float(ray.available_resources().get(self._resource, 0))

    def _head_answers(self) -> bool:
        host, _, port = self._head.rpartition(":")
        with contextlib.suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), timeout=TICK).close()
            return True
        return False


class Crew:
    """The workers: one on every GPU if GPUs are asked for; else one on every machine or, if the
    threads of each are given, as many as it has cores for."""

    def __init__(self, head: str, source: Source, plan: Plan, tell: Tell) -> None:
        """Raises UsageError if the cluster has no machine for a worker."""
        self._head, self._source, self._plan, self._tell = head, source, plan, tell
        self._resource = "GPU" if source.device == "gpu" else "CPU"
        self._machines = Machines(head, self._resource)
        self._there: dict[str, int] = {}
        self.members: list[Member] = []
        self._lost: list[Block] = []
        self._deaths = collections.Counter[str | int]()
        """Of a machine's workers since one of them has done a block; of those that had a block."""
        self._problem: object = ""
        """What the last worker has died of."""
        self._looked = self._manned = self._at_work = time.monotonic()
        """When the machines were looked at, had members, and had one at work."""
        self._has_told = False
        self._look()
        if not self.members:
            need = f"{source.threads or 1} {self._resource}"
            raise UsageError(f"the cluster has no machine with {need}")

    @property
    def idle(self) -> list[Member]:
        return [member for member in self.members if member.answer is None]

    def give(self, member: Member, block: Block) -> None:
        member.block = block
        member.answer = member.actor.write.remote(block.jobs)

    def wait(self) -> tuple[list[Done], list[Block]]:
        """Waits a moment -> the blocks that are done, and those that were lost with their worker.
        Raises what a worker raises, and ClusterError once there can be no worker any more."""
        import ray

        if time.monotonic() - self._looked >= LOOK:
            self._look()
        asked = {member.answer: member for member in self.members if member.answer is not None}
        if not asked:
            time.sleep(TICK)
            return [], self._take_lost()
        done = []
        for answer in ray.wait(list(asked), timeout=TICK)[0]:
            member = asked[answer]
            try:
                records = ray.get(answer)
            except ray.exceptions.RayTaskError as problem:
                raise of_worker(problem) from None
            except ray.exceptions.RayError as problem:
                self._lose(member, problem)
                continue
            if member.block is not None:
                done.append(Done(member.block, records))
                self._deaths[member.machine] = 0
            member.answer = member.block = None
            member.has_started = True
        return done, self._take_lost()

    def _look(self) -> None:
        """Lets go of workers whose machine is gone, and starts others where there is room."""
        self._looked = time.monotonic()
        there = self._machines.list()
        if there is None:
            return
        self._there = there
        for member in [member for member in self.members if member.machine not in there]:
            self._lose(member, "its machine is gone")
        n_members = collections.Counter(member.machine for member in self.members)
        for machine in there:
            if self._deaths[machine] < TRIES:
                missing = self._n_places(machine) - n_members[machine]
                self.members += [self._start(machine) for _ in range(missing)]
        self._mention_waiting()
        if self.members:
            self._manned = self._looked
        elif any(self._deaths[machine] >= TRIES for machine in there):
            raise ClusterError(f"workers die on every machine ({last_line(self._problem)})")
        elif self._looked - self._manned > PATIENCE:
            raise ClusterError(f"no machine is left in the cluster at {self._head}")

    def _n_places(self, machine: str) -> int:
        """How many workers it has room for."""
        there = self._there[machine]
        return there // self._n_used(machine) if there else 0

    def _n_used(self, machine: str) -> int:
        """How many of its cores, or GPUs, a worker uses."""
        return 1 if self._resource == "GPU" else self._source.threads or self._there[machine]

    def _n_claimed(self, machine: str) -> float:
        """Of how many a worker has to be given. It begins with half of the cores that it uses:
        where somebody holds a few of them, they are shared."""
        used = self._n_used(machine)
        return 1 if self._resource == "GPU" else used // 2 or 0.5

    def _start(self, machine: str) -> Member:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        claim = {f"num_{self._resource.lower()}s": self._n_claimed(machine)}
        worker = ray.remote(Worker).options(
            **claim,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(machine, soft=False),
        )
        actor = worker.remote(self._source, self._plan)
        return Member(machine, actor, actor.start.remote())

    def _lose(self, member: Member, problem: object) -> None:
        """Raises ClusterError if that happens again and again with the same block."""
        import ray

        self.members.remove(member)
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(member.actor)
        self._deaths[member.machine] += 1
        self._problem = problem
        if member.block is not None:
            self._lost.append(member.block)
            self._deaths[member.block.number] += 1
            if self._deaths[member.block.number] >= DEATHS:
                raise ClusterError(f"{DEATHS} workers died of a block ({last_line(problem)})")

    def _take_lost(self) -> list[Block]:
        lost, self._lost = self._lost, []
        return lost

    def _mention_waiting(self) -> None:
        """Says it once when for a while no worker has room."""
        if any(member.has_started for member in self.members):
            self._at_work, self._has_told = self._looked, False
            return
        waited = self._looked - self._at_work
        if self._has_told or not self.members or waited < SOON:
            return
        least = min(self._n_claimed(member.machine) for member in self.members)
        are_held = self._machines.n_free() < least
        if are_held or waited > LATE:
            n = sum(self._n_used(member.machine) for member in self.members)
            what = f"{n} {'GPU' if self._resource == 'GPU' else 'core'}{'s' * (n != 1)}"
            why = ", which others hold" if are_held else " to start a worker"
            self._tell(f"waiting for {what} of {self._head}{why}")
            self._has_told = True


def of_worker(problem: Any) -> SamplerError:
    """An error that a worker has met -> one of our own."""
    cause = problem.cause
    if isinstance(cause, SamplerError):
        return cause
    return SamplerError(f"a worker failed: {type(cause).__name__}: {last_line(cause)}")
