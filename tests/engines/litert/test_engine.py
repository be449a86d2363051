"""What is LiteRT's own: int8, long texts in pieces, and memory that is given back."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler import load_engine
from gpt2_sampler.engines.litert import attention
from gpt2_sampler.engines.litert.engine import LiteRTEngine
from gpt2_sampler.engines.litert.export import export_model
from gpt2_sampler.errors import EngineError, OutOfMemory
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.openai import save_checkpoint
from tests.checkpoints import DEMO
from tests.engines.litert.conftest import LONG

"""A window of several chunks of the cache."""
RESIDENT = re.compile(r"^Rss: +(\d+) kB$", re.MULTILINE)


def random_text(seed: int, n: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(101, size=n)]


def test_long_texts_are_read_in_pieces(long_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, text = load_engine(long_model, "cpu"), random_text(1, LONG.n_ctx)
    whole = engine.logits(text)
    monkeypatch.setattr("gpt2_sampler.engines.litert.engine.LITERT_PIECE", 37)
    np.testing.assert_allclose(engine.logits(text), whole, atol=1e-4)


@pytest.mark.parametrize("compiled", [True, False])
def test_int8_stays_near_float32(
    long_model: Path, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(attention, "find_kernel", lambda: None)
    text = random_text(2, LONG.n_ctx)
    exact = load_engine(long_model, "cpu").logits(text)
    near = load_engine(long_model, "cpu", "int8").logits(text)
    assert not np.array_equal(near, exact)
    assert relative_error(near, exact) < 0.05


def test_int8_gives_the_same_with_and_without_a_compiler(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if attention.find_kernel() is None:
        pytest.skip("attention.c is not compiled here")
    text = random_text(3, LONG.n_ctx)
    compiled = load_engine(long_model, "cpu", "int8").logits(text)
    monkeypatch.setattr(attention, "find_kernel", lambda: None)
    plain = load_engine(long_model, "cpu", "int8").logits(text)
    assert relative_error(plain, compiled) < 0.02  # a rounding here and there falls otherwise


def relative_error(near: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(near - exact)) / np.mean(np.square(exact))))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_few_large_channels_do_not_spoil_int8(tmp_path: Path, seed: int) -> None:
    """OpenAI's models have channels of the residual stream far larger than the others, and gains
    as much smaller after them (Dettmers et al. 2022, "LLM.int8()", section 3). Such channels are
    planted; each model's int8 is compared with its own float32."""
    demo = open_checkpoint(DEMO)
    planted = {name: np.array(array) for name, array in demo.items()}
    large = np.random.default_rng(seed).choice(demo.hparams.n_embd, 3, replace=False)
    for name, array in planted.items():
        if name in ("wte", "wpe") or re.search(r"c_proj/[wb]$", name):
            array[..., large] *= 50
        if name.endswith("/g"):  # the last one stands before wte, which is 50 times as large too
            array[large] /= 50 * 50 if name == "ln_f/g" else 50
    save_checkpoint(tmp_path / "planted", demo.hparams, planted)
    text = np.random.default_rng(4).integers(demo.hparams.n_vocab, size=199).tolist()
    errors = []
    for folder in (DEMO, tmp_path / "planted"):
        exact, near = (load_engine(folder, "cpu", p).logits(text) for p in ("float32", "int8"))
        errors.append(relative_error(near, exact))
    assert errors[1] < 2 * errors[0], errors


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in memory")
def test_the_file_leaves_the_memory_once_the_kernels_have_their_copies(long_model: Path) -> None:
    path = str(export_model(open_checkpoint(long_model), "int8").path)
    before = resident(path)
    engine = load_engine(long_model, "cpu", "int8")
    assert resident(path) <= before + 64  # kB: what embedding reads, and a page fault brings along
    assert np.isfinite(engine.logits([1, 2, 3])).all()


def resident(name: str) -> int:
    maps = Path("/proc/self/smaps").read_text().split("VmFlags")
    return sum(int(m[1]) for part in maps if name in part and (m := RESIDENT.search(part)))


def test_no_room_for_a_cache_does_not_end_the_engine(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_engine(long_model, "cpu")

    def full(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("gpt2_sampler.engines.litert.engine.new_attention", full)
        with pytest.raises(OutOfMemory, match="the cache of 9 texts"):
            engine.new_cache(9)
    assert np.isfinite(engine.logits([1, 2])).all()


def test_no_room_for_a_call_does_not_end_the_engine(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_engine(long_model, "cpu")
    assert isinstance(engine, LiteRTEngine)
    expected = engine.logits([1, 2, 3])
    cache = engine.new_cache(1)

    def fill(*arguments: object) -> None:
        raise RuntimeError("XNNPack delegate failed to reshape runtime")

    def refuse(*arguments: object) -> None:
        raise RuntimeError("unsupported scale value (nan)")

    for run, kind, said in (
        (fill, OutOfMemory, "no room for 5 tokens"),
        (refuse, EngineError, "cannot run 5 tokens"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(engine.layers, "_run", run)
            patch.setattr(engine.layers, "prepare", lambda _: engine.layers._plans[3])
            patch.setattr(engine.layers, "_size", 5)
            with pytest.raises(EngineError, match=said) as raised:
                engine.forward(cache, [1] * 3, [0] * 3, range(3), [])
        assert raised.type is kind
    engine.layers._size = 0
    np.testing.assert_array_equal(engine.logits([1, 2, 3]), expected)
