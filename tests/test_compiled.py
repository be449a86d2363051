"""A compiled library is found beside its module; one that cannot be loaded is none."""

from __future__ import annotations

import importlib.machinery
from pathlib import Path

from gpt2_sampler.compiled import load_library


def test_a_library_that_is_missing_or_damaged_is_none(tmp_path: Path) -> None:
    assert load_library(tmp_path, "_missing") is None
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        (tmp_path / f"_damaged{suffix}").write_bytes(b"no library")
    assert load_library(tmp_path, "_damaged") is None
