"""On a cluster the records are those of one machine, whichever workers are lost."""

from __future__ import annotations

import dataclasses
import random

import pytest

from gpt2_sampler.corpus import cluster
from gpt2_sampler.corpus.cluster import Blocks, spread
from gpt2_sampler.corpus.crew import Block, Done
from gpt2_sampler.corpus.jobs import Job, Plan, out_of_nothing
from gpt2_sampler.corpus.write import Record
from gpt2_sampler.decoding.sampling import Sampling

PLAN = Plan(seed=3, first=0, samples=100, length=13, sampling=Sampling())


@dataclasses.dataclass(eq=False)
class FakeMember:
    block: Block | None = None


class FakeCrew:
    """Its members end their blocks in any order, are lost and come back."""

    def __init__(self, n_members: int, seed: int) -> None:
        self.members = [FakeMember() for _ in range(n_members)]
        self._random = random.Random(seed)
        self.n_lost = 0

    @property
    def idle(self) -> list[FakeMember]:
        return [member for member in self.members if member.block is None]

    def give(self, member: FakeMember, block: Block) -> None:
        assert member in self.members
        assert member.block is None
        member.block = block

    def wait(self) -> tuple[list[Done], list[Block]]:
        done, lost = [], []
        for member in list(self.members):
            fate = self._random.random()
            if member.block is not None and fate < 0.3:
                done.append(Done(member.block, [record_of(job) for job in member.block.jobs]))
                member.block = None
            elif fate > 0.8:
                self.members.remove(member)
                lost += [member.block] if member.block else []
        if self._random.random() < 0.4:
            self.members.append(FakeMember())
        self.n_lost += len(lost)
        return done, lost


def record_of(job: Job) -> Record:
    return {"sample": job.sample, "length": 1}


@pytest.mark.parametrize("seed", range(20))
def test_whoever_is_lost_each_record_is_written_once_and_in_order(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "BLOCK", 7)
    crew = FakeCrew(3, seed)
    steps = list(spread(crew, out_of_nothing(0, PLAN)))  # type: ignore[arg-type]
    records = [record for step in steps for record in step.records]
    assert records == [record_of(job) for job in out_of_nothing(0, PLAN)]
    assert sum(step.tokens for step in steps) == 100
    assert crew.n_lost


def test_few_jobs_are_shared_by_all_workers_and_many_are_cut_into_blocks() -> None:
    def sizes(n_jobs: int, n_workers: int) -> list[int]:
        plan = dataclasses.replace(PLAN, samples=n_jobs)
        blocks = Blocks(out_of_nothing(0, plan), n_workers)
        return [len(block.jobs) for block in iter(lambda: blocks.take(1000), None)]

    assert sizes(10, 4) == [3, 3, 3, 1]
    assert sizes(600, 2) == [256, 256, 88]
    plan = dataclasses.replace(PLAN, samples=1)
    nothing = Blocks(iter(()), 2)
    assert not nothing.are_left()
    assert Blocks(out_of_nothing(0, plan), 5).are_left()


def test_no_block_is_begun_that_is_far_ahead_unless_it_was_lost() -> None:
    blocks = Blocks(out_of_nothing(0, PLAN), 100)
    first, second = blocks.take(2), blocks.take(2)
    assert first and second and blocks.take(2) is None
    blocks.give_back([second, first])
    assert blocks.take(0) == first
    assert blocks.take(0) == second
    assert blocks.take(0) is None
