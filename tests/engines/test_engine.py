"""Every engine answers one contract, and gives OpenAI's logits however the text is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.engines.engine import Cache, Engine
from gpt2_sampler.engines.litert import attention
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import UsageError
from tests.checkpoints import PARITY_EXPECTED, copy_of_parity

CLOSE = 1e-4
EXPECTED = np.load(PARITY_EXPECTED)
TOKENS, LOGITS = EXPECTED["tokens"], EXPECTED["logits"]
TEXTS, LENGTH = TOKENS.shape


@pytest.fixture(scope="module", params=["compiled", "plain", "tensorflow"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    folder = copy_of_parity(tmp_path_factory.mktemp("parity"))
    if request.param == "compiled" and attention.find_kernel() is None:
        pytest.skip("attention.c is not compiled here: pip install -e .")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(attention, "find_kernel", lambda: None)
        yield load(request.param, folder)


def assert_close(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, rtol=0, atol=CLOSE)


def read(engine: Engine, cache: Cache, text: int, row: int, places: slice) -> None:
    """Reads a piece of a text into a row, and holds the logits after each token to OpenAI's."""
    at = range(LENGTH)[places]
    n = range(len(at))
    logits = engine.forward(cache, TOKENS[text, places].tolist(), [row] * len(at), at, n)
    assert_close(logits, LOGITS[text, places])


@pytest.mark.parametrize("text", range(TEXTS))
def test_read_at_once_every_logit_is_openais(engine: Engine, text: int) -> None:
    logits = engine.logits(TOKENS[text].tolist())
    assert logits.dtype == np.float32
    assert_close(logits, LOGITS[text])


def test_read_token_by_token_every_logit_is_openais(engine: Engine) -> None:
    cache = engine.new_cache(TEXTS)
    rows = range(TEXTS)
    for at in range(LENGTH):
        logits = engine.forward(cache, TOKENS[:, at].tolist(), rows, [at] * TEXTS, rows)
        assert_close(logits, LOGITS[:, at])


@pytest.mark.parametrize("sizes", [[5, 1, 11, 20], [1, 36], [36, 1], [4, 6, 27], [16, 17, 4]])
def test_reading_in_pieces_changes_nothing(engine: Engine, sizes: list[int]) -> None:
    cache = engine.new_cache(2)
    for piece in pieces(sizes):
        read(engine, cache, 0, 1, piece)


def pieces(sizes: list[int]) -> Iterator[slice]:
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size


@pytest.mark.parametrize("seed", range(6))
def test_rows_mixed_at_random_give_openais_logits(engine: Engine, seed: int) -> None:
    """Each call reads a random number of tokens, none or many, of rows in a random order, and
    wants the logits after some of them in a random order."""
    random = np.random.default_rng(seed)
    texts = random.integers(TEXTS, size=random.integers(1, 6))
    cache = engine.new_cache(len(texts))
    done = np.zeros(len(texts), int)
    while (done < LENGTH).any():
        tokens: list[tuple[int, int, int]] = []  # token, row, position
        for row in random.permutation(len(texts)).tolist():
            most = min(LENGTH - done[row], int(random.choice([0, 1, 1, 9, 19])))
            new = range(done[row], done[row] + most)
            tokens += [(int(TOKENS[texts[row], at]), row, at) for at in new]
            done[row] += most
        if not tokens:
            continue
        wanted = random.permutation(len(tokens))[: random.integers(len(tokens) + 1)]
        logits = engine.forward(cache, *map(list, zip(*tokens, strict=True)), wanted.tolist())  # type: ignore[call-arg]
        assert logits.shape == (len(wanted), LOGITS.shape[-1])
        for n, got in zip(wanted, logits, strict=True):
            _, row, at = tokens[n]
            assert_close(got, LOGITS[texts[row], at])


