"""Every engine gives OpenAI's logits, however the text is read, and each engine the others'."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler import Sampling, generate, load_engine
from gpt2_sampler.engines.engine import STEP, Engine
from gpt2_sampler.engines.litert.engine import LiteRTEngine
from gpt2_sampler.errors import EngineError, OutOfMemory, UsageError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.hparams import HParams
from tests.checkpoints import DEMO, PARITY_EXPECTED, copy_of_parity, random_checkpoint

CLOSE = 1e-4
EXPECTED = np.load(PARITY_EXPECTED)
TOKENS, LOGITS = EXPECTED["tokens"], EXPECTED["logits"]
TEXTS, LENGTH = TOKENS.shape
RESIDENT = re.compile(r"^Rss: +(\d+) kB$", re.MULTILINE)


def tensorflow_engine(folder: Path) -> Engine:
    from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(folder, "cpu")


@pytest.fixture(scope="module", params=["litert", "tensorflow"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = copy_of_parity(tmp_path_factory.mktemp("parity"))
    return load_engine(folder, "cpu") if request.param == "litert" else tensorflow_engine(folder)


def pieces(sizes: list[int]) -> Iterator[slice]:
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size


def assert_close(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("text", range(TEXTS))
def test_read_at_once_every_logit_is_openais(engine: Engine, text: int) -> None:
    logits = engine.logits(TOKENS[text].tolist())
    assert logits.dtype == np.float32
    assert_close(logits, LOGITS[text])


def test_read_token_by_token_every_logit_is_openais(engine: Engine) -> None:
    engine.reset(TEXTS)
    for at in range(LENGTH):
        assert_close(engine.decode(TOKENS[:, at].tolist(), [at] * TEXTS), LOGITS[:, at])


@pytest.mark.parametrize("sizes", [[5, 1, 11, 20], [1, 36], [36, 1], [4, 6, 27], [1] * 37])
def test_reading_in_pieces_changes_nothing(engine: Engine, sizes: list[int]) -> None:
    engine.reset(1)
    for piece in pieces(sizes):
        logits = engine.prefill(TOKENS[0, piece].tolist(), piece.start, every=True)
        assert_close(logits, LOGITS[0, piece])


def test_rows_share_what_was_read_for_them(engine: Engine) -> None:
    engine.reset(3)
    engine.prefill(TOKENS[1, :9].tolist(), rows=[0, 1, 2])
    engine.prefill(TOKENS[1, 9:14].tolist(), start=9, rows=[0, 2])
    logits = engine.decode(TOKENS[1, [14, 9, 14]].tolist(), [14, 9, 14])
    assert_close(logits, LOGITS[1, [14, 9, 14]])


def test_rows_may_stand_at_different_places(engine: Engine) -> None:
    engine.reset(TEXTS)
    lengths = [3, 17, 8]
    for row, length in enumerate(lengths):
        engine.prefill(TOKENS[row, :length].tolist(), rows=[row])
    for step in range(13):
        at = [length + step for length in lengths]
        rows = range(TEXTS)
        assert_close(engine.decode(TOKENS[rows, at].tolist(), at), LOGITS[rows, at])


def test_a_row_can_be_cut_back_and_go_on_otherwise(engine: Engine) -> None:
    engine.reset(1)
    engine.prefill(TOKENS[0, :20].tolist())
    engine.prefill(TOKENS[2, :10].tolist())
    assert_close(engine.decode([int(TOKENS[2, 10])], [10])[0], LOGITS[2, 10])


@pytest.mark.parametrize("seed", [1, 2])
def test_in_whatever_order_texts_are_read_every_logit_is_openais(engine: Engine, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(8):
        texts = random.integers(TEXTS, size=random.integers(1, 5))
        ends = [int(end) for end in random.integers(LENGTH - 1, size=len(texts))]
        engine.reset(len(texts))
        for row, (text, end) in enumerate(zip(texts, ends, strict=True)):
            start = 0
            while start < end:
                piece = slice(start, start + int(random.integers(1, end - start + 1)))
                every = bool(random.integers(2))
                logits = engine.prefill(TOKENS[text, piece].tolist(), start, [row], every)
                assert_close(logits, LOGITS[text, piece][None if every else -1 :])
                start = piece.stop
        while max(ends) < LENGTH:
            assert_close(engine.decode(TOKENS[texts, ends].tolist(), ends), LOGITS[texts, ends])
            ends = [end + 1 for end in ends]


def test_only_the_last_logits_come_unless_all_are_wanted(engine: Engine) -> None:
    engine.reset(1)
    assert_close(engine.prefill(TOKENS[0, :7].tolist()), LOGITS[0, 6:7])
    assert_close(engine.read(TOKENS[0, :7].tolist(), [0]), LOGITS[0, 6])


def test_no_tokens_have_no_logits(engine: Engine) -> None:
    assert engine.logits([]).shape == (0, 211)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [([0] * 38, "38 tokens do not fit the model's window of 37"), ([211], "no 211"), ([-1], "-1")],
)
def test_impossible_tokens_are_refused(engine: Engine, tokens: list[int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        engine.logits(tokens)


def test_another_length_is_not_traced_again(tmp_path: Path) -> None:
    engine = tensorflow_engine(copy_of_parity(tmp_path))
    engine.reset(2)
    for length in (1, 2, 17, 30):
        engine.reset(2)
        engine.prefill([5] * length, rows=[0, 1])
        engine.decode([3, 4], [length, length - 1])
    assert engine._prefill.experimental_get_tracing_count() == 1  # type: ignore[attr-defined]
    assert engine._decode.experimental_get_tracing_count() == 1  # type: ignore[attr-defined]


def test_too_little_memory_on_the_device_is_said_so_that_a_batch_can_be_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    engine = tensorflow_engine(copy_of_parity(tmp_path))

    def exhausted(*arguments: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(tf, "zeros", exhausted)
    with pytest.raises(OutOfMemory, match="try a smaller --batch_size"):
        engine.reset(64)


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A window of several growth steps of the cache."""
    hparams = HParams(n_vocab=101, n_ctx=2 * STEP + 45, n_embd=22, n_head=2, n_layer=3)
    return random_checkpoint(tmp_path_factory.mktemp("long"), hparams)


