"""Every engine answers one contract, and gives OpenAI's logits however the text is read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gpt2_sampler.engines.engine import Engine
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
    if request.param == "tensorflow":
        from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

        yield TensorFlowEngine(folder, "cpu")
        return
    if request.param == "compiled" and attention.find_kernel() is None:
        pytest.skip("attention.c is not compiled here: pip install -e .")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(attention, "find_kernel", lambda: None)
        yield load_engine(folder, "cpu")


def assert_close(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, rtol=0, atol=CLOSE)


def read(engine: Engine, text: int, row: int, places: slice) -> None:
    """Reads a piece of a text into a row, and holds the logits after each token to OpenAI's."""
    at = range(LENGTH)[places]
    n = range(len(at))
    logits = engine.forward(TOKENS[text, places].tolist(), [row] * len(at), at, n)
    assert_close(logits, LOGITS[text, places])


@pytest.mark.parametrize("text", range(TEXTS))
def test_read_at_once_every_logit_is_openais(engine: Engine, text: int) -> None:
    logits = engine.logits(TOKENS[text].tolist())
    assert logits.dtype == np.float32
    assert_close(logits, LOGITS[text])


def test_read_token_by_token_every_logit_is_openais(engine: Engine) -> None:
    engine.reserve(TEXTS)
    rows = range(TEXTS)
    for at in range(LENGTH):
        logits = engine.forward(TOKENS[:, at].tolist(), rows, [at] * TEXTS, rows)
        assert_close(logits, LOGITS[:, at])


@pytest.mark.parametrize("sizes", [[5, 1, 11, 20], [1, 36], [36, 1], [4, 6, 27], [16, 17, 4]])
def test_reading_in_pieces_changes_nothing(engine: Engine, sizes: list[int]) -> None:
    engine.reserve(2)
    for piece in pieces(sizes):
        read(engine, 0, 1, piece)


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
    engine.reserve(len(texts))
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
        logits = engine.forward(*map(list, zip(*tokens, strict=True)), wanted.tolist())  # type: ignore[call-arg]
        assert logits.shape == (len(wanted), LOGITS.shape[-1])
        for n, got in zip(wanted, logits, strict=True):
            _, row, at = tokens[n]
            assert_close(got, LOGITS[texts[row], at])


def test_rows_share_what_was_read_once(engine: Engine) -> None:
    engine.reserve(4)
    read(engine, 1, 2, slice(0, 19))
    engine.copy(2, [0, 3], 17)
    for row, cut in ((0, 17), (2, 19), (3, 5)):
        read(engine, 1, row, slice(cut, cut + 13))


def test_a_row_can_be_cut_back_and_go_on_otherwise(engine: Engine) -> None:
    engine.reserve(1)
    read(engine, 0, 0, slice(0, 20))
    read(engine, 2, 0, slice(0, 10))
    read(engine, 2, 0, slice(7, 12))


def test_what_a_row_held_before_is_not_seen(engine: Engine) -> None:
    engine.reserve(2)
    for row in range(2):
        read(engine, row, row, slice(0, LENGTH))
    engine.reserve(2)
    read(engine, 2, 1, slice(0, 1))
    read(engine, 2, 1, slice(1, LENGTH))


def test_the_number_of_rows_can_change(engine: Engine) -> None:
    for rows in (1, 5, 2):
        engine.reserve(rows)
        assert engine.rows == rows
        read(engine, 1, rows - 1, slice(0, 9))


def test_no_tokens_have_no_logits(engine: Engine) -> None:
    assert engine.logits([]).shape == (0, 211)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [([0] * 38, "38 tokens do not fit the model's window of 37"), ([211], "no 211"), ([-1], "-1")],
)
def test_impossible_tokens_are_refused(engine: Engine, tokens: list[int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        engine.logits(tokens)
