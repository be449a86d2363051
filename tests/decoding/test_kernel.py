"""The compiled draw gives what NumPy gives, whatever the settings, sizes and processors."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.compiled import load_library
from gpt2_sampler.decoding import plain
from gpt2_sampler.decoding.kernel import DrawKernel, find_kernel
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import CheckpointError, UsageError
from tests.checkpoints import ROOT
from tests.decoding.slow import Rows, extremes, keys, large_rows

if load_library(ROOT / "src" / "gpt2_sampler" / "decoding", "_draw") is None:
    pytest.skip("there was no C compiler", allow_module_level=True)
FOUND = find_kernel()
assert FOUND is not None, "it is of another checkout: python setup.py build_ext --inplace"
LIBRARY = FOUND.library
KERNELS = [DrawKernel(LIBRARY, version) for version in range(LIBRARY.draw_versions())]


def agree(kernel: DrawKernel, rows: Rows, seed: int) -> None:
    logits, histories, samplings = rows
    own = keys(len(logits), seed)
    expected = plain.choose(logits, histories, samplings, own).tolist()
    for threads in (1, 3):
        assert kernel.choose(logits, histories, samplings, own, threads).tolist() == expected
    for row, history, sampling in zip(logits, histories, samplings, strict=True):
        np.testing.assert_allclose(
            kernel.distribution(row, history, sampling),
            plain.distribution(row, history, sampling),
            rtol=1e-9,
            atol=1e-9,
        )


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=150)
@given(extremes, st.integers(0, 2**32))
def test_a_few_tokens_are_drawn_as_numpy_draws_them(
    kernel: DrawKernel, rows: Rows, seed: int
) -> None:
    agree(kernel, rows, seed)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=25)
@given(large_rows, st.integers(0, 2**32))
def test_many_tokens_are_drawn_as_numpy_draws_them(
    kernel: DrawKernel, rows: Rows, seed: int
) -> None:
    agree(kernel, rows, seed)


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=25)
@given(extremes | large_rows, st.data())
def test_the_same_is_told(kernel: DrawKernel, rows: Rows, data: st.DataObject) -> None:
    logits, histories, samplings = rows
    n_vocab = logits.shape[1]
    ids = [data.draw(st.integers(0, n_vocab - 1)) for _ in logits]
    tops = [data.draw(st.sampled_from([0, 1, 5, 10, 18, 3000])) for _ in logits]
    asked = (histories, samplings, ids, tops)
    expected = plain.tell(logits.astype(np.float64), *asked)
    for found, wanted in zip(kernel.tell(logits, *asked), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def texts_of(kernel: DrawKernel, numbers: Sequence[int]) -> list[int]:
    drawn = []
    for number in numbers:
        random = np.random.default_rng(number)
        logits = random.normal(size=[9, 5003]).astype(np.float32)
        histories = [History(random.integers(0, 5003, 50).tolist(), 20)] * 9
        samplings = [Sampling(0.5 + n / 9, 40, 0.9, 1.1, n % 3) for n in range(9)]
        drawn += kernel.choose(logits, histories, samplings, keys(9, number), 2).tolist()
    return drawn


def test_threads_do_not_disturb_each_other() -> None:
    kernel = KERNELS[-1]
    work = [range(n, n + 5) for n in range(4)]
    alone = [texts_of(kernel, numbers) for numbers in work]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda numbers: texts_of(kernel, numbers), work)) == alone


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 30, 4000, 5002])
def test_a_logit_that_is_no_number_is_found_wherever_it_is(bad: float, place: int) -> None:
    logits = np.zeros([5, 5003], np.float32)
    logits[3, place] = bad
    for sampling in (Sampling(), Sampling(top_k=5), Sampling(repetition_penalty=2)):
        for kernel in KERNELS:
            with pytest.raises(CheckpointError, match="not numbers"):
                kernel.choose(logits, [History([place])] * 5, [sampling] * 5, keys(5))


@pytest.mark.parametrize("token", [-1, 31, 2**31 - 1])
def test_a_history_has_tokens_of_the_vocabulary_alone(token: int) -> None:
    logits = np.zeros([1, 31], np.float32)
    with pytest.raises(UsageError, match="tokens 0 to 30"):
        KERNELS[0].choose(logits, [History([3, token])], [Sampling(no_repeat_ngram=1)], keys(1))


def test_no_rows_draw_nothing() -> None:
    assert KERNELS[-1].choose(np.zeros([0, 5], np.float32), [], [], keys(0)).tolist() == []
