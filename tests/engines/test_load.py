"""A request leads to one engine, which is decided in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpt2_sampler.engines import load
from gpt2_sampler.engines.litert.engine import LiteRTEngine
from gpt2_sampler.engines.load import find_device, load_engine
from gpt2_sampler.errors import EngineError, UsageError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import random_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_cpu_is_served_by_litert_at_either_precision(model: Path, precision: str) -> None:
    assert isinstance(load_engine(model, "auto", precision), LiteRTEngine)


@pytest.mark.parametrize(
    ("device", "precision", "driver", "seen", "leads_to"),
    [
        ("auto", "float32", False, False, "cpu"),
        ("auto", "float32", True, True, "gpu"),
        ("auto", "float32", True, False, "cpu"),  # a driver that TensorFlow cannot use
        ("auto", "int8", True, True, "cpu"),
        ("cpu", "float32", True, True, "cpu"),
        ("gpu", "float32", False, True, "gpu"),
    ],
)
def test_what_runs_it_is_known_before_it_is_loaded(
    device: str,
    precision: str,
    driver: bool,
    seen: bool,
    leads_to: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "has_driver", lambda: driver)
    monkeypatch.setattr("gpt2_sampler.engines.tensorflow.engine.sees_gpu", lambda: seen)
    assert find_device(device, precision) == leads_to


def test_a_gpu_that_is_not_there_is_said_in_one_line(model: Path) -> None:
    with pytest.raises(EngineError, match="no GPU on this machine"):
        load_engine(model, "gpu")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "tpu"}, "device must be one of auto, cpu, gpu, not 'tpu'"),
        ({"device": "gpu", "precision": "int8"}, "precision int8 is for the CPU"),
        ({"precision": "int4"}, "precision must be one of float32, int8, not 'int4'"),
    ],
)
def test_unknown_choices_are_refused(model: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_engine(model, **options)  # type: ignore[arg-type]


def test_a_folder_may_be_given_as_text(model: Path) -> None:
    assert load_engine(str(model), "cpu").hparams == open_checkpoint(model).hparams
