"""The curve as a picture, where matplotlib is."""

from __future__ import annotations

import struct
import sys

import pytest

from gpt2_sampler.errors import SamplerError
from gpt2_sampler.seeing.plot import plot
from gpt2_sampler.seeing.scored import Scored
from tests.seeing.test_score_page import scored


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def test_each_text_has_a_curve_of_its_own() -> None:
    width, height = size(plot([scored()]))
    assert size(plot([scored(), scored("two $\\x$")])) == (width, 2 * height)


def test_a_text_of_one_token_has_an_empty_one() -> None:
    assert size(plot([Scored("x", [1], ["a"], [], [], 0)]))


def test_without_matplotlib_it_is_said_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SamplerError, match="matplotlib, which is not installed"):
        plot([scored()])
