"""The compiled attention gives what its twin in NumPy gives, which is the formula."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.engines.litert.attention import (
    CHUNK,
    Attention,
    Kernel,
    Plain,
    find_kernel,
    implementation,
    reserve,
    runs,
)

LAYERS, ROWS, SLOTS = 2, 5, 3 * CHUNK + 7
QUERIES = 8  # of attention.c: tokens of a row that are looked up together
LIBRARY = find_kernel()
VERSIONS = range(LIBRARY.attention_versions()) if LIBRARY else [0]
compiled = pytest.mark.skipif(LIBRARY is None, reason="attention.c is not compiled here")


def kernel(heads: int, size: int, int8: bool, version: int, threads: int = 1) -> Kernel:
    assert LIBRARY is not None
    made = Kernel(LIBRARY, LAYERS, ROWS, SLOTS, heads, size, int8, threads)
    made.version = version
    return made


def attend(
    attention: Attention, rows: list[int], positions: list[int], qkv: np.ndarray
) -> np.ndarray:
    """qkv [L, N, 3 E] -> [L, N, E]"""
    layers, n, wide = qkv.shape
    out = np.full([layers, n, wide // 3], np.nan, np.float32)
    now, found = qkv[0].copy(), out[0].copy()
    attention.begin(np.array(rows, np.int32), np.array(positions, np.int32), now, found)
    for layer in range(layers):
        now[...] = qkv[layer]
        attention.attend(layer)
        out[layer] = found
    return out


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[list[int], list[int]]]:
    """Calls that a decoding loop could make: rows and positions of the tokens of each."""
    filled = [0] * ROWS
    made = []
    for _ in range(draw(st.integers(1, 5))):
        rows: list[int] = []
        positions: list[int] = []
        for row in draw(st.permutations(range(ROWS))):
            start = draw(st.sampled_from([filled[row], 0, filled[row] // 2]))
            most = SLOTS - start
            size = min(most, draw(st.sampled_from([0, 1, 1, 2, QUERIES, QUERIES + 3, CHUNK, 141])))
            rows += [row] * size
            positions += range(start, start + size)
            filled[row] = start + size if size else filled[row]
        if rows:
            made.append((rows, positions))
    return made


@compiled
@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=25)
@given(
    calls=calls(),
    heads=st.integers(1, 3),
    size=st.sampled_from([1, 6, 16, 35, 64, 80]),
    int8=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_kernel_and_twin_agree(
    version: int,
    calls: list[tuple[list[int], list[int]]],
    heads: int,
    size: int,
    int8: bool,
    threads: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    fast = kernel(heads, size, int8, version, threads)
    plain = Plain(LAYERS, ROWS, SLOTS, heads, size, int8)
    for rows, positions in calls:
        qkv = random.normal(size=[LAYERS, len(rows), 3 * heads * size]).astype(np.float32)
        sharp = random.choice([0.01, 1, 30])  # how much scores differ
        qkv[..., : heads * size] *= sharp / np.sqrt(size)
        expected = attend(plain, rows, positions, qkv)
        # float32 rounds a score of 100 by 4e-6 and more, and its weight by as much of itself.
        atol = 2e-4 * max(1, sharp) if int8 else 1e-4 * max(1, sharp / 10)
        np.testing.assert_allclose(attend(fast, rows, positions, qkv), expected, atol=atol)
        fast.helped = threads


@pytest.mark.parametrize("int8", [False, True])
def test_the_twin_is_the_formula(int8: bool) -> None:
    """One row, one token after another, each by Vaswani et al. 2017, section 3.2.1."""
    heads, size, n = 2, 7, 11
    random = np.random.default_rng(0)
    qkv = random.normal(size=[1, n, 3, heads, size]).astype(np.float32)
    plain = Plain(1, 1, n, heads, size, int8)
    got = attend(plain, [0] * n, [*range(n)], qkv.reshape(1, n, -1))[0].reshape(n, heads, size)
    for t in range(n):
        for head in range(heads):
            query, key, value = qkv[0, : t + 1, :, head].transpose(1, 0, 2)
            scores = key @ query[-1]
            weights = np.exp(scores - scores.max())
            expected = weights @ value / weights.sum()
            np.testing.assert_allclose(got[t, head], expected, atol=0.05 if int8 else 1e-5)


@compiled
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("tokens", [1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_row_that_was_copied_is_the_same(int8: bool, tokens: int) -> None:
    random = np.random.default_rng(1)
    fast = kernel(2, 35, int8, VERSIONS[-1])
    text = random.normal(size=[LAYERS, tokens, 210]).astype(np.float32)
    attend(fast, [2] * tokens, [*range(tokens)], text)
    fast.copy(2, [0, 4], tokens)
    step = random.normal(size=[LAYERS, 1, 210]).astype(np.float32)
    for row in (0, 4):
        again = attend(fast, [row], [tokens], step)
        np.testing.assert_array_equal(again, attend(fast, [2], [tokens], step))


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in memory")
def test_room_costs_nothing_until_it_is_used() -> None:
    def resident() -> int:  # bytes
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    used = [np.ones(1 << 20, np.float32) for _ in range(64)]  # freed memory lies about
    del used
    before = resident()
    room = reserve([16, 1 << 20], np.float32)
    assert resident() - before < 1 << 20
    assert room.shape == (16, 1 << 20) and not room[::5, ::4096].any()
    room[3] = 1
    assert resident() - before > 3 << 20


@compiled
@pytest.mark.parametrize("version", VERSIONS)
def test_scores_of_any_size_are_weighed_rightly(version: int) -> None:
    """One score far above all others, or all of them far below zero."""
    n, size = CHUNK + 5, 16
    for high in (1e4, -1e4):
        qkv = np.zeros([LAYERS, n, 3 * size], np.float32)
        qkv[..., :size] = 1
        qkv[..., size : 2 * size] = high * np.linspace(0.5, 1, n)[:, None]
        qkv[..., 2 * size :] = np.arange(n)[:, None]
        plain = Plain(LAYERS, ROWS, SLOTS, 1, size, False)
        fast = kernel(1, size, False, version)
        expected = attend(plain, [1] * n, [*range(n)], qkv)
        np.testing.assert_allclose(attend(fast, [1] * n, [*range(n)], qkv), expected, atol=1e-4)


@compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_threads_are_made_again_after_a_fork() -> None:
    fast = kernel(3, 64, True, VERSIONS[-1], threads=2)
    n = SLOTS
    qkv = np.random.default_rng(2).normal(size=[LAYERS, n, 576]).astype(np.float32)
    before = attend(fast, [0] * n, [*range(n)], qkv)
    child = os.fork()
    if child == 0:
        same = np.array_equal(attend(fast, [0] * n, [*range(n)], qkv), before)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_runs_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["sse2", "avx2", "avx512", "avx512vnni"], ["neon", "sdot"], ["plain"]
    assert implementation() in ([n[VERSIONS[-1]] for n in names if n[VERSIONS[-1] :]] or ["NumPy"])
    monkeypatch.setattr("gpt2_sampler.engines.litert.attention.find_kernel", lambda: None)
    assert implementation() == "NumPy"


@compiled
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("int8", [False, True])
def test_a_text_of_nan_leaves_nothing_to_the_next_one_in_its_row(int8: bool, version: int) -> None:
    n = CHUNK + 5
    fast = kernel(2, 64, int8, version)
    text = np.random.default_rng(3).normal(size=[LAYERS, n, 384]).astype(np.float32)
    before = attend(fast, [0] * n, [*range(n)], text)
    attend(fast, [0] * SLOTS, [*range(SLOTS)], np.full([LAYERS, SLOTS, 384], np.nan, np.float32))
    np.testing.assert_array_equal(attend(fast, [0] * n, [*range(n)], text), before)


def test_runs_end_where_the_row_or_the_order_does() -> None:
    rows = np.array([3, 3, 3, 3, 3, 0, 0, 1], np.int32)
    positions = np.array([4, 5, 6, 7, 8, 2, 4, 5], np.int32)
    assert runs(rows, positions).tolist() == [0, 5, 6, 7, 8]
