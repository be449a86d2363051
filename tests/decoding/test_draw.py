"""The draw of a few tokens and that of many are one rule."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.decoding.draw import draw, draw_from_few, draw_from_many
from gpt2_sampler.decoding.rules import scale
from tests.decoding.slow import keys


@settings(max_examples=50)
@given(
    st.sampled_from([1, 31, 2047, 2053, 9001, 70001]),
    st.integers(0, 2**32),
    st.sampled_from([5e-324, 1e-38, 0.3, 1, 2.5, 1e10, 1e308]),
    st.sampled_from([0.0, 0.1, 3.0, 1e3, 1e30]),
    st.sampled_from([0.0, 0.5, 0.999]),
)
def test_a_draw_from_many_looks_at_all_that_matters(
    n_vocab: int, seed: int, temperature: float, spread: float, impossible: float
) -> None:
    random = np.random.default_rng(seed)
    logits = (random.normal(size=[1, n_vocab]) * spread).astype(np.float32)
    logits[:, 1:][random.random([1, n_vocab - 1]) < impossible] = -np.inf
    scaled, own = scale(logits, temperature), keys(1, seed)
    expected = draw_from_few(scaled[0], np.arange(n_vocab), own)
    assert draw_from_many(scaled[0], own) == expected == draw(scaled, own)[0]
