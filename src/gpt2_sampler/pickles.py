"""A pickle -> plain values: dicts, lists, tuples, text, numbers, and what names stand for.

Knows the opcodes, nothing of tensors. A pickle is a program; here it can call nothing but the
functions that the caller provides by name. Nothing is imported, no attribute is read or set, and no
operation costs much more than its size in the file. The standard Unpickler does not promise that,
even with find_class overridden: it allocates whatever a memo index asks for, and hashes any key,
which takes forever for nested tuples.

Format: the operations are described in Python's Lib/pickletools.py.
"""

from __future__ import annotations

import dataclasses
import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_OPERATIONS = 1_000_000  # a model of 48 layers and its optimizer take 60,000
MAX_KEY = 1 << 60  # larger numbers can be chosen so that all have the same hash
OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class UnknownName(ValueError):
    """The pickle asks for a name that the caller did not provide."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name!r:.100}")
        self.name = name


@dataclasses.dataclass(frozen=True, eq=False)
class StandIn:
    """What a name stands for if the pickle may call it."""

    call: Callable[..., object]


class Pickle:
    """The values of the pickles that follow one another in data, from the offset at on.

    known maps names ("collections.OrderedDict") to what stands for them; persistent turns an id of
    something outside the pickle into a value. load raises ValueError for anything malformed.
    """

    def __init__(
        self,
        data: bytes,
        known: Mapping[str, object],
        persistent: Callable[[object], object] | None = None,
        at: int = 0,
    ) -> None:
        self.data, self.known, self.persistent, self.at = data, known, persistent, at
        self.operations = 0

    def load(self) -> Any:
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}
        try:
            while True:
                self.operations += 1
                if self.operations > MAX_OPERATIONS:
                    raise ValueError(f"it has more than {MAX_OPERATIONS:,} operations")
                opcode = self.take(1)
                if opcode == pickle.STOP:
                    return self.pop()
                DO.get(opcode, refuse)(self)
        except (IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
            raise ValueError(f"an operation lacks what it works on ({error!r:.80})") from None

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) < size:
            raise ValueError("it is cut short")
        self.at += size
        return taken

    def number(self, kind: str) -> Any:
        """One number in one of struct's formats."""
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode()

    def pop(self) -> Any:
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise ValueError("an operation lacks what it works on")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """Everything above the last mark."""
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values

    def last(self, kind: type) -> Any:
        """The value that the next operation fills."""
        value = self.stack[-1]
        if type(value) is not kind:
            raise ValueError(f"it fills something that is not a {kind.__name__}")
        return value


def refuse(p: Pickle) -> None:
    code = p.data[p.at - 1]
    raise ValueError(f"the operation {OPCODES.get(code, hex(code))} has no place in plain data")


def push(value: Callable[[Pickle], Any]) -> Callable[[Pickle], None]:
    return lambda p: p.stack.append(value(p))


def text(kind: str) -> Callable[[Pickle], str]:
    return lambda p: p.take(p.number(kind)).decode("utf-8", "surrogatepass")


def raw(kind: str) -> Callable[[Pickle], bytes]:
    return lambda p: p.take(p.number(kind))


def latin(kind: str) -> Callable[[Pickle], str]:
    """Python 2's text."""
    return lambda p: p.take(p.number(kind)).decode("latin-1")


def signed(kind: str) -> Callable[[Pickle], int]:
    return lambda p: int.from_bytes(p.take(p.number(kind)), "little", signed=True)


def several(count: int) -> Callable[[Pickle], tuple[Any, ...]]:
    return lambda p: tuple([p.pop() for _ in range(count)])[::-1]


def put(index: Callable[[Pickle], int]) -> Callable[[Pickle], None]:
    def remember(p: Pickle) -> None:
        p.memo[index(p)] = p.stack[-1]

    return remember


def get(index: Callable[[Pickle], int]) -> Callable[[Pickle], Any]:
    return lambda p: p.memo[index(p)]


def name(p: Pickle, module: Any, attribute: Any) -> object:
    full = f"{module:.100}.{attribute:.100}"
    if full not in p.known:
        raise UnknownName(full)
    return p.known[full]


