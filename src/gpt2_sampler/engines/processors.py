"""The processors of this machine that the process may use -> how many threads are worth it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

from gpt2_sampler.engines.cgroups import ROOT, group_processors, read

KINDS = ("flags", "vendor_id", "cpu family", "model\t", "Features", "CPU implementer", "CPU part")


def physical_cores(root: Path = ROOT) -> int:
    """One for each physical core that the process may run on, as far as its control groups grant
    it their time. On a Mac only the fast cores count: one that waits for a slow one is none."""
    return max(1, int(min(cores(root), group_processors(root))))


def cores(root: Path) -> int:
    if sys.platform == "darwin" and (fast := performance_cores()):
        return fast
    allowed = allowed_processors()
    siblings = root / "sys/devices/system/cpu"
    try:
        return len(
            {(siblings / f"cpu{n}/topology/thread_siblings_list").read_text() for n in allowed}
        )
    except OSError:
        import psutil

        return min(psutil.cpu_count(logical=False) or len(allowed), len(allowed))


def allowed_processors() -> set[int]:
    """The numbers of the processors that the process may run on: all where no system says so."""
    if sys.platform == "linux":  # psutil takes as long to import as the model to load
        return os.sched_getaffinity(0)
    import psutil

    try:
        return set(psutil.Process().cpu_affinity())
    except (AttributeError, OSError, psutil.Error):
        return set(range(os.cpu_count() or 1))


def performance_cores() -> int:
    """How many fast cores a Mac with Apple's processors has; 0 for other machines."""
    return int.from_bytes(sysctl("hw.perflevel0.physicalcpu"), sys.byteorder)


def processor_kind(root: Path = ROOT) -> str:
    """What distinguishes processors that differ in the instructions they have."""
    lines = read(root / "proc/cpuinfo").splitlines()
    told = [line for line in lines if line.startswith(KINDS)]
    if sys.platform == "darwin":
        told = [sysctl("machdep.cpu.brand_string").decode(errors="replace")]
    elif sys.platform == "win32":
        told = [platform.processor()]
    return "\n".join([platform.machine(), *sorted({*told})])


def sysctl(name: str) -> bytes:
    """What a Mac says of itself, nothing for a name that it does not know."""
    value, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
    try:
        call = ctypes.CDLL(None).sysctlbyname
    except AttributeError:
        return b""
    failed = call(name.encode(), value, ctypes.byref(size), None, 0)
    return b"" if failed else value.raw[: size.value]
