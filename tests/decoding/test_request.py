"""A request is checked when it is made, and its noise depends on its prompt."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gpt2_sampler.decoding.request import Request, check_tokens, stream_of
from gpt2_sampler.errors import UsageError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("length", -1), ("length", 1.5), ("length", True), ("length", None), ("length", "2"),
        ("drawn", -1), ("drawn", 0.0), ("drawn", None),
        ("top", -1), ("top", 2.0), ("top", "3"),
        ("tell_from", 0), ("tell_from", 1.0),
        ("sampling", None), ("sampling", {"top_k": 4}),
        ("stream", ()), ("stream", (1, -1)), ("stream", (1.0,)), ("stream", [1]), ("stream", 7),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(field: str, value: object) -> None:
    values = {"id": 0, "tokens": [1, 2], "stream": (0,), "length": 3} | {field: value}
    with pytest.raises(UsageError, match=field):
        Request(**values)  # type: ignore[arg-type]


def test_a_request_that_neither_draws_nor_tells_is_refused() -> None:
    for tell_from in (None, 2, 9):
        with pytest.raises(UsageError, match="length 0 must tell some of its own tokens"):
            Request(0, [1, 2], tell_from=tell_from)
    assert Request(0, [1, 2], tell_from=1).stream == ()


def test_the_stream_of_a_sample_has_a_hash_of_its_prompt() -> None:
    assert stream_of(7, 3) == (7, 3)
    digest = hashlib.sha256(b"464 3290").digest()
    assert stream_of(7, 3, [464, 3290]) == (7, int.from_bytes(digest[:8], "little"), 3)


@pytest.mark.parametrize("tokens", [[1, 30], (0,), np.array([3, 4]), [np.int32(7)], range(5)])
def test_any_sequence_of_token_ids_is_a_text(tokens: list[int]) -> None:
    text = check_tokens(tokens, 31)
    assert text == list(tokens) and all(type(token) is int for token in text)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([], "at least one token"),
        ([1, 31], "no 31"),
        ([-1], "no -1"),
        ([2**70], "no 1180591620717411303424"),
        ([True], "no True"),
        ([1.0], "no 1.0"),
        ("ab", "tokens must be token ids, not 'ab'"),
        (b"ab", "tokens must be token ids, not b'ab'"),
        (7, "tokens must be token ids, not 7"),
        ([None], "no None"),
    ],
)
def test_what_the_model_has_no_token_for_is_refused(tokens: list[int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_tokens(tokens, 31)
