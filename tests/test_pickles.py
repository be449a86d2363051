"""A pickle gives the data that Python's own reader gives, and runs nothing whatever is in it."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_sampler.pickles import MAX_OPERATIONS, Pickle, StandIn, UnknownName

KNOWN = {"collections.OrderedDict": StandIn(lambda: {}), "torch.FloatStorage": "F32"}
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text()
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(-(2**59), 2**59), inner)
    ),
    max_leaves=9,
)


def load(data: bytes) -> object:
    return Pickle(data, KNOWN).load()


@settings(max_examples=50)
@given(value=PLAIN, protocol=st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_what_was_saved(value: object, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


def test_bytes_are_bytes() -> None:
    assert load(pickle.dumps([b"", b"\xff" * 300], 3)) == [b"", b"\xff" * 300]


@pytest.mark.parametrize("protocol", [2, 4])
def test_an_ordered_dict_and_its_attributes_are_a_dict(protocol: int) -> None:
    saved = collections.OrderedDict(a=1, b=[2])
    saved._metadata = {"version": 1}  # type: ignore[attr-defined]
    assert load(pickle.dumps(saved, protocol)) == {"a": 1, "b": [2]}


def test_several_pickles_lie_in_a_row() -> None:
    both = Pickle(pickle.dumps([1], 2) + pickle.dumps("b", 2), {})
    assert [both.load(), both.load()] == [[1], "b"]
    assert both.at == len(both.data)


def test_a_name_is_what_the_caller_says() -> None:
    assert load(b"\x80\x02ctorch\nFloatStorage\n.") == "F32"


class Evil:
    """Pickled, it is a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduced


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.system, eval, print, getattr, __import__])
def test_no_function_is_called_or_named(
    function: object, protocol: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for hostile in (Evil(function, "echo gotcha"), {"model": [Evil(function, "1")]}):
        with pytest.raises(ValueError):
            load(pickle.dumps(hostile, protocol))
    assert capfd.readouterr().out == ""


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UnknownName) as error:
        load(b"\x80\x02cposix\nsystem\n.")
    assert error.value.name == "posix.system"


MARK, STOP, ONE = pickle.MARK, pickle.STOP, pickle.BININT1 + b"\x01"
ORDERED = b"ccollections\nOrderedDict\n"
STATE = pickle.EMPTY_DICT + pickle.SHORT_BINUNICODE + b"\x01a" + ONE + pickle.SETITEM
HOSTILE = {
    "INST": MARK + b"iposix\nsystem\n",
    "INST of a known name": MARK + b"icollections\nOrderedDict\n",
    "OBJ": MARK + ORDERED + pickle.OBJ,
    "NEWOBJ": ORDERED + pickle.EMPTY_TUPLE + pickle.NEWOBJ,
    "NEWOBJ_EX": ORDERED + pickle.EMPTY_TUPLE + pickle.EMPTY_DICT + pickle.NEWOBJ_EX,
    "EXT1": pickle.EXT1 + b"\x01",
    "EXT2": pickle.EXT2 + b"\x01\x01",
    "EXT4": pickle.EXT4 + b"\x01\0\0\0",
    "PERSID": pickle.PERSID + b"key\n",
    "BINPERSID where nothing lies outside": ONE + pickle.BINPERSID,
    "STACK_GLOBAL": b"\x8c\x05posix\x8c\x06system" + pickle.STACK_GLOBAL,
    "STACK_GLOBAL of numbers": ONE + ONE + pickle.STACK_GLOBAL,
    "GLOBAL without an end": b"cposix",
    "GLOBAL with dots": b"cgpt2_sampler.pickles\nFunction.call\n",
    "REDUCE of text": b"\x8c\x01a" + pickle.EMPTY_TUPLE + pickle.REDUCE,
    "REDUCE of a dict": pickle.EMPTY_DICT + pickle.EMPTY_TUPLE + pickle.REDUCE,
    "REDUCE with a list": ORDERED + pickle.EMPTY_LIST + pickle.REDUCE,
    "REDUCE with arguments": ORDERED + ONE + pickle.TUPLE1 + pickle.REDUCE,
    "REDUCE of a storage": b"ctorch\nFloatStorage\n" + pickle.EMPTY_TUPLE + pickle.REDUCE,
    "BUILD of a function": ORDERED + STATE + pickle.BUILD,
    "BUILD of a storage": b"ctorch\nFloatStorage\n" + STATE + pickle.BUILD,
    "BUILD with slots": pickle.EMPTY_DICT + pickle.NONE + STATE + pickle.TUPLE2 + pickle.BUILD,
    "APPEND to a function": ORDERED + ONE + pickle.APPEND,
    "SETITEM of a list": pickle.EMPTY_LIST + ONE + ONE + pickle.SETITEM,
    "SETITEMS of an odd number": pickle.EMPTY_DICT + MARK + ONE + pickle.SETITEMS,
    "a set": pickle.EMPTY_SET,
    "a frozenset": MARK + pickle.FROZENSET,
    "a list as a key": pickle.EMPTY_DICT + pickle.EMPTY_LIST + ONE + pickle.SETITEM,
    "POP of nothing": pickle.POP,
    "POP below a mark": ONE + MARK + pickle.POP,
    "TUPLE without a mark": pickle.TUPLE,
    "TUPLE3 of two": ONE + ONE + pickle.TUPLE3,
    "BINGET of nothing": pickle.BINGET + b"\x07",
    "BINPUT of nothing": pickle.BINPUT + b"\x07",
    "huge text": pickle.BINUNICODE + b"\xff\xff\xff\x7fabc",
    "huge bytes": pickle.BINBYTES8 + b"\xff" * 7 + b"\x7f",
    "no UTF-8": pickle.SHORT_BINUNICODE + b"\x01\xff",
    "protocol 200": pickle.PROTO + b"\xc8",
    "out of band": pickle.NEXT_BUFFER,
    "no opcode": b"\xff",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_each_operation_that_calls_or_lacks_something_is_refused(kind: str) -> None:
    with pytest.raises(ValueError) as error:
        load(pickle.PROTO + b"\x04" + HOSTILE[kind] + STOP if "200" not in kind else HOSTILE[kind])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("kind", "name"),
    [("a set", "EMPTY_SET"), ("out of band", "NEXT_BUFFER"), ("no opcode", "0xff")],
)
def test_an_operation_that_has_no_place_is_named(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"the operation {name} has no place in plain data"):
        load(ONE + HOSTILE[kind] + STOP)


