"""A LevelDB table gives back what was written, in one block or several."""

from __future__ import annotations

from gpt2_sampler.weights.leveldb import (
    encode_block,
    encode_trailer,
    encode_varints,
    read_table,
)
from tests.weights.test_tensor_bundle import closed


def test_a_table_of_several_blocks_is_read() -> None:
    blocks = [[(b"a", b"1"), (b"ab", b"2")], [(b"b", b"3")]]
    table, handles = b"", []
    for block in map(encode_block, blocks):
        handles.append(encode_varints(len(table), len(block)))
        table += block + encode_trailer(block)
    assert dict(read_table(closed(table, handles))) == {b"a": b"1", b"ab": b"2", b"b": b"3"}
