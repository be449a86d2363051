from __future__ import annotations

import pytest

from gpt2_sampler.cli.session.slash import is_open, number_of, unquote
from gpt2_sampler.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "goes_on"),
    [
        ("", False),
        ("Once", False),
        ("Once\\", True),
        ("Once\\\nupon", False),
        ('"""', True),
        ('"""Once', True),
        ('"""\nOnce\n"""', False),
        ('"""Once""" ', False),
        ('""""""', False),
        ('""', False),
    ],
)
def test_quotes_and_a_backslash_say_that_another_line_follows(typed: str, goes_on: bool) -> None:
    assert is_open(typed) is goes_on


@pytest.mark.parametrize(
    ("typed", "prompt"),
    [
        ("Once", "Once"),
        ("Once ", "Once "),
        ("Once\\\nupon", "Once\nupon"),
        ("a pasted\nparagraph", "a pasted\nparagraph"),
        ('"""\nOnce\n\nupon\n"""', "Once\n\nupon"),
        ('"""/Once\\\n"""', "/Once\\"),
        ('""""""', ""),
        ("//Once", "/Once"),
        ("", ""),
    ],
)
def test_what_is_typed_becomes_the_prompt_that_is_meant(typed: str, prompt: str) -> None:
    assert unquote(typed) == prompt


@pytest.mark.parametrize(("word", "number"), [("3", 3), ("0", 0), ("999999999", 999_999_999)])
def test_a_number_is_one(word: str, number: int) -> None:
    assert number_of(word, "/why takes PLACE") == number


@pytest.mark.parametrize("word", ["", "x", "-1", "1.0", "３", "1" * 10])
def test_what_is_no_number_is_told_with_what_the_command_takes(word: str) -> None:
    with pytest.raises(UsageError, match=r"^/why takes PLACE, from 1 on, not"):
        number_of(word, "/why takes PLACE")
