"""The address of a Ray cluster -> this process is its driver, or it is said why it cannot be.

Ray tries a wrong address for minutes, may end the process then, and decides once in a process
whether to show a token. So another process tries the address first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from gpt2_sampler.errors import UsageError
from gpt2_sampler.files import reason
from gpt2_sampler.packages import require

LOCAL = "local"
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
RAISED: list[BaseException] = []
"""What the handlers of signals have raised."""
PATIENCE = 10  # seconds
ATTEMPT = """
import sys
sys.path[:] = filter(None, sys.path)  # not the files that happen to be here
import logging, ray
print("trying", flush=True)
ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
print("joined", flush=True)
ray.shutdown()
"""
REFUSED = re.compile("Unauthenticated|AuthenticationError")
VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+).*Ray: (\S+)\s+Python: (\S+)", re.DOTALL)
OUTSIDE = re.compile("match this node's IP|No node info found|no raylet", re.IGNORECASE)


def join(address: str) -> str:
    """Joins the cluster at the address or, for LOCAL, starts one on this machine -> the address of
    its first machine. Raises UsageError, and SamplerError where Ray is not installed."""
    require("ray", "clusters need")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL:
        # Else Ray leaves one in the home folder, which would protect the clusters started later.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    else:
        require_answer(address)
        os.environ["RAY_AUTH_MODE"] = find_mode(address)
    import ray

    silence(ray)
    alone = {"include_dashboard": False} if address == LOCAL else {}
    try:
        with keep_handlers():
            joined = ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    except (ConnectionError, OSError, ValueError, RuntimeError) as problem:
        raise no_cluster(address, last_line(problem)) from None
    return str(joined.address_info["gcs_address"])


def leave() -> None:
    """Ends a cluster that was started here; of another one this process is then no driver."""
    import ray

    ray.shutdown()


def require_answer(address: str) -> None:
    """Raises UsageError at once if nobody listens there."""
    if address.startswith("ray://"):
        host = address.removeprefix("ray://").rpartition(":")[0] or "HOST"
        raise UsageError(f"{address:.200} is for Ray's client; give {host:.200}:6379")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"a Ray cluster's address is HOST:PORT, or {LOCAL}, not {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError, ValueError) as problem:
        raise no_cluster(address, reason(problem)) from None


def find_mode(address: str) -> str:
    """Whether the cluster asks for a token -> Ray's name for that. Raises UsageError if the cluster
    cannot be joined either way."""
    said = attempt(address, "disabled")
    if not said:
        return "disabled"
    if not REFUSED.search(said):
        raise explain(address, said)
    where = "~/.ray/auth_token or RAY_AUTH_TOKEN"
    if not has_token():
        raise UsageError(f"the cluster at {address} has a token, this machine has none in {where}")
    said = attempt(address, "token")
    if REFUSED.search(said):
        raise UsageError(
            f"the cluster at {address} has another token than this machine has in {where}"
        )
    if said:
        raise explain(address, said)
    return "token"


def has_token() -> bool:
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or Path("~/.ray/auth_token").expanduser().is_file()


def attempt(address: str, mode: str) -> str:
    """Lets another process join the cluster -> what it says; nothing if it succeeds."""
    process = subprocess.Popen(
        [sys.executable, "-c", ATTEMPT, address],
        env=os.environ | {"RAY_AUTH_MODE": mode},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    said = ""
    timer = threading.Timer(PATIENCE, process.kill)
    with process, contextlib.ExitStack() as end:
        end.callback(process.kill)
        end.callback(timer.cancel)
        assert process.stdout is not None
        for line in process.stdout:
            if line == "trying\n":
                timer.start()
            elif line == "joined\n":
                return ""
            elif REFUSED.search(line):
                return line
            elif not line.startswith("["):  # as lines of its log do
                said += line
    return said or "what answers there is not Ray"


def explain(address: str, said: str) -> UsageError:
    """What another process has said -> an error in words of our own where they are known."""
    if versions := VERSIONS.search(said):
        theirs, own = versions.groups()[:2], versions.groups()[2:]
        return UsageError(
            f"the cluster at {address} has Ray {theirs[0]} and Python {theirs[1]}, this machine "
            f"has Ray {own[0]} and Python {own[1]}; they must be the same"
        )
    if OUTSIDE.search(said):
        return UsageError(f"this machine is not in the cluster at {address}; ray start joins it")
    return no_cluster(address, last_line(said))


def no_cluster(address: str, why: str) -> UsageError:
    return UsageError(f"there is no Ray cluster at {address:.200} ({why})")


def last_line(problem: object) -> str:
    """The last line of a message, where Ray says what happened."""
    lines = str(problem).strip().splitlines()
    return lines[-1].strip() if lines else type(problem).__name__


@contextlib.contextmanager
def keep_handlers() -> Iterator[None]:
    """Keeps what is done at a signal that ends the process. Ray would print the stack of its own
    code."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, remember(handler) if callable(handler) else handler)


def remember(handler: Callable[[int, FrameType | None], Any]) -> Callable[..., None]:
    """The handler; what it raises is found in RAISED, as Ray raises a SystemExit in its place."""

    def handle(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as raised:
            RAISED.append(raised)
            raise

    return handle


def silence(ray: Any) -> None:
    """Ray prints what happens to machines on stdout, which is for samples, and nothing that it
    takes would keep it from that."""
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
