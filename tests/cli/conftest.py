"""A folder of models for the fake engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_command import make_folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_folder(folder / "fake")
    return folder
