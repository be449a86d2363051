"""What the page works out of the next token beside what the sampler does."""

from __future__ import annotations

import numpy as np
import pytest

from gpt2_sampler.decoding.logits import log_softmax
from gpt2_sampler.decoding.plain import distribution
from gpt2_sampler.decoding.rules import History
from gpt2_sampler.decoding.sampling import Sampling
from tests.serving.page.driving import NEEDS_BROWSER, Page

pytestmark = NEEDS_BROWSER

SETTINGS = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.5},
    {"temperature": 1.7, "top_k": 7},
    {"top_p": 0.8},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.02},
    {"min_p": 0.1},
]


@pytest.mark.parametrize(("vocabulary", "allowed"), [(50, 1e-6), (50_257, 0.02)])
def test_the_page_filters_as_the_sampler_does(page: Page, vocabulary: int, allowed: float) -> None:
    """Exactly where it knows all tokens; closely where it knows 50 of GPT-2's vocabulary."""
    logits = -1.1 * np.log(np.arange(1, vocabulary + 1) + 2.0).astype(np.float32)
    known = log_softmax(logits.astype(np.float64))[:50].tolist()
    neutral = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    found = page.driver.execute_async_script(
        "const [known, all, told] = arguments; import('/page/distribution.js').then("
        "({ filtered }) => told(all.map((one) => filtered(known, one).shares)))",
        known,
        [{**neutral, **settings} for settings in SETTINGS],
    )
    for settings, shares in zip(SETTINGS, found, strict=True):
        expected = np.exp(distribution(logits, History(), Sampling(**settings)))[:50]  # type: ignore[arg-type]
        got = np.array([0 if share is None else share for share in shares])
        assert np.abs(got - expected).max() < allowed, settings
