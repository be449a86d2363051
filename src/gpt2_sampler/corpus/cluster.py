"""Jobs -> their records, in order, from the machines of a Ray cluster. Knows no files of samples.

The machines are given blocks of jobs. A text is the same wherever it is written, and so it does no
harm that the block of a machine that is lost is done again.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

from gpt2_sampler.corpus.crew import Block, Crew, Tell
from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.joining import RAISED, join, last_line, leave
from gpt2_sampler.corpus.workers import Source
from gpt2_sampler.corpus.write import Record, Written
from gpt2_sampler.errors import ClusterError

BLOCK = 256  # jobs: four times the rows of a usual batch, so that few rows are idle at its end
AHEAD = 4  # blocks per worker that may be done before an earlier one


def write_on(
    address: str, source: Source, jobs: Iterable[Job], plan: Plan, tell: Tell
) -> Iterator[Written]:
    """On the cluster at the address or, for LOCAL, one that is started on this machine. Raises
    UsageError if there is no such cluster, ClusterError if it is lost, and what a worker raises."""
    head = join(address)
    import ray

    try:
        yield from spread(Crew(head, source, plan, tell), jobs)
    except ray.exceptions.RayError as problem:
        raise ClusterError(f"the cluster failed ({last_line(problem)})") from None
    except SystemExit as end:
        raise RAISED.pop() if RAISED else end from None
    finally:
        leave()


def spread(crew: Crew, jobs: Iterable[Job]) -> Iterator[Written]:
    """Gives blocks to idle workers, and holds back the records of a block until its turn."""
    blocks = Blocks(jobs, len(crew.members))
    done: dict[int, list[Record]] = {}
    written = 0
    while written < blocks.n_begun or blocks.are_left():
        for member in crew.idle:
            block = blocks.take(written + AHEAD * len(crew.members))
            if block is None:
                break
            crew.give(member, block)
        ended, lost = crew.wait()
        blocks.give_back(lost)
        done |= {block.number: records for block, records in ended}
        ready = list[Record]()
        while written in done:
            ready += done.pop(written)
            written += 1
        yield Written(sum(record["length"] for _, records in ended for record in records), ready)


class Blocks:
    """Jobs in blocks, in order, but for those that were given back, which come first."""

    def __init__(self, jobs: Iterable[Job], n_workers: int) -> None:
        jobs = iter(jobs)
        few = list(itertools.islice(jobs, BLOCK * n_workers))
        # Smaller blocks if there are too few jobs for all workers.
        self._size = -(-len(few) // n_workers)
        self._jobs = itertools.chain(few, jobs)
        self._back: list[Block] = []
        self.n_begun = 0

    def take(self, end: int) -> Block | None:
        """The next block, if its number is below the end."""
        if not self._back and (self.n_begun >= end or not self.are_left()):
            return None
        return heapq.heappop(self._back)

    def give_back(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            heapq.heappush(self._back, block)

    def are_left(self) -> bool:
        """Whether any can be taken."""
        if not self._back and (jobs := list(itertools.islice(self._jobs, self._size))):
            heapq.heappush(self._back, Block(self.n_begun, jobs))
            self.n_begun += 1
        return bool(self._back)
