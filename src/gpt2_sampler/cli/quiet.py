"""The chatter of native libraries on file descriptor 2 -> nothing, or what explains a failure.

Knows no engine. Log levels do not do it: TensorFlow writes some lines before they are read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from gpt2_sampler.cli.terminal import notice
from gpt2_sampler.errors import SamplerError


@contextlib.contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Within it only sys.stderr reaches the person, unless verbose.

    What was kept from them is shown if an exception leaves it that explains itself to nobody:
    any but a SamplerError, an interruption or an exit.
    """
    if verbose or sys.stderr is None:
        yield
        return
    usual = sys.stderr
    usual.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        # Never closed here: whoever logs may have taken hold of it.
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
