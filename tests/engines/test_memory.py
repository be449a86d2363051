"""What a run needs is told before it is loaded, with settings that would fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from gpt2_sampler.engines import memory
from gpt2_sampler.engines.memory import (
    free_memory,
    memory_needed,
    require_memory,
    rows_that_fit,
)
from gpt2_sampler.errors import EngineError
from gpt2_sampler.weights.hparams import HParams
from tests.engines.test_cgroups import V2, make_tree

LARGE = HParams(n_vocab=50257, n_ctx=1024, n_embd=1600, n_head=25, n_layer=48)
GB = 10**9


def test_more_of_anything_needs_more() -> None:
    least = memory_needed(LARGE, "int8", 1, 100)
    assert 1.5 * GB < least < 3 * GB
    cache = 2 * 48 * 1600 * 100  # numbers in the cache of 100 tokens
    more_for_cache = 4 * cache - cache * (1 + 4 / 64)  # int8 has a scale for each 64
    assert memory_needed(LARGE, "float32", 1, 100) - least == 3 * 1_557_611_200 + more_for_cache
    assert memory_needed(LARGE, "int8", 8, 1024) > memory_needed(LARGE, "int8", 4, 1024) > least
    assert memory_needed(LARGE, "int8", 4, 5000) == memory_needed(LARGE, "int8", 4, 1024)


def test_once_loaded_only_the_texts_are_counted() -> None:
    """117M in float32, 32 texts of 40 tokens after a prompt of 900."""
    small = HParams(50257, 1024, 768, 12, 12)
    texts = memory_needed(small, "float32", 32, 940, loaded=True)
    assert texts == memory_needed(small, "float32", 32, 940) - memory_needed(small, "float32", 0, 0)
    assert 2.2 * GB < texts < 2.5 * GB
    with pytest.raises(EngineError, match=r"32 texts of 940 tokens, 1\.0 GB are free") as error:
        require_memory(small, "float32", 32, 940, GB, loaded=True)
    assert error.value.facts["fits"] == {"batch_size": 8}


def test_texts_need_their_cache_logits_and_what_lies_between_the_layers_as_they_are_read() -> None:
    small = HParams(n_vocab=50257, n_ctx=1024, n_embd=768, n_head=12, n_layer=12)
    cache = 4 * 2 * 12 * 768 * 3 * 200  # bytes: keys and values of 3 texts of 200 tokens
    logits = 4 * 8 * 3 * 50257
    between = 4 * 8 * 768 * (12 + 1) * 128  # 128 tokens are read at once
    assert memory_needed(small, "float32", 3, 200, loaded=True) == cache + logits + between


@pytest.mark.parametrize("rows", [1, 2, 16, 64])
def test_a_batch_takes_half_of_what_is_free(rows: int) -> None:
    free = 2 * memory_needed(LARGE, "int8", rows, 100)
    assert rows_that_fit(LARGE, "int8", 100, free) == rows
    assert rows_that_fit(LARGE, "int8", 100, free - 2) == max(1, rows // 2)
    assert rows_that_fit(LARGE, "int8", 100, 100 * free) == 64


def test_what_fits_passes() -> None:
    require_memory(LARGE, "float32", 1, 1024, memory_needed(LARGE, "float32", 1, 1024))


@pytest.mark.parametrize(
    ("precision", "rows", "tokens", "free", "fits"),
    [
        ("float32", 16, 1024, 10 * GB, {"batch_size": 4}),
        ("float32", 1, 1024, 5 * GB, {"precision": "int8"}),
        ("float32", 16, 1024, 5 * GB, {"precision": "int8"}),
        ("int8", 3, 1024, int(2.3 * GB), {"batch_size": 2}),
        ("int8", 3, 1024, int(2.07 * GB), {"batch_size": 1, "length": 512}),
        ("int8", 3, 1024, int(1.97 * GB), {"batch_size": 1, "length": 256}),
        ("int8", 1, 1024, int(1.94 * GB), {"length": 128}),
        ("int8", 1, 1024, int(1.92 * GB), None),
        ("float32", 1, 1024, GB, None),
    ],
)
def test_too_much_is_one_line_with_what_would_fit(
    precision: str, rows: int, tokens: int, free: int, fits: dict[str, object] | None
) -> None:
    with pytest.raises(EngineError) as error:
        require_memory(LARGE, precision, rows, tokens, free)
    message = str(error.value)
    assert error.value.facts.get("fits") == fits and "\n" not in message
    assert (
        f"{memory_needed(LARGE, precision, rows, tokens) / 1e9:.1f} GB of memory are needed"
        in message
    )
    assert f"{free / 1e9:.1f} GB are free" in message
    assert ("no setting fits" in message) == (fits is None)


def test_a_container_may_have_less_than_the_machine(tmp_path: Path) -> None:
    assert free_memory(tmp_path) > 10_000
    root = make_tree(tmp_path, "0::/job\n", V2, {"job/memory.max": "9000\n"})
    assert free_memory(root) == 9000
    (root / "sys/fs/cgroup/job/memory.current").write_text("9100\n")
    assert free_memory(root) == 0


def test_the_machines_memory_is_what_linux_says_or_psutil(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SimpleNamespace(available=5000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: told)
    assert free_memory(tmp_path) == 5000
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  9 kB\nMemFree: 1 kB\nMemAvailable:  7 kB\n")
    assert free_memory(tmp_path) == 7 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="limits itself")
def test_a_limit_of_the_address_space_counts() -> None:
    script = (
        "import resource; from gpt2_sampler.engines.memory import free_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30,) * 2); print(free_memory())"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert 1 << 30 < int(told.stdout) < 3 << 30


def test_what_is_mapped_while_a_model_is_loaded_counts_where_that_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "address_space", lambda: 12 * GB)
    require_memory(LARGE, "int8", 1, 100, 12 * GB)
    with pytest.raises(EngineError, match=r"limited to 12\.0 GB more \(ulimit -v\)") as error:
        require_memory(LARGE, "float32", 1, 100, 12 * GB)
    least = memory.address_space_needed(LARGE, "float32") + memory_needed(LARGE, "float32", 1, 1)
    assert f"takes {memory.size(least)} of address space" in str(error.value)
    assert error.value.facts["change"] == ["precision"]
    monkeypatch.setattr(memory, "address_space", lambda: GB)
    with pytest.raises(EngineError) as error:
        require_memory(LARGE, "float32", 1, 100, 12 * GB)
    assert error.value.facts["change"] == []
    monkeypatch.setattr(memory, "address_space", lambda: 12 * GB)
    require_memory(LARGE, "float32", 1, 100, 12 * GB, loaded=True)
