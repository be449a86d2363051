"""Each row's token is what it would be alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.decoding.choose import choose, distribution
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from tests.decoding.slow import Rows, extremes, keys


@settings(max_examples=200)
@given(extremes, st.integers(0, 2**32))
def test_each_row_draws_what_it_draws_alone(rows: Rows, seed: int) -> None:
    logits, histories, samplings = rows
    own = keys(len(logits), seed)
    alone = [
        int(choose(logits[n : n + 1], [histories[n]], [samplings[n]], own[n : n + 1])[0])
        for n in range(len(logits))
    ]
    assert choose(logits, histories, samplings, own).tolist() == alone
    for n, token in enumerate(alone):
        assert distribution(logits[n], histories[n], samplings[n])[token] > -np.inf


def test_a_row_that_keeps_every_token_changes_no_other() -> None:
    logits = np.array([[0, 1, 2, 3], [9, 1, 2, 3]], np.float32)
    histories = [History([1, 2, 1, 2, 1]), History([0, 0])]
    sampling = Sampling(temperature=0.01, top_k=3, no_repeat_ngram=1)
    drawn = choose(logits, histories, [sampling] * 2, np.array([1, 2], np.uint64))
    assert drawn.tolist() == [3, 3]