def nested_key(depth: int) -> bytes:
    """A tuple of itself twice, and so on: its hash would take 2 ** depth steps."""
    twice = pickle.BINPUT + b"\x01" + pickle.BINGET + b"\x01" + pickle.TUPLE2
    return pickle.EMPTY_DICT + ONE + twice * depth + ONE + pickle.SETITEM


def colliding(count: int) -> bytes:
    """Numbers whose hash is 0, as keys: a dict of them would take count ** 2 steps."""
    keys = [(n + 1) * ((1 << 61) - 1) for n in range(count)]
    items = b"".join(pickle.LONG1 + b"\x0a" + k.to_bytes(10, "little") + ONE for k in keys)
    return pickle.EMPTY_DICT + MARK + items + pickle.SETITEMS


BOMBS = {
    "a key nested 60 deep": nested_key(60),
    "keys that collide": colliding(100_000),
    "operations without end": pickle.EMPTY_DICT * (MAX_OPERATIONS + 1),
    "a memo of gigabytes": ONE + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f" + pickle.POP,
    "text of gigabytes": pickle.BINUNICODE + struct.pack("<I", 2**32 - 1) + b"a" * 1000,
    "a frame of exabytes": pickle.FRAME + struct.pack("<Q", 2**63) + pickle.POP,
    "brackets without end": MARK * 900_000,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_no_time(kind: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError):
        load(pickle.PROTO + b"\x02" + BOMBS[kind] + STOP)
    assert time.process_time() - began < 10  # seconds; what it asks for would take hours


def test_what_is_nested_without_end_is_read_and_forgotten() -> None:
    deep = load(pickle.EMPTY_LIST * 200_000 + pickle.APPEND * 199_999 + STOP)
    assert isinstance(deep, list)


@settings(max_examples=60)
@given(
    at=st.integers(0, 10_000),
    bytes_=st.binary(min_size=1, max_size=3),
    cut=st.integers(0, 10_000),
)
def test_any_byte_may_be_wrong(at: int, bytes_: bytes, cut: int) -> None:
    saved = collections.OrderedDict(a=[1, 2.5, None], b=("x", b"y"), c={7: True, 8: 1 << 70})
    for protocol in (2, 4):
        good = pickle.dumps(saved, protocol)
        place = at % len(good)
        changed = good[:place] + bytes_ + good[place + len(bytes_) :]
        for hostile in (changed, changed[: cut % len(changed)]):
            try:
                load(hostile)
            except ValueError as error:
                assert "\n" not in str(error)


def test_no_file_of_ours_unpickles_otherwise() -> None:
    sources = (Path(__file__).resolve().parents[1] / "src").rglob("*.py")
    calls = ("pickle.load", "pickle.Unpickler", "torch.load(")
    users = {p.name for p in sources if any(call in p.read_text() for call in calls)}
    assert users <= {"pytorch.py"}  # which names it in a command for the user to type
