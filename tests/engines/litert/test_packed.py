"""Weights are packed once for each kind of machine, and never read wrongly."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpt2_sampler import load_engine
from gpt2_sampler.engines.litert import engine, export, packed
from gpt2_sampler.engines.litert.stamps import stamp_of
from tests.checkpoints import ROOT, random_checkpoint

TEXT = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return random_checkpoint(tmp_path / "model")


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is packed, whenever it is."""
    made = []
    make = packed.make

    def counted(path: Path, pack: Callable[[Path], object], room: int) -> None:
        made.append(path)
        make(path, pack, room)

    monkeypatch.setattr(packed, "make", counted)
    return made


def logits(folder: Path, precision: str = "float32") -> np.ndarray:
    return load_engine(folder, "cpu", precision).logits(TEXT)


def files() -> list[Path]:
    return sorted(export.cache_folder().glob(f"*{packed.SUFFIX}"))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_packed_once_or_in_memory_the_logits_are_the_same(
    folder: Path, precision: str, packs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = logits(folder, precision)
    np.testing.assert_array_equal(logits(folder, precision), first)
    assert files() == packs and len(packs) == 1
    monkeypatch.setattr(engine, "packed_weights", lambda *_: None)
    np.testing.assert_array_equal(logits(folder, precision), first)


def test_machines_that_share_a_home_have_a_file_each(
    folder: Path, packs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(folder)
    monkeypatch.setattr(packed, "processor_kind", lambda: "flags: others")
    np.testing.assert_array_equal(logits(folder), expected)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
    logits(folder)
    assert len({*packs}) == len(packs) == len(files()) == 2


def test_another_version_of_litert_has_another_file(
    folder: Path, packs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits(folder)
    assert packed.litert_version() == importlib.metadata.version("ai-edge-litert")
    monkeypatch.setattr(packed, "litert_version", lambda: "9.9")
    logits(folder)
    assert len({*packs}) == 2


@pytest.mark.parametrize("cut", [0, 1, 100, 10_000])
def test_a_damaged_file_is_made_again(folder: Path, cut: int, packs: list[Path]) -> None:
    expected = logits(folder)
    [path] = files()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    np.testing.assert_array_equal(logits(folder), expected)
    assert path.read_bytes() == whole and len(packs) == 2


def test_a_flipped_bit_is_noticed_though_the_time_is_set_back(
    folder: Path, packs: list[Path]
) -> None:
    expected = logits(folder)
    [path] = files()
    status, whole = path.stat(), bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    np.testing.assert_array_equal(logits(folder), expected)
    assert len(packs) == 2


@pytest.mark.skipif(os.name != "posix", reason="has owners")
def test_a_file_of_another_user_is_not_mapped(
    folder: Path, packs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits(folder)
    inode, status = files()[0].stat().st_ino, Path.lstat

    def lstat(path: Path) -> os.stat_result:
        numbers = list(status(path))
        if numbers[1] == inode:
            numbers[4] = os.geteuid() + 1
        return os.stat_result(numbers)

    monkeypatch.setattr(Path, "lstat", lstat)
    logits(folder)
    assert len(packs) == 2


def full(*_: object) -> SimpleNamespace:
    return SimpleNamespace(free=0)


def fail(*_: object) -> None:
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    ("module", "name", "broken"), [(shutil, "disk_usage", full), (os, "fsync", fail)]
)
def test_without_room_for_it_weights_are_packed_in_memory(
    folder: Path, module: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = logits(folder)
    for path in files():
        path.unlink()
    monkeypatch.setattr(module, name, broken)
    np.testing.assert_array_equal(logits(folder), expected)
    assert not files() and not [*export.cache_folder().glob("*.part")]


def test_files_of_models_that_are_gone_and_unused_ones_are_swept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits(folder)
    [current] = files()
    unused = current.with_name(current.name.replace("float32-", "float32-0."))
    orphan = current.with_name("0123456789abcdef-int8-2.3.0-01234567.packed")
    for path, days in ((unused, 31), (orphan, 1)):
        path.touch()
        stamp_of(path).touch()
        os.utime(stamp_of(path), (time.time() - days * 86400,) * 2)
    packed.sweep_packed(current.parent)
    assert files() == [current]
    assert [*current.parent.glob("*.packed.stamp")] == [stamp_of(current)]


def test_processes_that_start_at_once_pack_once(folder: Path) -> None:
    script = f"""
from gpt2_sampler import load_engine
from gpt2_sampler.engines.litert import packed
make = packed.make
packed.make = lambda *given, room: (print("packed"), make(*given, room))
load_engine({str(folder)!r}, "cpu").logits({TEXT})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    runs = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
        for _ in range(4)
    ]
    assert b"".join(run.communicate()[0] for run in runs).count(b"packed") == 1
    assert all(run.returncode == 0 for run in runs)


def test_litert_says_nothing_on_stderr(folder: Path) -> None:
    script = f"from gpt2_sampler import load_engine; load_engine({str(folder)!r}).logits([1, 2])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, env=environment, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
