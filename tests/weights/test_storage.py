"""Shapes and numbers from files are what a file can hold; checksums are the library's."""

from __future__ import annotations

import google_crc32c
import numpy as np
import pytest

from gpt2_sampler.weights.storage import CHUNK, Rows, crc32c, is_natural, require_shape, size_of


@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (1,) * 8, (1 << 48,), (1 << 24, 1 << 24)])
def test_a_shape_of_whole_numbers_is_one(shape: tuple[int, ...]) -> None:
    assert require_shape(shape) == require_shape(list(shape)) == shape


@pytest.mark.parametrize(
    "shape",
    [
        (1,) * 9, (-1,), (1.0,), (True,), ("3",), "3", None, {3: 5}, ([3],), (1 << 49,),
        (0, 1 << 49), ((1 << 24) + 1, 1 << 24), (0, 1 << 24, (1 << 24) + 1),
    ],
)  # fmt: skip
def test_what_no_array_can_have_is_refused_whatever_else_is_zero(shape: object) -> None:
    with pytest.raises(ValueError, match="a tensor has"):
        require_shape(shape)


def test_a_natural_number_is_one_that_counts_something_in_a_file() -> None:
    assert all(map(is_natural, (0, 1, 1 << 48)))
    assert not any(map(is_natural, (-1, (1 << 48) + 1, 1.0, True, "1", None, [1])))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7])
def test_a_checksum_is_of_all_bytes(size: int) -> None:
    data = np.random.default_rng(size).integers(256, size=size, dtype=np.uint8)
    assert crc32c(data) == google_crc32c.value(data.tobytes())


@pytest.mark.parametrize(("dtype", "stored"), [("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2")])
def test_rows_are_float32_and_know_their_size(dtype: str, stored: str) -> None:
    array = np.arange(15, dtype=stored).reshape(3, 5)
    rows = Rows(array, dtype)
    assert rows[1:].dtype == np.float32
    np.testing.assert_array_equal(rows[1:], array[1:])
    assert rows.n_bytes == size_of(dtype, rows.shape) == array.nbytes
    assert rows.checksum() != Rows(array + 1, dtype).checksum()
