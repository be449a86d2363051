"""What Linux grants this process's control group, and those that it is in -> processors and bytes.

Reads version 1 and version 2. root is another place for "/", for tests. Elsewhere there are no
groups, and so no limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
MEMORY = (
    ("memory.max", "memory.current", ""),
    ("memory.high", "memory.current", ""),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
)
"""The files of a limit and of what counts against it, and how memory.stat names all of a group."""


def group_processors(root: Path = ROOT) -> float:
    """How many processors' time the process may use, inf if no group limits it."""
    return min(map(processors_of, groups("cpu", root)), default=math.inf)


def group_memory(root: Path = ROOT) -> float:
    """The bytes that the process may still use, inf if no group limits it."""
    return min(map(memory_of, groups("memory", root)), default=math.inf)


def groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the process's own group and of all above it, as far as they can be seen."""
    paths = {
        name: path
        for line in read(root / "proc/self/cgroup").splitlines()
        for _, names, path in [line.split(":", 2)]
        for name in names.split(",")
    }
    kind = "cgroup" if controller in paths else "cgroup2"
    path = paths.get(controller, paths.get(""))  # version 2 has one group for all controllers
    for line in read(root / "proc/self/mountinfo").splitlines():
        mount, _, rest = line.partition(" - ")
        seen, place = mount.split()[3:5]
        file_system, _, options = rest.split(maxsplit=2)
        if path is None or file_system != kind:
            continue
        if kind == "cgroup2" or controller in options.split(","):
            top = root / place.lstrip("/")
            own = top / inside(path, seen)
            yield from (
                own,
                *(folder for folder in own.parents if top in (folder, *folder.parents)),
            )


def inside(path: str, seen: str) -> PurePosixPath:
    """A group's path from the group that is mounted, which in a container is often its own."""
    group = PurePosixPath(path)
    if ".." in group.parts or not group.is_relative_to(seen):
        return PurePosixPath()
    return group.relative_to(seen)


def processors_of(folder: Path) -> float:
    quota, _, period = read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us")
    granted = number(quota) / number(period)  # microseconds; in version 1 -1 means no limit
    return granted if granted > 0 else math.inf


def memory_of(folder: Path) -> float:
    return min(
        number(read(folder / limit))
        - number(read(folder / used), 0)
        + file_cache_of(folder, prefix)
        for limit, used, prefix in MEMORY
    )


def file_cache_of(folder: Path, prefix: str) -> float:
    """The bytes of files in memory, which make room when they must."""
    words = dict(line.partition(" ")[::2] for line in read(folder / "memory.stat").splitlines())
    names = (f"{prefix}active_file", f"{prefix}inactive_file")
    return sum(number(words.get(name, ""), 0) for name in names)


def number(text: str, otherwise: float = math.inf) -> float:
    """ "max", and what is missing, is no limit."""
    return float(text) if text.strip().lstrip("-").isdecimal() else otherwise


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # not Linux, another version, or not to be seen
        return ""
