"""A worker of a cluster: blocks of jobs -> their records, on the machine where it runs.

Knows nothing of the cluster. It finds the model by its path, which must lead to it on every
machine.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from functools import cached_property

from gpt2_sampler.corpus.jobs import Job, Plan
from gpt2_sampler.corpus.write import Record, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.engines.memory import free_memory, rows_that_fit
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.opening import load_tokenizer, open_model
from gpt2_sampler.tokenizer.load import Tokenizer
from gpt2_sampler.weights.checkpoint import Checkpoint


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
    draft: DraftSource | None = None
    """The model that guesses tokens for this one, if one does."""


@dataclasses.dataclass(frozen=True)
class DraftSource:
    path: str
    step: str | None
    fingerprint: str


class Worker:
    """Runs the model; loads it with the first block."""

    def __init__(self, source: Source, plan: Plan) -> None:
        self._source = source
        self._plan = plan

    def start(self) -> None:
        """Returns as soon as there is a process for the worker."""

    def write(self, jobs: Sequence[Job]) -> list[Record]:
        steps = write(self._batch, self._tokenizer, jobs, self._plan)
        return [record for step in steps for record in step.records]

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return self._open(self._source)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self._checkpoint)

    @cached_property
    def _batch(self) -> Batch:
        s, hparams = self._source, self._checkpoint.hparams
        rows = s.rows or rows_that_fit(hparams, s.precision, self._plan.length, free_memory())
        engine = load_engine(self._checkpoint, s.device, s.precision, s.threads)
        return Batch(engine, rows, self._load_draft())

    def _load_draft(self) -> Engine | None:
        if self._source.draft is None:
            return None
        checkpoint = self._open(self._source.draft)
        return load_engine(checkpoint, "cpu", "int8", self._source.threads)

    def _open(self, model: Source | DraftSource) -> Checkpoint:
        """Raises CheckpointError if this machine has another model at the path."""
        checkpoint = open_model(model.path, model.step, self._source.models_dir)
        if checkpoint.fingerprint != model.fingerprint:
            raise CheckpointError(f"{platform.node()} has another model at {model.path}")
        return checkpoint
