"""What is told afterwards of a text is what Batch told while it was drawn."""

from __future__ import annotations

import pytest

from gpt2_sampler.decoding.batch import Batch
from gpt2_sampler.decoding.choices import choices
from gpt2_sampler.decoding.request import Request
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.errors import UsageError
from tests.fake_engine import FakeEngine

V, C = 31, 13
SAMPLINGS = [Sampling(), Sampling(0.7, top_k=5), Sampling(top_p=0.6, repetition_penalty=1.5)]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("n_prompt", [1, 7, C, 3 * C])
def test_choices_are_those_of_the_draw(sampling: Sampling, n_prompt: int) -> None:
    prompt = [token % V for token in range(n_prompt)]
    batch = Batch(FakeEngine(V, C), 1)
    batch.add(Request(0, prompt, (0, 0), sampling, length=50, top=4))
    drawn = []
    while len(batch):
        drawn += batch.step()
    text = [*prompt, *(token.id for token in drawn)]
    expected = [(token.choice, token.top) for token in drawn]
    engine = FakeEngine(V, C)
    assert list(choices(engine, text, n_prompt, sampling, 4)) == expected
    assert list(choices(engine, text, len(text) - 1, sampling, 4)) == expected[-1:]


def test_a_text_within_the_window_is_read_once() -> None:
    engine = FakeEngine(V, 400)
    assert len(list(choices(engine, [3] * 300, 10, Sampling(), 2))) == 290
    assert sum(engine.calls) == 299


def test_nothing_is_told_of_no_place_and_a_token_must_be_one() -> None:
    assert list(choices(FakeEngine(V, C), [1, 2], 2, Sampling(), 2)) == []
    with pytest.raises(UsageError, match=f"no {V}"):
        list(choices(FakeEngine(V, C), [1, V], 1, Sampling(), 2))
