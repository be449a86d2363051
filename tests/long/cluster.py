"""Runs on a Ray cluster of several nodes on this machine, which are killed and added meanwhile.

    python -m tests.long.cluster [SCENE ...]

Needs ray, and takes some minutes. Each run must end with the bytes that one machine writes, or say
in a line how to go on; afterwards nothing may be left running.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

# Ray's workers are nice by default: beside other work they would not come to theirs.
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_AUTH_MODE": "disabled",
}
PATIENCE = 240  # seconds
GOES_ON = "the same command goes on"
COMMAND = [
    sys.executable,
    "-c",
    "from gpt2_sampler.corpus import cluster; cluster.BLOCK = 16\n"
    "from gpt2_sampler.cli.commands.start import generate; raise SystemExit(generate())",
    *("--model_name", "demo", "--precision", "int8", "--threads", "1"),
    *("--nsamples", "1280", "--length", "60", "--seed", "3"),
]


class Nodes:
    """A cluster whose head has no cores, so that all nodes that write can be lost."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        self._nodes.append(self._cluster.add_node(num_cpus=1))

    def have(self, n_nodes: int) -> None:
        while len(self._nodes) < n_nodes:
            self.add()
        while len(self._nodes) > n_nodes:
            self.kill()

    def kill(self) -> None:
        """Kills one, as a machine that loses its power."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def kill_head(self) -> None:
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


@contextlib.contextmanager
def run(folder: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--output", str(folder / "out.jsonl"), "--ray", address]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        yield process
    finally:
        process.kill()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)


def wait_for_records(folder: Path, n_records: int) -> None:
    out = folder / "out.jsonl"
    wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") >= n_records, "records")


def end_of(process: subprocess.Popen[str], code: int, said: str) -> None:
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (code, ""), (process.returncode, out, err)
    assert said in err.splitlines()[-1], err
    require_plain_words(err)


def require_plain_words(said: str) -> None:
    """That Ray has shown neither its log nor its stack."""
    assert not re.search(r"^\[|\*\*\*|Traceback|raylet", said, re.MULTILINE), said


def processes_of_ray(name: str = "ray::") -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if name in line or (name == "ray::" and "/ray/core/" in line):
            found.append(process)
    return found


def workers() -> list[psutil.Process]:
    return processes_of_ray("ray::Worker")


def lose_all_but_one_that_joins(nodes: Nodes, folder: Path) -> None:
    """More than half of the nodes are lost, and one joins: the run ends as if nothing were."""
    nodes.have(2)
    with run(folder, nodes.address) as process:
        wait_for_records(folder, 32)
        nodes.kill()
        nodes.add()
        wait_for_records(folder, 128)
        nodes.kill()
        end_of(process, 0, "is complete: 160 records")


def lose_all_and_go_on(nodes: Nodes, folder: Path) -> None:
    """Nothing can go on: it is said, and the same command goes on once there is a node."""
    with run(folder, nodes.address) as process:
        wait_for_records(folder, 32)
        nodes.kill()
        end_of(process, 1, GOES_ON)
    nodes.add()
    with run(folder, nodes.address) as process:
        end_of(process, 0, "is complete: 160 records")


def wait_for_busy_cores(nodes: Nodes, folder: Path) -> None:
    """Others hold the cores: it is said after some seconds, and the run begins when they go."""
    hold = (
        "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)\n"
        "hold = ray.remote(num_cpus=1)(lambda: __import__('time').sleep(1e6)).remote()\n"
        "import time; time.sleep(1e6)"
    )
    holder = subprocess.Popen([sys.executable, "-c", hold, nodes.address], cwd=folder)
    try:
        time.sleep(20)
        with run(folder, nodes.address) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert f"waiting for 1 core of {nodes.address}, which others hold" in line, line
            holder.kill()
            end_of(process, 0, "is complete: 160 records")
    finally:
        holder.kill()
        holder.wait()


def end_the_driver(nodes: Nodes, folder: Path) -> None:
    """By a signal: one line, or none where it is killed, and no worker stays."""
    for number, said in ((signal.SIGTERM, GOES_ON), (signal.SIGKILL, "")):
        with run(folder, nodes.address) as process:
            n_records = 1 + 100 * (number == signal.SIGKILL)
            wait_for_records(folder, n_records)
            wait_for(lambda: bool(workers()), "workers")
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, out) == (-number, ""), (process.returncode, out, err)
            assert said in err, err
            require_plain_words(err)
        wait_for(lambda: not workers(), "the workers' end")
    with run(folder, nodes.address) as process:
        end_of(process, 0, "is complete: 160 records")


def lose_the_head(nodes: Nodes, folder: Path) -> None:
    with run(folder, nodes.address) as process:
        wait_for_records(folder, 32)
        nodes.kill_head()
        begun = time.monotonic()
        end_of(process, 1, GOES_ON)
        assert time.monotonic() - begun < 45


SCENES = (
    lose_all_but_one_that_joins,
    lose_all_and_go_on,
    wait_for_busy_cores,
    end_the_driver,
    lose_the_head,  # the last, as nothing comes after it
)


def main(names: Sequence[str]) -> None:
    """Plays the scenes of these names, or all of them."""
    scenes = [scene for scene in SCENES if not names or scene.__name__ in names]
    before = {process.pid for process in processes_of_ray()}
    with tempfile.TemporaryDirectory() as name:
        plain = Path(name) / "plain.jsonl"
        subprocess.run([*COMMAND, "--output", str(plain), "--quiet"], check=True)
        nodes = Nodes()
        try:
            for scene in scenes:
                begun = time.monotonic()
                folder = Path(name) / scene.__name__
                folder.mkdir()
                nodes.have(1)
                scene(nodes, folder)
                written = (folder / "out.jsonl").read_bytes()
                assert plain.read_bytes().startswith(written)
                assert scene is lose_the_head or written == plain.read_bytes()
                print(f"{scene.__name__}: {time.monotonic() - begun:.0f} s", flush=True)
        finally:
            nodes.shutdown()
    wait_for(
        lambda: not {process.pid for process in processes_of_ray()} - before,
        "the end of Ray's processes",
    )
    print("nothing is left running")


if __name__ == "__main__":
    main(sys.argv[1:])
