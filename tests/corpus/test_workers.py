"""A worker writes what one machine writes, with the model that it was told, or refuses."""

from __future__ import annotations

from typing import Any

import pytest

from gpt2_sampler.corpus import workers
from gpt2_sampler.corpus.jobs import Plan, out_of_nothing
from gpt2_sampler.corpus.workers import DraftSource, Source, Worker
from gpt2_sampler.corpus.write import Record, write
from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.opening import load_tokenizer, open_model
from gpt2_sampler.weights.checkpoint import Checkpoint
from tests.checkpoints import DEMO, ROOT

PLAN = Plan(seed=3, first=0, samples=6, length=13, sampling=Sampling(top_k=7))
START = 4095
JOBS = list(out_of_nothing(START, PLAN))


def source(**changes: Any) -> Source:
    values = {
        "path": str(DEMO),
        "step": None,
        "models_dir": None,
        "fingerprint": open_model(DEMO).fingerprint,
        "device": "cpu",
        "precision": "float32",
        "threads": 1,
        "rows": 4,
    }
    return Source(**values | changes)


@pytest.fixture(scope="module")
def here() -> list[Record]:
    """What one machine writes."""
    steps = write(Batch(load_engine(DEMO), 32), load_tokenizer(DEMO), JOBS, PLAN)
    return [record for step in steps for record in step.records]


def test_blocks_come_out_as_on_one_machine(here: list[Record]) -> None:
    worker = Worker(source(), PLAN)
    assert worker.write(JOBS[:2]) + worker.write(JOBS[2:]) == here


def test_a_draft_guesses_in_a_worker_and_changes_nothing(
    here: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(checkpoint: Checkpoint, device: str, precision: str, threads: int | None) -> Engine:
        loaded.append(precision)
        return load_engine(checkpoint, device, precision, threads)

    monkeypatch.setattr(workers, "load_engine", load)
    draft = DraftSource(str(DEMO), None, open_model(DEMO).fingerprint)
    worker = Worker(source(draft=draft), PLAN)
    assert worker.write(JOBS) == here
    assert loaded == ["float32", "int8"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": "another"}, f"has another model at {DEMO}"),
        ({"draft": DraftSource(str(DEMO), None, "another")}, f"has another model at {DEMO}"),
        ({"path": str(ROOT / "tests")}, "tests"),
    ],
)
def test_a_machine_that_has_not_the_model_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Worker(source(**changes), PLAN).write(JOBS)
