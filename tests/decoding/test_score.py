"""A text is scored as from one look at all of it, in pieces and by windows."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gpt2_sampler.decoding.reading import PIECE
from gpt2_sampler.decoding.score import Place, next_logprobs, places, score, score_texts
from gpt2_sampler.engines.load import load_engine
from gpt2_sampler.errors import CheckpointError, UsageError
from tests.checkpoints import PARITY_EXPECTED, copy_of_parity
from tests.fake_engine import FakeEngine, Floats, hashed

V, C = 31, 13


def text(n_tokens: int) -> list[int]:
    return np.random.default_rng(n_tokens).integers(V, size=n_tokens).tolist()


def slow_contexts(tokens: list[int], window: int, stride: int) -> list[list[int]]:
    """What stands before each token after the first, in the window that it belongs to: the first
    of those that begin at each stride and reach it."""
    return [
        tokens[next(b for b in range(0, at + 1, stride) if at < b + window) : at]
        for at in range(1, len(tokens))
    ]


def slow_logprobs(logits: np.ndarray) -> list[float]:
    whole = sum(math.exp(logit) for logit in logits.tolist())
    return [logit - math.log(whole) for logit in logits.tolist()]


@pytest.mark.parametrize("n_tokens", [1, 2, 12, 13, 14, 19, 20, 50])
@pytest.mark.parametrize("stride", [1, 5, 12, None])
def test_each_token_is_seen_after_those_in_its_window(n_tokens: int, stride: int | None) -> None:
    tokens = text(n_tokens)
    contexts = slow_contexts(tokens, C, stride or C // 2)
    assert all(len(c) >= min(at, C - (stride or C // 2)) for at, c in enumerate(contexts, 1))
    expected = [
        slow_logprobs(hashed(context, V))[token]
        for context, token in zip(contexts, tokens[1:], strict=True)
    ]
    scored = score(FakeEngine(V, C), tokens, stride=stride)
    assert scored.dtype == np.float64
    np.testing.assert_allclose(scored, expected, atol=1e-5)


def test_a_text_is_read_in_pieces_and_once() -> None:
    engine = FakeEngine(V, 10 * PIECE)
    n_tokens = 3 * PIECE + 7
    assert len(score(engine, text(n_tokens))) == n_tokens - 1
    assert max(engine.calls) == PIECE
    assert sum(engine.calls) == n_tokens - 1


def test_the_logits_of_a_long_text_are_never_held() -> None:
    engine = FakeEngine(5003, 600)
    tokens = text(600)
    tracemalloc.start()
    score(engine, tokens)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 600 * 5003 * 4 / 2


def test_after_a_start_of_text_scores_and_ranks_are_those_of_openais_logits(tmp_path: Path) -> None:
    expected = np.load(PARITY_EXPECTED)
    engine = load_engine(copy_of_parity(tmp_path), "cpu")
    texts = expected["tokens"].tolist()
    found: dict[int, list[Place]] = {}
    for number, some in score_texts(engine, texts):
        found.setdefault(number, []).extend(some)
    for number, (_, *tokens) in enumerate(texts):  # the first token stands for the start of text
        logits = expected["logits"][number].astype(np.float64)
        assert [place.token for place in found[number]] == tokens
        for place, after in zip(found[number], logits, strict=False):
            assert place.logprob == pytest.approx(slow_logprobs(after)[place.token], abs=1e-4)
            assert place.rank == np.argsort(-after).tolist().index(place.token) + 1  # as in GLTR


@pytest.mark.parametrize("n_tokens", [1, 2, 30])
def test_places_tell_the_rank_and_the_likeliest_tokens(n_tokens: int) -> None:
    tokens = text(n_tokens)
    told = list(places(FakeEngine(V, C), tokens, top=3, stride=4))
    scored = score(FakeEngine(V, C), tokens, stride=4)
    contexts = slow_contexts(tokens, C, 4)
    assert len(told) == n_tokens - 1
    for place, token, context, logprob in zip(told, tokens[1:], contexts, scored, strict=True):
        logprobs = slow_logprobs(hashed(context, V))
        in_order = sorted(range(V), key=lambda token: (-logprobs[token], token))
        assert place.token == token
        assert place.logprob == pytest.approx(logprob, abs=1e-5)
        assert place.rank == in_order.index(token) + 1
        assert [token for token, _ in place.top] == in_order[:3]
        assert [p for _, p in place.top] == pytest.approx(
            [logprobs[t] for t in in_order[:3]], abs=1e-5
        )


@pytest.mark.parametrize("rows", [1, 3, 32])
def test_texts_that_are_read_side_by_side_come_in_order(rows: int) -> None:
    texts = [text(n) for n in (5, 1, 40, 2, 13, 1, 7)]
    found: dict[int, list[object]] = {}
    for number, some in score_texts(FakeEngine(V, C), texts, top=2, rows=rows):
        assert number in found or number == len(found)
        found.setdefault(number, []).extend(some)
    expected = {n: list(places(FakeEngine(V, C), one, top=2)) for n, one in enumerate(texts)}
    assert found == expected


def test_a_text_is_told_while_it_is_still_being_read() -> None:
    engine = FakeEngine(V, 10 * PIECE)
    next(score_texts(engine, [text(5 * PIECE)]))
    assert sum(engine.calls) == PIECE


def test_the_next_token_has_a_probability_of_every_token() -> None:
    tokens = text(30)
    found = next_logprobs(FakeEngine(V, 40), tokens)
    np.testing.assert_allclose(found, slow_logprobs(hashed(tokens, V)), atol=1e-5)


@pytest.mark.parametrize("stride", [0, C, -1])
def test_a_stride_must_leave_some_of_the_window(stride: int) -> None:
    with pytest.raises(UsageError, match=f"stride must be 1 to {C - 1} tokens, not {stride}"):
        score(FakeEngine(V, C), text(20), stride=stride)


@pytest.mark.parametrize("tokens", [[], [V], [-1, 2]])
def test_what_is_no_text_is_refused(tokens: list[int]) -> None:
    with pytest.raises(UsageError):
        score(FakeEngine(V, C), tokens)


def test_logits_that_are_no_numbers_are_an_error() -> None:
    class Diverged(FakeEngine):
        def _logits(self, seen: np.ndarray) -> Floats:
            return super()._logits(seen) * np.nan

    with pytest.raises(CheckpointError, match="not numbers"):
        score(Diverged(V, C), text(5))