def test_the_cache_grows_and_shrinks_without_a_trace(long_model: Path) -> None:
    engine, plain = load_engine(long_model, "cpu"), tensorflow_engine(long_model)
    random = np.random.default_rng(0)
    window = engine.hparams.n_ctx
    texts = random.integers(101, size=[2, window]).tolist()
    expected = np.stack([plain.logits(text) for text in texts])
    engine.reset(2)
    for positions in ([*range(window)], [*range(7)], [*range(STEP + 9)]):
        for at in positions:
            logits = engine.decode([text[at] for text in texts], [at, at])
            assert_close(logits, expected[:, at])


def test_long_pieces_after_a_long_past_are_read_in_parts(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load_engine(long_model, "cpu")
    text = np.random.default_rng(1).integers(101, size=engine.hparams.n_ctx).tolist()
    whole = engine.logits(text)
    monkeypatch.setattr("gpt2_sampler.engines.litert.engine.BROADCAST", 22 * 100 * 7)
    engine.reset(1)
    engine.prefill(text[:100])
    assert_close(engine.prefill(text[100:], start=100, every=True), whole[100:])


def test_int8_stays_near_float32(long_model: Path) -> None:
    text = np.random.default_rng(2).integers(101, size=97).tolist()
    exact = load_engine(long_model, "cpu").logits(text)
    near = load_engine(long_model, "cpu", "int8").logits(text)
    assert not np.array_equal(near, exact)
    assert np.abs(near - exact).mean() < 0.1 * np.abs(exact).mean()


def test_an_int8_cache_stays_near_float32(long_model: Path) -> None:
    texts = np.random.default_rng(3).integers(101, size=[2, 2 * STEP + 5]).tolist()
    exact, near = (load_engine(long_model, "cpu", p) for p in ("float32", "int8"))
    read = STEP - 5
    for engine in exact, near:
        engine.reset(2)
        engine.prefill(texts[0][:read], rows=[0])
        engine.prefill(texts[1][: read - 3], rows=[1])
        engine.prefill(texts[1][read - 3 : read], start=read - 3, rows=[1])
    for at in range(read, 2 * STEP + 5):
        right, got = (e.decode([text[at] for text in texts], [at, at]) for e in (exact, near))
        assert 0 < np.abs(got - right).mean() < 0.03 * np.abs(right).mean()


def test_layers_that_lie_anywhere_in_memory_are_written_one_by_one(
    long_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written() -> np.ndarray:
        engine = load_engine(long_model, "cpu", "int8")
        engine.reset(2)
        engine.prefill([5, 6, 7], rows=[0, 1])
        engine.decode([8, 9], [3, 2])
        return engine.decode([10, 11], [STEP, 3])

    together = written()
    monkeypatch.setattr("gpt2_sampler.engines.litert.engine.even_distance", lambda arrays: None)
    assert np.array_equal(written(), together)


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in memory")
def test_the_file_leaves_the_memory_once_the_kernels_have_their_copies(long_model: Path) -> None:
    engine = load_engine(long_model, "cpu", "int8")
    name = os.path.realpath(long_model / "litert" / "int8.tflite")
    maps = Path("/proc/self/smaps").read_text().split("VmFlags")
    resident = [int(m[1]) for part in maps if name in part and (m := RESIDENT.search(part))]
    assert set(resident) == {0}
    assert np.isfinite(engine.logits([1, 2, 3])).all()


def test_a_cpu_is_served_by_litert_at_either_precision(long_model: Path) -> None:
    for precision in ("float32", "int8"):
        assert isinstance(load_engine(long_model, "auto", precision), LiteRTEngine)


def test_a_gpu_that_is_not_there_is_said_in_one_line(long_model: Path) -> None:
    with pytest.raises(EngineError, match="no GPU on this machine"):
        load_engine(long_model, "gpu")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "tpu"}, "device must be one of auto, cpu, gpu, not 'tpu'"),
        ({"device": "gpu", "precision": "int8"}, "precision int8 is for the CPU"),
        ({"precision": "int4"}, "precision must be one of float32, int8, not 'int4'"),
    ],
)
def test_unknown_choices_are_refused(long_model: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load_engine(long_model, **options)  # type: ignore[arg-type]


def test_a_folder_may_be_given_as_text(long_model: Path) -> None:
    engine = load_engine(str(long_model), "cpu")
    assert engine.hparams == open_checkpoint(long_model).hparams


def test_both_engines_write_the_same_text_from_the_same_seed() -> None:
    engines = [load_engine(DEMO, "cpu"), tensorflow_engine(DEMO)]
    sampling = Sampling(temperature=0.8, top_k=40)
    one, other = (
        [*generate(engine, [4095], range(3), length=60, rows=2, seed=7, sampling=sampling)]
        for engine in engines
    )
    assert one == other