def global_name(p: Pickle) -> object:
    module = p.line()
    return name(p, module, p.line())


def stacked_name(p: Pickle) -> object:
    attribute, module = p.pop(), p.pop()
    if type(attribute) is not str or type(module) is not str:
        raise ValueError("it asks for a name that is not text")
    return name(p, module, attribute)


def call(p: Pickle) -> object:
    arguments, function = p.pop(), p.pop()
    if not isinstance(function, StandIn) or type(arguments) is not tuple:
        raise ValueError("it calls what is not a function")
    return function.call(*arguments)


def persistent(p: Pickle) -> object:
    if p.persistent is None:
        raise ValueError("it refers to something outside itself")
    return p.persistent(p.pop())


def build(p: Pickle) -> None:
    """Takes the attributes that an instance of a dict's subclass had, which are of no use here."""
    if type(p.pop()) is not dict:
        raise ValueError("it gives a state that is not a dict")
    p.last(dict)


def fill_list(p: Pickle, values: Sequence[Any]) -> None:
    p.last(list).extend(values)


def fill_dict(p: Pickle, items: Sequence[Any]) -> None:
    filled = p.last(dict)
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str and not (type(key) is int and abs(key) < MAX_KEY):
            raise ValueError("it has a key that is neither text nor a number")
        filled[key] = value


def version(p: Pickle) -> None:
    if (number := p.number("B")) > pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"it is of protocol {number}, which does not exist")


DO: Mapping[bytes, Callable[[Pickle], object]] = {
    pickle.PROTO: version,
    pickle.FRAME: lambda p: p.number("<Q"),
    pickle.NONE: push(lambda p: None),
    pickle.NEWTRUE: push(lambda p: True),
    pickle.NEWFALSE: push(lambda p: False),
    pickle.BININT: push(lambda p: p.number("<i")),
    pickle.BININT1: push(lambda p: p.number("B")),
    pickle.BININT2: push(lambda p: p.number("<H")),
    pickle.LONG1: push(signed("B")),
    pickle.BINFLOAT: push(lambda p: p.number(">d")),
    pickle.BINUNICODE: push(text("<I")),
    pickle.SHORT_BINUNICODE: push(text("B")),
    pickle.BINSTRING: push(latin("<I")),
    pickle.SHORT_BINSTRING: push(latin("B")),
    pickle.BINBYTES: push(raw("<I")),
    pickle.SHORT_BINBYTES: push(raw("B")),
    pickle.EMPTY_DICT: push(lambda p: {}),
    pickle.EMPTY_LIST: push(lambda p: []),
    pickle.EMPTY_TUPLE: push(lambda p: ()),
    pickle.TUPLE: push(lambda p: tuple(p.pop_marked())),
    pickle.TUPLE1: push(several(1)),
    pickle.TUPLE2: push(several(2)),
    pickle.TUPLE3: push(several(3)),
    pickle.MARK: lambda p: p.marks.append(len(p.stack)),
    pickle.POP: lambda p: p.pop(),
    pickle.POP_MARK: lambda p: p.pop_marked(),
    pickle.APPEND: lambda p: fill_list(p, several(1)(p)),
    pickle.APPENDS: lambda p: fill_list(p, p.pop_marked()),
    pickle.SETITEM: lambda p: fill_dict(p, several(2)(p)),
    pickle.SETITEMS: lambda p: fill_dict(p, p.pop_marked()),
    pickle.BINPUT: put(lambda p: p.number("B")),
    pickle.LONG_BINPUT: put(lambda p: p.number("<I")),
    pickle.MEMOIZE: put(lambda p: len(p.memo)),
    pickle.BINGET: push(get(lambda p: p.number("B"))),
    pickle.LONG_BINGET: push(get(lambda p: p.number("<I"))),
    pickle.GLOBAL: push(global_name),
    pickle.STACK_GLOBAL: push(stacked_name),
    pickle.REDUCE: push(call),
    pickle.BINPERSID: push(persistent),
    pickle.BUILD: build,
}
"""The operations of plain data. Left out: those that make objects of other classes (OBJ, INST,
NEWOBJ, NEWOBJ_EX, EXT1, EXT2, EXT4), sets, whose members are hashed, and what no writer uses today.
"""