def test_rows_share_what_was_read_once(engine: Engine) -> None:
    cache = engine.new_cache(4)
    read(engine, cache, 1, 2, slice(0, 19))
    engine.copy(cache, 2, [0, 3], 17)
    for row, cut in ((0, 17), (2, 19), (3, 5)):
        read(engine, cache, 1, row, slice(cut, cut + 13))


def test_a_row_can_be_cut_back_and_go_on_otherwise(engine: Engine) -> None:
    cache = engine.new_cache(1)
    read(engine, cache, 0, 0, slice(0, 20))
    read(engine, cache, 2, 0, slice(0, 10))
    read(engine, cache, 2, 0, slice(7, 12))


def test_what_a_row_held_before_is_not_seen(engine: Engine) -> None:
    cache = engine.new_cache(2)
    for row in range(2):
        read(engine, cache, row, row, slice(0, LENGTH))
    cache = engine.new_cache(2)
    read(engine, cache, 2, 1, slice(0, 1))
    read(engine, cache, 2, 1, slice(1, LENGTH))


def test_the_number_of_rows_can_change(engine: Engine) -> None:
    for rows in (1, 5, 2):
        cache = engine.new_cache(rows)
        assert cache.rows == rows
        read(engine, cache, 1, rows - 1, slice(0, 9))


def test_two_readers_of_one_engine_do_not_disturb_each_other(engine: Engine) -> None:
    caches = [engine.new_cache(1), engine.new_cache(2)]
    for piece in pieces([1, 9, 4, 23]):
        for number, cache in enumerate(caches):
            read(engine, cache, number, number, piece)


def test_logits_belong_to_whoever_asked_for_them(engine: Engine) -> None:
    cache = engine.new_cache(1)
    first = engine.forward(cache, [int(TOKENS[0, 0])], [0], [0], [0])
    engine.forward(cache, [int(TOKENS[1, 0])], [0], [0], [0])
    assert_close(first, LOGITS[0, :1])


def test_threads_take_their_turns(engine: Engine) -> None:
    def read_all(number: int) -> None:
        cache = engine.new_cache(2)
        for piece in pieces([1] * 9 + [5, 23]):
            read(engine, cache, number % TEXTS, number % 2, piece)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(read_all, number) for number in range(8)]:
            done.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_is_told_that_it_cannot_read(engine: Engine) -> None:
    cache = engine.new_cache(1)
    with engine.lock:  # as another thread may hold it
        assert in_child(lambda: engine.lock) == in_child(lambda: engine.logits([1]))
        said = in_child(lambda: engine.forward(cache, [1], [0], [0], [0]))
    assert said.startswith("EngineError: this process was forked from the one that loaded")
    assert np.isfinite(engine.logits([1])).all()


def in_child(call: Callable[[], object]) -> str:
    """What a forked process says of the error that it meets."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            call()
        except Exception as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    return os.read(reading, 10_000).decode()


@pytest.mark.parametrize("name", ["litert", "tensorflow"])
def test_a_closed_engine_reads_no_more(name: str, tmp_path: Path) -> None:
    with load(name, copy_of_parity(tmp_path)) as engine:
        cache = engine.new_cache(1)
        engine.forward(cache, [1], [0], [0], [0])
    engine.close()
    for call in (
        lambda: engine.forward(cache, [1], [0], [1], [0]),
        lambda: engine.copy(cache, 0, [0], 1),
        lambda: engine.new_cache(1),
        lambda: engine.logits([1]),
    ):
        with pytest.raises(UsageError, match="the engine is closed"):
            call()


def load(name: str, folder: Path) -> Engine:
    if name != "tensorflow":
        return load_engine(folder, "cpu")
    pytest.importorskip("tensorflow")
    from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(folder, "cpu")


def test_no_tokens_have_no_logits(engine: Engine) -> None:
    assert engine.logits([]).shape == (0, 211)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [([0] * 38, "38 tokens do not fit the model's window of 37"), ([211], "no 211"), ([-1], "-1")],
)
def test_impossible_tokens_are_refused(engine: Engine, tokens: list[int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        engine.logits(tokens)
