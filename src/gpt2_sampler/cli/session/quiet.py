"""The messages of native libraries on file descriptor 2 -> nothing, unless they explain a failure.

Log levels are not enough: TensorFlow writes some lines before it reads them. Knows no engine.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TypeVar

from gpt2_sampler.cli.session.terminal import notice
from gpt2_sampler.errors import SamplerError

T = TypeVar("T")


@contextlib.contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Within it only sys.stderr reaches the person, unless verbose.

    What was held back is shown if an unexpected exception occurs: any but a SamplerError, an
    interruption or an exit.
    """
    if verbose or sys.stderr is None:
        yield
        return
    usual = sys.stderr
    usual.flush()
    terminal = os.dup(2)
    with scratch() as chatter:
        # Never closed: a logger may keep it.
        sys.stderr = open(  # noqa: PTH123, SIM115
            os.dup(terminal), "w", buffering=1, encoding=usual.encoding, errors=usual.errors
        )
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except SamplerError:
            raise
        except Exception:
            chatter.seek(0)
            if said := chatter.read().decode("utf-8", "replace").rstrip():
                notice(said)
            raise
        finally:
            sys.stderr.flush()
            sys.stderr = usual
            os.dup2(terminal, 2)
            os.close(terminal)


def quiet_at_first(steps: Iterable[T], verbose: bool) -> Iterator[T]:
    """The same steps. Libraries write most of their messages during the first, which is quiet."""
    iterator, first = iter(steps), True
    while True:
        with quiet(verbose or not first):
            step = next(iterator, None)
        if step is None:
            return
        first = False
        yield step


def scratch() -> IO[bytes]:
    """A file for what is held back; where none can be made, for nothing."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")  # noqa: PTH123
