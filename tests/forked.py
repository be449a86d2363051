"""Commands with the fake engine that start in no time.

A process that has imported all of a command (fake_command.py without words) forks for each start,
as multiprocessing's forkserver does. What was forked is a child of the test as any other: it has
streams, a terminal, an environment and signals of its own, and ends as Python ends. Only what
Python makes of its environment when it starts cannot be seen in it: tests of that start anew.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import gc
import json
import os
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pexpect
from ptyprocess import PtyProcess

from tests.checkpoints import ROOT

FAKE_COMMAND = str(ROOT / "tests" / "fake_command.py")
PR_SET_CHILD_SUBREAPER = 36


@functools.cache
def start_server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Starts the process that forks, which ends with this one -> the way to it, and itself."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with theirs:
        return ours, subprocess.Popen(
            [sys.executable, FAKE_COMMAND], stdin=theirs.fileno(), env=os.environ | found
        )


def fork(
    words: Sequence[str],
    folder: str | os.PathLike[str] | None,
    variables: Mapping[str, str],
    streams: Sequence[int],
    *,
    terminal: bool = False,
) -> int:
    """Starts a command as Python and its file, name and flags would -> its process id."""
    assert list(words[:2]) == [sys.executable, FAKE_COMMAND]
    request = [words[2:], os.fspath(folder or Path.cwd()), dict(variables), terminal]
    (server, _), prctl = start_server(), ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # so that it becomes a child of this process
    socket.send_fds(server, [json.dumps(request).encode()], list(streams))
    number = int(server.recv(99))
    assert server.recv(99) == b"orphaned"
    prctl(PR_SET_CHILD_SUBREAPER, 0)
    return number


class Forked(subprocess.Popen[Any]):
    """A command that is forked, and otherwise like one that Popen starts."""

    def _execute_child(  # private to Popen, which has no public place for another way to start
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any,
        cwd: Any, env: Any, startupinfo: Any, creationflags: Any, shell: Any, *streams: Any
    ) -> None:  # fmt: skip
        theirs = streams[0], streams[3], streams[5]
        chosen = [own if given == -1 else given for own, given in enumerate(theirs)]
        self.pid = fork(args, cwd, env, chosen)
        self._child_created = True
        self._close_pipe_fds(*streams[:6])  # type: ignore[attr-defined]


class ForkedSession(pexpect.spawn):
    """A command that is forked at a terminal, and otherwise like one that pexpect starts."""

    def _spawnpty(self, args: Any, **options: Any) -> PtyProcess:
        ours, theirs = os.openpty()
        size = struct.pack("HHHH", *options.get("dimensions", (24, 80)), 0, 0)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, size)
        words = [os.fsdecode(word) for word in args]
        number = fork(words, options["cwd"], options["env"], [theirs] * 3, terminal=True)
        os.close(theirs)
        return PtyProcess(number, ours)


# In the process that forks.


def serve() -> list[str]:
    """Forks for each request on stdin -> its words, in the process that is to obey it."""
    gc.freeze()  # what is shared is not copied when a command collects its garbage in the end
    channel = socket.socket(fileno=0)
    while True:
        message, streams, *_ = socket.recv_fds(channel, 1 << 20, 3)
        if not message:
            sys.exit()
        if between := os.fork():
            os.waitpid(between, 0)
            channel.send(b"orphaned")
            for stream in streams:
                os.close(stream)
        elif number := os.fork():
            channel.send(str(number).encode())
            os._exit(0)
        else:
            channel.detach()
            return become(streams, *json.loads(message))


def become(
    streams: list[int], words: list[str], folder: str, variables: dict[str, str], terminal: bool
) -> list[str]:
    """Makes this process what Python would be for a command -> the command's words."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(streams) + 1)
    if terminal:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", buffering=1, errors="backslashreplace", closefd=False
    )
    return words
