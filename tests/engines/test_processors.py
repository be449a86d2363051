"""A thread for each core that the process may really use."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from gpt2_sampler.engines import processors
from gpt2_sampler.engines.processors import physical_cores
from tests.engines.test_cgroups import V2, make_tree


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """4 cores of 2 processors each: 0 and 4 are one core, 1 and 5 the next. The process's group is
    granted the time of 3."""
    for n in range(8):
        core = tmp_path / f"sys/devices/system/cpu/cpu{n}/topology"
        core.mkdir(parents=True)
        (core / "thread_siblings_list").write_text(f"{n % 4},{n % 4 + 4}\n")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8 if logical else 4)
    return make_tree(tmp_path, "0::/job\n", V2, {"job/cpu.max": "300000 100000"})


@pytest.mark.parametrize(
    ("allowed", "cores"),
    [({0}, 1), ({0, 4}, 1), ({0, 1}, 2), ({0, 1, 4, 5, 6}, 3), (set(range(8)), 3)],
)
def test_threads_are_those_of_affinity_and_quota(
    machine: Path, allowed: set[int], cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "allowed_processors", lambda: allowed)
    assert physical_cores(machine) == cores


def test_less_than_one_processor_is_one(machine: Path) -> None:
    (machine / "sys/fs/cgroup/job/cpu.max").write_text("20000 100000")
    assert physical_cores(machine) == 1


def test_without_topology_there_are_at_most_as_many_as_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr(processors, "allowed_processors", lambda: {3, 5})
    assert physical_cores(tmp_path) == 2
    monkeypatch.setattr(processors, "allowed_processors", lambda: set(range(8)))
    assert physical_cores(tmp_path) == 4
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    assert physical_cores(tmp_path) == 8


def test_a_mac_counts_its_fast_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def sysctlbyname(name: bytes, value: object, size: object, *_: object) -> int:
        asked.append(name)
        ctypes.memmove(value, (6).to_bytes(4, sys.byteorder), 4)  # type: ignore[arg-type]
        size._obj.value = 4  # type: ignore[attr-defined]
        return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(sysctlbyname=sysctlbyname))
    assert physical_cores(tmp_path) == 6
    assert asked == [b"hw.perflevel0.physicalcpu"]


def test_processors_differ_by_their_kind_and_their_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / "proc").mkdir()
    kinds = []
    for model, speed, flags in ((33, 2400, "avx2"), (33, 3300, "avx2"), (33, 2400, "avx2 vnni")):
        core = f"vendor_id\t: A\nmodel\t\t: {model}\ncpu MHz\t\t: {speed}\nflags\t\t: {flags}\n"
        (tmp_path / "proc/cpuinfo").write_text(core * 2)
        kinds.append(processors.processor_kind(tmp_path))
    assert kinds[0] == kinds[1] != kinds[2]
    assert kinds[2].splitlines()[1:] == ["flags\t\t: avx2 vnni", "model\t\t: 33", "vendor_id\t: A"]
    for system, module, name, told in (
        ("darwin", processors, "sysctl", b"Apple M1"),
        ("win32", platform, "processor", "Apple M1"),
    ):
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(module, name, lambda *_, told=told: told)
        assert processors.processor_kind(tmp_path).splitlines()[1:] == ["Apple M1"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_what_taskset_leaves_is_what_counts() -> None:
    import os

    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert physical_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
