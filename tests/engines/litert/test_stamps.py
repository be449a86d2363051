"""A file that nobody has changed is taken as it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.engines.litert import export
from tests.engines.litert.test_export import exported


def test_a_file_that_nobody_has_changed_is_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported(folder)
    checked, crc32c = [], export.crc32c

    def counted(data: np.ndarray) -> int:
        checked.append(len(data))
        return crc32c(data)

    monkeypatch.setattr(export, "crc32c", counted)
    exported(folder)
    assert checked == []
    os.utime(path)
    exported(folder)
    assert checked
