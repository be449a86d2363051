"""Which tokens are the likeliest, and how likely, is what sorting everything gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpt2_sampler.decoding.logits import log_softmax, logsumexp, take_likeliest
from gpt2_sampler.decoding.plain import tell
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from tests.decoding.slow import possible, rows_of_logits


@given(rows_of_logits, st.integers(0, 17))
def test_the_likeliest_tokens_are_in_order(logits: np.ndarray, n: int) -> None:
    for row in logits:
        in_order = sorted(range(len(row)), key=lambda token: (-row[token], token))
        assert take_likeliest(row, n) == in_order[:n]


@pytest.mark.parametrize("n_vocab", [63, 64, 641, 5003])
@pytest.mark.parametrize("n_values", [2, 90, 10**6])
def test_the_likeliest_of_many_are_too(n_vocab: int, n_values: int) -> None:
    row = np.random.default_rng(n_vocab).integers(n_values, size=n_vocab).astype(np.float32)
    in_order = sorted(range(n_vocab), key=lambda token: (-row[token], token))
    for n in (0, 1, 2, 9, 10, 11, 78, 79, n_vocab, n_vocab + 1):
        assert take_likeliest(row, n) == in_order[:n]


@given(rows_of_logits, st.data())
def test_what_is_told_is_what_sorting_everything_gives(
    logits: np.ndarray, data: st.DataObject
) -> None:
    assume(possible(logits))
    n_rows, n_vocab = logits.shape
    ids = [data.draw(st.integers(0, n_vocab - 1)) for _ in range(n_rows)]
    tops = [data.draw(st.integers(0, 19)) for _ in range(n_rows)]
    standing = tell(logits, [History()] * n_rows, [Sampling()] * n_rows, ids, tops)
    assert standing.top_ids.shape == (n_rows, min(max(tops), n_vocab))
    for n, (row, token, top) in enumerate(zip(logits, ids, tops, strict=True)):
        in_order = sorted(range(n_vocab), key=lambda token: (-row[token], token))
        assert standing.ranks[n] == in_order.index(token) + 1
        best = in_order[:top]
        rest = standing.top_ids.shape[1] - len(best)
        assert standing.top_ids[n].tolist() == [*best, *[-1] * rest]
        expected = log_softmax(row)
        np.testing.assert_allclose(standing.own_logprobs[n], expected[token], atol=1e-5)
        wanted = [*expected[best], *[-np.inf] * rest]
        np.testing.assert_allclose(standing.top_logprobs[n], wanted, atol=1e-5)


def test_nothing_is_told_of_no_rows() -> None:
    standing = tell(np.zeros([0, 5], np.float32), [], [], [], [])
    assert [len(part) for part in standing] == [0] * 6
    assert standing.top_ids.shape == (0, 0)


@pytest.mark.parametrize("logit", [-3e38, -1e5, 0.0, 1e5, 3e38])
def test_the_logarithm_of_a_sum_does_not_overflow(logit: float) -> None:
    logits = np.full([1, 7], logit, np.float32)
    np.testing.assert_allclose(logsumexp(logits), np.float32(logit) + np.log(7), rtol=1e-7)
