"""How fast and how lean a download is: 497,759,232 bytes (117M's weights) over loopback.

Measured: seconds from the first request to the final name, with SHA-256, with Content-MD5 and
with neither, beside curl, which writes the same file and checks nothing; and the downloading
process's peak memory for a file of 50 MB and for the whole. What bounds it: the server, which
shares the processors, and hashing. Run: python3 benchmarks/bench_download.py
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from gpt2_sampler.fetching.client import NETWORK, Client  # noqa: E402
from gpt2_sampler.fetching.fetch_file import fetch  # noqa: E402
from gpt2_sampler.fetching.filespec import FileSpec, Version, sha256_of  # noqa: E402

SIZE = 497_759_232  # bytes
SMALL = 50_000_000  # bytes
BLOCK = 1 << 20  # bytes
REPEATS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_noise(folder / "whole", SIZE)
        write_noise(folder / "small", SMALL)
        sha256 = sha256_of(folder / "whole")
        with serving(folder, "--no_md5") as plain, serving(folder) as with_md5:
            seconds = {
                "curl": median_of(lambda: fetch_with_curl(f"{plain}/whole", folder)),
                "no checksum": median_of(lambda: fetch_with_ours(f"{plain}/whole", folder)),
                "Content-MD5": median_of(lambda: fetch_with_ours(f"{with_md5}/whole", folder)),
                "SHA-256": median_of(lambda: fetch_with_ours(f"{plain}/whole", folder, sha256)),
            }
            memory = {name: peak_memory(f"{plain}/{name}", folder) for name in ("small", "whole")}
    print(f"{'':12} {'seconds':>8} {'MB/s':>8} {'of curl':>8}")
    for name, value in seconds.items():
        print(f"{name:12} {value:8.2f} {SIZE / 1e6 / value:8.0f} {seconds['curl'] / value:8.0%}")
    print(f"peak memory: {memory['small']:.0f} MB for 50 MB, {memory['whole']:.0f} MB for 498 MB")
    print(json.dumps({"bytes": SIZE, "seconds": seconds, "peak_memory_mb": memory}))


def write_noise(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            file.write(os.urandom(min(BLOCK, size - start)))


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """The tests' server in a process of its own -> its URL."""
    command = [sys.executable, str(ROOT / "tests" / "misbehaving_server.py"), str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def median_of(action: Callable[[], None]) -> float:
    """Seconds; one more run before them warms up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def fetch_with_curl(url: str, folder: Path) -> None:
    target = folder / "target"
    target.unlink(missing_ok=True)
    subprocess.run(["curl", "-s", "-o", target, url], check=True)


def fetch_with_ours(url: str, folder: Path, sha256: str | None = None) -> None:
    target = folder / "target"
    target.unlink(missing_ok=True)
    client = Client(NETWORK)
    versions = (Version(SIZE, sha256),) if sha256 else ()
    fetch(client, client.probe(url), target, FileSpec("target", versions))


def peak_memory(url: str, folder: Path) -> float:
    """Megabytes of a process that fetches the file."""
    code = (
        "import bench_download, pathlib, resource, sys; "
        "bench_download.fetch_with_ours(sys.argv[1], pathlib.Path(sys.argv[2])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, url, str(folder)]
    here = Path(__file__).parent
    done = subprocess.run(command, check=True, cwd=here, capture_output=True, text=True)
    return int(done.stdout) / 1024


if __name__ == "__main__":
    main()
