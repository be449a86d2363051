"""Requests of every kind to a server of an engine without a model.

    PYTHONPATH=src:. python3 -m tests.long.fuzzing_serving 20000      # some minutes

Half of them are right, and their texts must be the Python API's, streamed and whole; in the other
half any field may have any value. No answer may be a failure of the server, and no text and no
thread may be left over.
"""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.serving.fuzzing import (
    RIGHT_REQUESTS,
    WRONG_REQUESTS,
    check_right,
    check_wrong,
    threads,
)
from tests.serving.running import running


def main(n_requests: int) -> None:
    before = threads()
    many = settings(
        max_examples=n_requests // 2, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with running(rows=4, queue=128) as server:

        @many
        @given(RIGHT_REQUESTS)
        def right(body: dict[str, Any]) -> None:
            check_right(server, body)

        @many
        @given(WRONG_REQUESTS)
        def wrong(body: dict[str, Any]) -> None:
            check_wrong(server, body)

        for check in (right, wrong):
            check()
            server.wait_until_idle()
            print(f"{check.__name__}: {n_requests // 2} requests, nothing left over", flush=True)
    assert threads() == before, threads() - before


if __name__ == "__main__":
    main(int(sys.argv[1]))
