"""How other programs read a file of JSON lines, where a test needs more than a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def load_with_datasets(lines: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads the file without asking Hugging Face's hub for anything."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return datasets.load_dataset("json", data_files=str(lines), split="train", cache_dir=str(cache))
