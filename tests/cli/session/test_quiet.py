"""Each in a process of its own: file descriptor 2 belongs to pytest here."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.commands.test_unconditional import environment

SCRIPT = """
import os, sys
from gpt2_sampler.cli.session.quiet import quiet
from gpt2_sampler.errors import EngineError
os.write(2, b"before\\n")
with quiet({verbose}):
    os.write(2, b"chatter\\n")
    print("a notice", file=sys.stderr)
    {then}
os.write(2, b"after\\n")
"""


@pytest.mark.parametrize(
    ("verbose", "then", "shown", "hidden"),
    [
        (False, "pass", ["before", "a notice", "after"], ["chatter"]),
        (True, "pass", ["before", "chatter", "a notice", "after"], []),
        (False, "raise EngineError('no GPU')", ["no GPU"], ["chatter"]),
        (False, "raise RuntimeError('odd')", ["chatter", "odd"], ["after"]),
        (False, "raise KeyboardInterrupt", ["KeyboardInterrupt"], ["chatter"]),
        (False, "os._exit(1)", ["before", "a notice"], ["chatter"]),  # each line arrives at once
    ],
)
def test_only_what_a_person_can_use_is_shown(
    verbose: bool, then: str, shown: list[str], hidden: list[str]
) -> None:
    script = SCRIPT.format(verbose=verbose, then=then)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        check=False,
    )
    said = done.stderr.decode()
    places = [said.find(text) for text in shown]
    assert -1 not in places and places == sorted(places)
    assert not [text for text in hidden if text in said]


def test_no_temporary_folder_is_needed() -> None:
    nowhere = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/dev/null']\n"
    script = nowhere + SCRIPT.format(verbose=False, then="pass")
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, check=True
    )
    assert done.stderr == b"before\na notice\nafter\n"
