"""An error is one line of bounded length, whatever it quotes."""

from __future__ import annotations

import time

import pytest

from gpt2_sampler.errors import SamplerError, brief


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("gpt_neo", "'gpt_neo'"), ("x" * 10**7, f"'{'x' * 39}"), ("a\nb", r"'a\nb'"), (7, "7"),
        (1 << 70, "1180591620717411303424"), (-1, "-1"), (True, "True"), (None, "None"),
        (0.5, "0.5"), (["gelu"], "list"), ({"a": 1}, "dict"),
    ],
)  # fmt: skip
def test_a_value_is_quoted_by_its_beginning_or_its_type(value: object, says: str) -> None:
    assert brief(value) == says


def test_a_value_that_would_take_for_ever_to_write_takes_no_time() -> None:
    began = time.process_time()
    assert brief(nested(60)) == "list"
    assert brief(1 << 1_000_000) == "a number of 1000001 bits"
    assert time.process_time() - began < 1  # seconds


def test_lines_become_one_and_what_is_long_loses_its_middle() -> None:
    assert str(SamplerError("a\nb\r\n c\u2028d")) == "a b  c d"
    message = str(SamplerError("begin" + "x" * 10_000 + "end"))
    assert len(message) < 2001
    assert message.startswith("begin") and message.endswith("end") and "…" in message
