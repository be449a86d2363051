"""The exported file is made once, kept while it is right, and made again when it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler import load_engine
from gpt2_sampler.engines.litert import export
from gpt2_sampler.errors import EngineError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from tests.checkpoints import PRIMES, ROOT, random_checkpoint, random_weights

TEXT = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(original, tmp_path / "model"))


def exported(folder: Path) -> Path:
    return export.exported(folder, open_checkpoint(folder), "float32")


def test_the_file_lies_in_the_models_folder_and_is_made_once(folder: Path) -> None:
    path = exported(folder)
    assert path == folder / "litert" / "float32.tflite"
    made = path.stat().st_mtime_ns
    assert exported(folder) == path
    assert path.stat().st_mtime_ns == made


def test_nothing_but_the_file_and_its_lock_is_left(folder: Path) -> None:
    exported(folder)
    names = {path.name for path in (folder / "litert").iterdir()}
    assert names == {"float32.tflite", "float32.tflite.lock"}


def test_other_weights_make_it_stale(folder: Path, tmp_path: Path) -> None:
    load_engine(folder, "cpu")
    other = random_checkpoint(tmp_path / "other", seed=1)
    for path in other.iterdir():
        path.replace(folder / path.name)
    from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

    np.testing.assert_allclose(
        load_engine(folder, "cpu").logits(TEXT),
        TensorFlowEngine(folder, "cpu").logits(TEXT),
        atol=1e-4,
    )


def test_a_new_exporter_makes_it_stale(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported(folder)
    before = path.read_bytes()
    monkeypatch.setattr(export, "EXPORTER", (*export.EXPORTER, "export.py"))
    exported(folder)
    assert path.read_bytes() != before


@pytest.mark.parametrize("kept", [0, 1, 35, 36, 1000, -1])
def test_a_file_cut_short_is_made_again(folder: Path, kept: int) -> None:
    path = exported(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    exported(folder)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("at", [0, 5, 0.3, 0.9, -1, -20, -40])
def test_a_flipped_bit_anywhere_makes_it_again(folder: Path, at: float) -> None:
    path = exported(folder)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(at * len(whole)) if isinstance(at, float) else at] ^= 1
    path.write_bytes(damaged)
    exported(folder)
    assert path.read_bytes() == whole


def test_a_read_only_folder_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may write everywhere, a plain file stands where the folder would be made."""
    (folder / "litert").write_text("in the way")
    path = exported(folder)
    assert path.is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert exported(folder) == path


def test_nowhere_to_write_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "litert").write_text("in the way")
    (folder / "cache").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    with pytest.raises(EngineError, match="set XDG_CACHE_HOME to a folder that can") as error:
        exported(folder)
    assert "\n" not in str(error.value)


def test_a_failed_export_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpt2_sampler.engines.litert.graph.build", fail)
    with pytest.raises(KeyboardInterrupt):
        exported(folder)
    assert [path.name for path in (folder / "litert").iterdir()] == ["float32.tflite.lock"]


def test_processes_that_start_at_once_make_one_whole_file(folder: Path) -> None:
    """Each waits for the same moment, then loads the model and prints a checksum of its logits."""
    program = f"""
import logging, sys, time, zlib
sys.path.insert(0, {str(ROOT / "src")!r})
from gpt2_sampler import load_engine
import gpt2_sampler.engines.litert.engine
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(message)s")
time.sleep(max(0, {time.time() + 3} - time.time()))
print(zlib.crc32(load_engine({str(folder)!r}, "cpu").logits({TEXT}).tobytes()))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, results
    assert len({out for out, _ in results}) == 1
    assert sum("prepared in" in err for _, err in results) == 1


def test_large_weights_are_read_when_they_are_written_not_before(folder: Path) -> None:
    """What keeps an export's memory near the size of one matrix."""
    from gpt2_sampler.engines.litert.graph import build

    weights = random_weights(PRIMES)
    file = build(weights, PRIMES, "float32")
    assert all(buffer.data is None for buffer, _ in file.weights)
