"""Requests share the rows: who leaves or fails keeps nobody else waiting."""

from __future__ import annotations

import threading
import time

from tests.serving.running import running
from tests.serving.test_app import ASKED, text


def test_a_request_of_many_texts_keeps_no_other_one_out() -> None:
    with running(rows=2, queue=200) as server:
        server.engine.pause = 0.005
        many = threading.Thread(target=server.post, kwargs={**ASKED, "n": 60, "max_tokens": 20})
        many.start()
        while not server.decoder.n_waiting:
            time.sleep(0.005)
        began = time.monotonic()
        assert server.complete(**ASKED)["choices"][0]["text"] == text()
        one = time.monotonic() - began
        many.join()
        assert one < (time.monotonic() - began) / 2


def test_a_step_that_fails_fails_its_requests_and_not_the_server() -> None:
    with running() as server:

        def fail(written: int) -> None:
            raise RuntimeError("the disk is on fire")

        server.engine.fail = fail  # type: ignore[method-assign]
        done = server.post(**ASKED)
        assert done.status_code == 500 and done.json()["error"]["type"] == "server_error"
        assert "fire" not in done.text
        del server.engine.fail
        assert server.complete(**ASKED)["choices"][0]["text"] == text()
