"""A server of a fake engine, which has nothing left over after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving.running import Running, running


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_is_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        server: Running = request.getfixturevalue("server")
        server.wait_until_idle()
