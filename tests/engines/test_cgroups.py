"""What a group of processes may use is found in both of Linux's versions, however deep it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from gpt2_sampler.engines.cgroups import group_memory, group_processors

V2 = "41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = """30 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 {seen} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 {seen} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
"""
JOB = "/user.slice/job.scope"


def make_tree(root: Path, cgroup: str, mounts: str, files: Mapping[str, str]) -> Path:
    """A machine's "/", as far as control groups are in it."""
    for name, text in {
        "proc/self/cgroup": cgroup,
        "proc/self/mountinfo": mounts,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, math.inf),
        ({"job.scope/memory.max": "max\n"}, math.inf),
        ({"job.scope/memory.max": "9000\n"}, 9000),
        ({"job.scope/memory.max": "9000\n", "job.scope/memory.current": "7000\n"}, 2000),
        ({"job.scope/memory.max": "9000\n", "memory.max": "5000\n"}, 5000),  # a group above it
        ({"job.scope/memory.max": "9000\n", "job.scope/memory.high": "4000\n"}, 4000),
        (
            {
                "job.scope/memory.max": "9000\n",
                "job.scope/memory.current": "7000\n",
                "job.scope/memory.stat": "anon 6000\nactive_file 300\ninactive_file 200\nshmem 9\n",
            },
            2500,
        ),
    ],
)
def test_memory_is_that_of_the_strictest_group(
    files: Mapping[str, str], left: float, tmp_path: Path
) -> None:
    named = {f"user.slice/{name}": text for name, text in files.items()}
    root = make_tree(tmp_path, f"0::{JOB}\n", V2, named)
    assert group_memory(root) == left


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        (JOB, "/"),
        ("/docker/f00", "/docker/f00"),  # a container that shows its own group at the top
        ("/docker/f00/inner", "/docker/f00"),
        ("/../..", "/"),  # a group outside of what the process sees
        ("/elsewhere", "/docker/f00"),
    ],
)
def test_version_1_has_a_tree_for_each_controller(path: str, seen: str, tmp_path: Path) -> None:
    group = path.removeprefix(seen).strip("/") if path.startswith(seen) and ".." not in path else ""
    root = make_tree(
        tmp_path,
        f"9:name=systemd:/\n4:memory:{path}\n2:cpu,cpuacct:{path}\n0::/\n",
        V1.format(seen=seen),
        {
            f"memory/{group}/memory.limit_in_bytes": "9000\n",
            f"memory/{group}/memory.usage_in_bytes": "6000\n",
            f"memory/{group}/memory.stat": "total_active_file 390\ntotal_inactive_file 10\n",
            f"cpu,cpuacct/{group}/cpu.cfs_quota_us": "150000\n",
            f"cpu,cpuacct/{group}/cpu.cfs_period_us": "100000\n",
        },
    )
    assert group_memory(root) == 3400
    assert group_processors(root) == 1.5


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({}, math.inf),
        ({"user.slice/job.scope/cpu.max": "max 100000\n"}, math.inf),
        ({"user.slice/job.scope/cpu.max": "250000 100000\n"}, 2.5),
        ({"user.slice/job.scope/cpu.max": "250000 100000\n", "user.slice/cpu.max": "100 100\n"}, 1),
    ],
)
def test_processors_are_those_of_the_strictest_group(
    files: Mapping[str, str], processors: float, tmp_path: Path
) -> None:
    assert group_processors(make_tree(tmp_path, f"0::{JOB}\n", V2, files)) == processors


def test_no_limit_in_version_1_is_a_negative_quota(tmp_path: Path) -> None:
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    root = make_tree(tmp_path, "4:memory:/\n2:cpu,cpuacct:/\n", V1.format(seen="/"), files)
    assert group_processors(root) == math.inf
    assert group_memory(root) > 1 << 60


def test_where_there_are_no_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert group_memory(tmp_path) == group_processors(tmp_path) == math.inf
