"""A server that may misbehave, with one file, and where it is fetched to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fetching.test_fetch_file import CONTENT
from tests.misbehaving_server import (
    MisbehavingServer,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MisbehavingServer]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(CONTENT)
    with MisbehavingServer(tmp_path / "served") as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "file"
