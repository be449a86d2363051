"""A batch too large for the memory gives the same samples in smaller ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from gpt2_sampler.decoding.batches import generate_within_memory
from gpt2_sampler.decoding.sampling import Draw, generate
from gpt2_sampler.errors import OutOfMemory
from tests.fake_engine import FakeEngine

PROMPT = [1, 5, 2]
LENGTH = 17  # tokens: past the window


class SmallEngine(FakeEngine):
    """Has room for so many filled slots in all."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        if sum(positions) > self.room:
            raise OutOfMemory("no room")
        return super().decode(tokens, positions)


class LessEngine(FakeEngine):
    """Has room for so many rows."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def reset(self, rows: int) -> None:
        if rows > self.most:
            raise MemoryError
        super().reset(rows)


def texts(draws: Sequence[Draw]) -> dict[int, list[int]]:
    found = defaultdict(list)
    for draw in draws:
        found[draw.sample].append(draw.token)
    return found


def ends(sample: int, token: int) -> bool:
    return token == 7


def expected(n_samples: int) -> dict[int, list[int]]:
    draws = generate(FakeEngine(), PROMPT, range(n_samples), length=LENGTH, seed=3, ends=ends)
    return texts(list(draws))


@pytest.mark.parametrize("rows", [1, 2, 5, 8])
@pytest.mark.parametrize("room", [13, 20, 40, 1000])
def test_every_sample_is_what_it_is_with_room_enough(rows: int, room: int) -> None:
    draws = list(
        generate_within_memory(
            SmallEngine(room), PROMPT, range(11), length=LENGTH, rows=rows, seed=3, ends=ends
        )
    )
    assert texts(draws) == expected(11)
    assert sorted(draw.sample for draw in draws if draw.last) == list(range(11))


def test_who_fails_at_once_begins_with_fewer_rows(caplog: pytest.LogCaptureFixture) -> None:
    engine = LessEngine(2)
    draws = generate_within_memory(
        engine, PROMPT, range(11), length=LENGTH, rows=8, seed=3, ends=ends
    )
    assert texts(list(draws)) == expected(11)
    assert [record.getMessage() for record in caplog.records] == [
        "no room for 8 texts at once; going on with 4",
        "no room for 4 texts at once; going on with 2",
    ]


@pytest.mark.parametrize("engine", [SmallEngine(5), LessEngine(0)])
def test_where_one_row_has_no_room_it_is_said(engine: FakeEngine) -> None:
    with pytest.raises((OutOfMemory, MemoryError)):
        list(generate_within_memory(engine, PROMPT, range(2), length=LENGTH, rows=4))
