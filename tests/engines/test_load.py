"""A request leads to one engine, which is decided in one place."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_sampler.engines import load
from gpt2_sampler.engines.litert.engine import LiteRTEngine
from gpt2_sampler.engines.load import find_device, load_engine
from gpt2_sampler.errors import EngineError, OutOfMemory, UsageError
from gpt2_sampler.opening import load_tokenizer
from tests.checkpoints import ROOT, random_checkpoint


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
    pytest.importorskip("tensorflow")
    monkeypatch.setattr(load, "has_driver", lambda: driver)
    monkeypatch.setattr("gpt2_sampler.engines.tensorflow.engine.sees_gpu", lambda: seen)
    assert find_device(device, precision) == leads_to


def test_a_gpu_that_is_not_there_is_said_in_one_line(model: Path) -> None:
    pytest.importorskip("tensorflow")
    with pytest.raises(EngineError, match="no GPU on this machine"):
        load_engine(model, "gpu")


def test_without_memory_for_the_model_one_line_says_so(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(load, "open_model", full)
    with pytest.raises(OutOfMemory, match="does not fit the memory that is left") as error:
        load_engine(model, "cpu")
    assert error.value.facts == {"change": ["precision"]}


@pytest.mark.skipif(sys.platform != "linux", reason="limits its address space")
@pytest.mark.parametrize("megabytes", [1, 8, 30, 60, 100, 200, 400])
def test_a_limited_address_space_ends_in_one_line_or_in_logits(model: Path, megabytes: int) -> None:
    script = f"""
import resource, numpy
from gpt2_sampler import SamplerError, load_engine
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + ({megabytes} << 20),) * 2)
try:
    print(load_engine({str(model)!r}, "cpu").logits([1, 2, 3]).shape)
except SamplerError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("(3,") or re.search("memory|room|loaded", told.stdout), told


def test_wsl_passes_windows_gpu_on(tmp_path: Path) -> None:
    assert not load.has_driver(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "dxg").touch()  # any GPU
    assert not load.has_driver(tmp_path)
    (tmp_path / "usr/lib/wsl/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/wsl/lib/libcuda.so.1").touch()
    assert load.has_driver(tmp_path)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes packages look as if they were not installed."""

    def hide(*packages: str) -> None:
        for package in packages:
            monkeypatch.setitem(sys.modules, package, None)

    return hide


def test_a_gpu_without_tensorflow(
    model: Path, without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "has_driver", lambda: True)
    without("tensorflow")
    assert find_device("auto", "float32") == "cpu"
    with pytest.raises(EngineError, match="tensorflow, which is not installed") as error:
        load_engine(model, "gpu")
    assert error.value.facts["package"] == "tensorflow"


def test_where_there_is_no_litert_tensorflow_runs_the_model(
    model: Path, without: Callable[..., None]
) -> None:
    pytest.importorskip("tensorflow")
    expected = load_engine(model).logits([1, 2, 3])
    without("ai_edge_litert")
    engine = load_engine(model)
    assert not isinstance(engine, LiteRTEngine)
    np.testing.assert_allclose(engine.logits([1, 2, 3]), expected, atol=1e-4)
    with pytest.raises(EngineError, match="TensorFlow runs float32 only") as error:
        load_engine(model, precision="int8")
    assert error.value.facts["fits"] == {"precision": "float32"}


@pytest.mark.parametrize(
    ("system", "machine", "says", "package"),
    [
        ("linux", "x86_64", "LiteRT is not installed, and Tensor", "ai-edge-litert"),
        ("darwin", "x86_64", "LiteRT is not made for darwin on x86_64, and Tensor", "tensorflow"),
    ],
)
def test_with_neither_one_line_says_what_this_platform_can_do(
    system: str, machine: str, says: str, package: str,
    model: Path, without: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    without("ai_edge_litert", "tensorflow")
    with pytest.raises(EngineError, match=says) as error:
        load_engine(model)
    assert error.value.facts["package"] == package


@pytest.mark.parametrize(
    ("system", "says"),
    [
        ("win32", r"needs Microsoft's Visual C\+\+ runtime, which this machine lacks; install it"),
        ("linux", "cannot be loaded .*DLL load failed"),
    ],
)
def test_a_litert_that_cannot_be_loaded_is_one_line(
    system: str, says: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "gpt2_sampler.engines.litert.engine":
                raise ImportError("DLL load failed while importing _pywrap:\nnot found")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "gpt2_sampler.engines.litert.engine")
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(EngineError, match=says) as error:
        load_engine(model, "cpu", threads=1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "tpu"}, "device must be one of auto, cpu, gpu, not 'tpu'"),
        ({"device": 3}, "device must be one of auto, cpu, gpu, not 3"),
        ({"device": None}, "device must be .*, not None"),
        ({"device": "gpu", "precision": "int8"}, "precision int8 is for the CPU"),
        ({"precision": "int4"}, "precision must be one of float32, int8, not 'int4'"),
        ({"precision": 8}, "precision must be .*, not 8"),
        ({"threads": 0}, "threads must be 1 or more, not 0"),
        ({"threads": 100_000}, "threads must be at most 1024, not 100000"),
        ({"threads": 1.5}, "threads must be .*, not 1.5"),
        ({"threads": "2"}, "threads must be .*, not '2'"),
        ({"threads": True}, "threads must be .*, not True"),
        ({"model": 3}, "a model is a path, .*, not 3"),
        ({"model": None}, "a model is a path, .*, not None"),
        ({"model": ""}, "there is no model ''"),
        ({"model": "dmo"}, "did you mean demo"),
    ],
)
def test_wrong_values_are_refused_by_name(model: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_engine(**{"model": model, **options})


@pytest.mark.parametrize("wrong", [3, None, b"demo", ["demo"]])
def test_a_tokenizer_is_of_a_path_or_a_name(wrong: Any) -> None:
    with pytest.raises(UsageError, match="a model is a path, or a name of one that is here"):
        load_tokenizer(wrong)


def test_models_are_found_by_name_from_any_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_engine("demo").hparams.n_vocab == load_tokenizer("demo").n_vocab
    shutil.copytree(model, tmp_path / "models" / "mine")
    assert load_engine("mine").hparams == load_engine(str(model)).hparams
