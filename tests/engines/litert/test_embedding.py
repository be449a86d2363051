"""What the first layer reads are the tables' rows, from a file that may be cut short."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.engines.litert.embedding import Embedding, Place
from gpt2_sampler.errors import EngineError

V, C, E = 7, 5, 3


@pytest.fixture
def tables() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "wte": random.integers(-127, 128, [V, E], np.int8),
        "wte_scales": random.random(V, np.float32),
        "wte_columns": random.random(E, np.float32),
        "wpe": random.random([C, E], np.float32),
    }


def write(path: Path, tables: dict[str, np.ndarray]) -> dict[str, Place]:
    places: dict[str, Place] = {}
    with path.open("wb") as file:
        file.write(b"something before them")
        for name, table in tables.items():
            places[name] = file.tell(), table.shape, table.dtype.name
            file.write(table.tobytes())
    return places


def look_up(path: Path, places: dict[str, Place]) -> np.ndarray:
    tokens, positions = np.array([[6, 0, 6, 2], [0, 4, 1, 2]], np.int32)
    return Embedding(path, places).look_up(tokens, positions)


@pytest.mark.parametrize("int8", [False, True])
def test_a_token_at_a_position_is_the_sum_of_two_rows_around_0(
    int8: bool, tables: dict[str, np.ndarray], tmp_path: Path
) -> None:
    words = tables["wte"] * tables["wte_scales"][:, None] * tables["wte_columns"]
    if not int8:
        tables = {"wte": words, "wpe": tables["wpe"]}
    found = look_up(tmp_path / "file", write(tmp_path / "file", tables))
    expected = words[[6, 0, 6, 2]] + tables["wpe"][[0, 4, 1, 2]]
    expected -= expected.mean(axis=1, keepdims=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_file_that_is_cut_short_is_one_line(
    tables: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    places = write(path, tables)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(EngineError, match="file was cut short while it was in use; start again"):
        look_up(path, places)


@pytest.mark.skipif(sys.platform != "linux", reason="counts open files")
def test_no_file_stays_open(tables: dict[str, np.ndarray], tmp_path: Path) -> None:
    places = write(tmp_path / "file", tables)
    before = len([*Path("/proc/self/fd").iterdir()])
    closed, dropped = (Embedding(tmp_path / "file", places) for _ in range(2))
    closed.close()
    del dropped
    gc.collect()
    assert len([*Path("/proc/self/fd").iterdir()]) == before
