"""The stop text that ends first is found, and no more is held back than may become one."""

from __future__ import annotations

import time

from hypothesis import assume, given
from hypothesis import strategies as st

from gpt2_sampler.decoding.stops import Stops

few_letters = st.text("ab", max_size=12)
stop_texts = st.lists(st.text("ab", min_size=1, max_size=4), max_size=5)


@given(few_letters, stop_texts)
def test_of_several_the_one_that_ends_first_is_found(written: str, stops: list[str]) -> None:
    expected = None
    for end in range(len(written) + 1):
        if ending := [stop for stop in stops if written[:end].endswith(stop)]:
            expected = end - max(map(len, ending))
            break
    assert Stops(stops).find(written) == expected


@given(few_letters, stop_texts)
def test_what_can_become_no_stop_text_is_not_held_back(written: str, stops: list[str]) -> None:
    assume(not any(stop in written for stop in stops))
    beginnings = [stop[:n] for stop in stops for n in range(1, len(stop))]
    ends = [beginning for beginning in beginnings if written.endswith(beginning)]
    assert Stops(stops).pending(written) == max(map(len, ends), default=0)


def test_a_stop_text_inside_one_token_is_found() -> None:
    assert Stops(["c", "abc", "b"]).find("xabcx") == 2
    assert Stops(["c", "abc"]).find("xabcx") == 1
    assert Stops(["d"]).find("xabcx") is None
    assert Stops([]).find("xabcx") is None and Stops([]).pending("xabcx") == 0


def test_a_thousand_long_texts_that_nearly_match_cost_little() -> None:
    stops = Stops(f"{'a' * 1000}{n}" for n in range(1000))
    began = time.process_time()
    for length in range(1, 1000, 10):
        written = "a" * length
        assert stops.find(written) is None and stops.pending(written) == length
    assert time.process_time() - began < 2
