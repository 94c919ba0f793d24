"""Reading pickles without running them: a symbolic interpreter for 34 opcodes.

A pickle is a program for a small stack machine, and the machine in Python's standard library may import any
module and call any function that the program names. The one below cannot: it never imports and never calls.
Names are compared with a short list, calls become plain nodes of a tree, and a *profile* says which nodes
have a meaning. Only when a whole file has been understood does anyone make an array of it.

Three rules keep a hostile program small. Every operation and every byte is charged to a `Budget`. A container
that was put into another one is sealed, so there are no cycles and a container's depth is known when it is
used. Strings, integers and nesting have limits far above what a real file needs.

The opcodes are described in the module documentation of CPython's Lib/pickletools.py.
"""

import struct
from typing import Any

from .refused import Refused, shown

MAX_DEPTH = 100
MAX_STRING = 1 << 20
MAX_OPERATIONS = 3_000_000
_START_OPERATIONS, _GLOBAL_OPERATIONS = 15, 5  # what these cost in time, compared with a common operation
_MAX_NAME = 256  # bytes of a module's or a function's name


class Budget:
    """What the pickles of one file may use up together: operations, and bytes of memory for their objects."""

    def __init__(self, file_size: int) -> None:
        self.operations = MAX_OPERATIONS
        # A tensor's description takes about 2 kB of objects, so the constant part allows for 24,000 tensors.
        self.bytes = (48 << 20) + 5 * file_size

    @property
    def used(self) -> Any:
        """Operations so far."""
        return MAX_OPERATIONS - self.operations


class Node:
    """Anything in the tree that is not a plain Python value. `is_value` if it may be stored in a list or a dict."""

    __slots__ = ()
    is_value = False

    def __repr__(self) -> str:
        return f"a {type(self).__name__.lower()}"


class Global(Node):
    """A name from the profile's list, such as 'collections OrderedDict'."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class ArrayNode(Node):
    """A NumPy array that is named first and given its state afterwards: a value from then on."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None

    def __repr__(self) -> str:
        return "an array"

    @property
    def is_value(self) -> bool:  # type: ignore[override]
        """Whether the state has come."""
        return self.value is not None


class Container(Node):
    """A tuple, list or dict. `depth` counts the containers within it, itself included."""

    __slots__ = ("depth", "items", "sealed")

    def __init__(self, items: Any) -> None:
        self.items = items
        self.depth = 1
        self.sealed = False

    is_value = True

    def hold(self, value: Any) -> None:
        """Take responsibility for a value that is about to be stored: check it, seal it, count its depth."""
        if type(value) in PLAIN:
            return
        if not value.is_value:
            raise Refused(f"a {type(value).__name__.lower()} is stored where a value should be")
        if isinstance(value, Container):
            value.sealed = True
            self.depth = max(self.depth, value.depth + 1)
            if self.depth > MAX_DEPTH:
                raise Refused(f"values are nested more than {MAX_DEPTH} deep")

    def open_for(self, what: str) -> None:
        """Raise Refused if something else holds this container already: nothing may change in it any more."""
        if self.sealed:
            raise Refused(f"{what} on a container that is already part of another one")


class Tuple(Container):
    """Also the argument list of a call: it may hold names and storages, but is no value then."""

    __slots__ = ("is_value",)

    def __init__(self, items: Any) -> None:
        super().__init__(items)
        self.is_value = True
        for item in items:
            if type(item) in PLAIN or item.is_value:
                self.hold(item)
            else:
                self.is_value = False


class List(Container):
    """A list."""

    __slots__ = ()


class Dict(Container):
    """`items` is a list of pairs, so that keys chosen to collide in a hash table cost nothing."""

    __slots__ = ("ordered",)

    def __init__(self, ordered: bool = False) -> None:
        super().__init__([])
        self.ordered = ordered

    def set(self, key: Any, value: Any) -> None:
        """Add a pair; the key must be text or a number."""
        if type(key) not in PLAIN:
            raise Refused("a dict key is neither text nor a number")
        self.hold(value)
        self.items.append((key, value))


PLAIN = frozenset((type(None), bool, int, float, str, bytes))


class Profile:
    """What the names in one kind of file mean. The base class knows OrderedDict and nothing else."""

    names = frozenset({"collections OrderedDict"})
    max_string = MAX_STRING

    def text(self, raw: bytes) -> Any:
        """The value of a Python 2 string."""
        return _utf8(raw)

    def named(self, name: str) -> Any:
        """The node for GLOBAL: one of `names`."""
        return Global(name)

    def call(self, name: str, arguments: Any) -> Any:
        """The node for REDUCE: `name` called with `arguments` (a tuple of nodes)."""
        if name == "collections OrderedDict" and not arguments:
            return Dict(ordered=True)
        raise Refused(f"a call of {shown(name)} with {len(arguments)} arguments")

    def new(self, name: str, arguments: Any) -> Any:
        """The node for NEWOBJ: an object of class `name`."""
        raise Refused(f"a new object of class {shown(name)}")

    def build(self, target: Any, state: Any) -> Any:
        """BUILD: give `target` its state. An OrderedDict's attributes (`_metadata`) are of no use to us."""
        if not (isinstance(target, Dict) and target.ordered and isinstance(state, Dict) and state.is_value):
            raise Refused("BUILD on something that takes no state, or with a state of another kind")
        target.open_for("BUILD")

    def persistent(self, key: Any) -> Any:
        """The node for BINPERSID: something that is stored outside of the pickle."""
        raise Refused("a persistent id, where none is expected")


def interpret(stream: Any, profile: Profile, budget: Budget) -> Any:
    """Interpret one pickle from the current position of a binary stream; returns its value as a tree of nodes.

    Afterwards the stream stands right behind the pickle. Raises Refused for whatever is not understood."""
    machine = _Machine(stream, profile, budget)
    budget.operations -= _START_OPERATIONS
    if stream.read(2) != b"\x80\x02":
        raise Refused("no pickle of protocol 2 where one should be")
    read, handlers = stream.read, _HANDLERS
    while True:
        code = read(1)
        if code == b".":
            break
        handler = handlers.get(code)
        if handler is None:
            raise Refused(f"pickle opcode {shown(code)}" if code else "the pickle ends in the middle")
        budget.operations -= 1
        if budget.operations < 0:
            raise Refused(f"pickles with more than {MAX_OPERATIONS:,} operations")
        machine.step += 1
        handler(machine)
    if machine.marks or len(machine.stack) != 1:
        raise Refused("the pickle leaves more or less than one value")
    return machine.stack[0]


class _Machine:
    def __init__(self, stream, profile, budget):
        self.read, self.readline = stream.read, stream.readline
        self.profile, self.budget = profile, budget
        self.stack, self.marks, self.memo = [], [], {}
        self.step = 0

    def take(self, count):
        raw = self.read(count)
        if len(raw) != count:
            raise Refused("the pickle ends in the middle")
        return raw

    def charge(self, size):
        self.budget.bytes -= size
        if self.budget.bytes < 0:
            raise Refused("the pickle describes far more objects than its file can need")

    def push(self, value, size):
        self.charge(size)
        self.stack.append(value)

    def pop(self):
        if not self.stack:
            raise Refused("the pickle takes a value from an empty stack")
        return self.stack.pop()

    def top(self, kind, what):
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Refused(f"{what} on something that is not a {kind.__name__.lower()}")
        self.stack[-1].open_for(what)
        return self.stack[-1]

    def pop_mark(self):
        if not self.marks:
            raise Refused("the pickle refers to a mark that was never set")
        items, self.stack = self.stack, self.marks.pop()
        return items


_HANDLERS = {}


def _opcode(code):
    def register(handler):
        _HANDLERS[code] = handler
        return handler

    return register


def _utf8(raw):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"text that is not UTF-8: {shown(raw)}") from None


# ------------------------------------------------------------------------------------- plain values

for _code, _constant in ((b"N", None), (b"\x88", True), (b"\x89", False)):
    _HANDLERS[_code] = lambda m, constant=_constant: m.push(constant, 8)


@_opcode(b"J")
def _binint(m):
    m.push(int.from_bytes(m.take(4), "little", signed=True), 40)


@_opcode(b"K")
def _binint1(m):
    m.push(m.take(1)[0], 8)


@_opcode(b"M")
def _binint2(m):
    m.push(int.from_bytes(m.take(2), "little"), 40)


@_opcode(b"\x8a")
def _long1(m):
    value = int.from_bytes(m.take(m.take(1)[0]), "little", signed=True)
    if not -(1 << 63) <= value < 1 << 63:
        raise Refused(shown(value))
    m.push(value, 40)


@_opcode(b"G")
def _binfloat(m):
    m.push(struct.unpack(">d", m.take(8))[0], 32)


def _string(m, length_bytes):
    length = int.from_bytes(m.take(length_bytes), "little")
    if length > m.profile.max_string:
        raise Refused(f"a string of {length:,} bytes")
    # As text it may take four bytes per character.
    m.charge(64 + (4 * length if length <= MAX_STRING else 0))
    return m.take(length)


@_opcode(b"X")
def _binunicode(m):
    m.stack.append(_utf8(_string(m, 4)))


@_opcode(b"T")
def _binstring(m):
    m.stack.append(m.profile.text(_string(m, 4)))


@_opcode(b"U")
def _short_binstring(m):
    m.stack.append(m.profile.text(_string(m, 1)))


# --------------------------------------------------------------------------------------- containers


@_opcode(b"(")
def _mark(m):
    if len(m.marks) >= MAX_DEPTH:
        raise Refused(f"values are nested more than {MAX_DEPTH} deep")
    m.charge(80)
    m.marks.append(m.stack)
    m.stack = []


@_opcode(b"t")
def _tuple(m):
    items = m.pop_mark()
    m.push(Tuple(tuple(items)), 120 + 8 * len(items))


def _small_tuple(count):
    def handler(m):
        items = [m.pop() for _ in range(count)]
        m.push(Tuple(tuple(reversed(items))), 120 + 8 * count)

    return handler


for _code, _count in ((b")", 0), (b"\x85", 1), (b"\x86", 2), (b"\x87", 3)):
    _HANDLERS[_code] = _small_tuple(_count)


@_opcode(b"]")
def _empty_list(m):
    m.push(List([]), 140)


@_opcode(b"}")
def _empty_dict(m):
    m.push(Dict(), 140)


@_opcode(b"a")
def _append(m):
    value = m.pop()
    _extend(m, [value])


@_opcode(b"e")
def _appends(m):
    values = m.pop_mark()
    _extend(m, values)


def _extend(m, values):
    target = m.top(List, "APPEND")
    m.charge(16 * len(values))
    for value in values:
        if value is target:
            raise Refused("a list that contains itself")
        target.hold(value)
        target.items.append(value)


@_opcode(b"s")
def _setitem(m):
    value, key = m.pop(), m.pop()
    _update(m, [key, value])


@_opcode(b"u")
def _setitems(m):
    _update(m, m.pop_mark())


def _update(m, flat):
    target = m.top(Dict, "SETITEM")
    if len(flat) % 2:
        raise Refused("a dict key without a value")
    m.charge(48 * len(flat))
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        if value is target:
            raise Refused("a dict that contains itself")
        target.set(key, value)


# --------------------------------------------------------------------------------------------- memo


def _put(length):
    def handler(m):
        index = int.from_bytes(m.take(length), "little")
        # Writers number the memo 0, 1, 2, ...: an index beyond the operations so far is an attempt to blow it up.
        if index > m.step or not m.stack:
            raise Refused(f"memo entry {index}, which is not the next one")
        m.charge(100)
        m.memo[index] = m.stack[-1]

    return handler


def _get(length):
    def handler(m):
        index = int.from_bytes(m.take(length), "little")
        if index not in m.memo:
            raise Refused(f"memo entry {index}, which was never made")
        m.push(m.memo[index], 8)

    return handler


_HANDLERS[b"q"], _HANDLERS[b"r"] = _put(1), _put(4)
_HANDLERS[b"h"], _HANDLERS[b"j"] = _get(1), _get(4)


# ---------------------------------------------------------------------------- names, calls, objects


@_opcode(b"c")
def _global(m):
    m.budget.operations -= _GLOBAL_OPERATIONS
    lines = [m.readline(_MAX_NAME + 1) for _ in range(2)]
    if not all(line.endswith(b"\n") for line in lines):
        raise Refused("a global without an end")
    name = b" ".join(line[:-1] for line in lines).decode("latin-1")
    if name not in m.profile.names:
        raise Refused(
            f"global {shown(name, 120)}, which is not on the list of names that weights and plain data need; "
            "of a pickled model or other object, save its state_dict() instead"
        )
    m.push(m.profile.named(name), 60)


def _callee(m, what):
    arguments, callee = m.pop(), m.pop()
    if not isinstance(callee, Global) or not isinstance(arguments, Tuple):
        raise Refused(f"{what} on something that is no known name, or without a tuple of arguments")
    return callee.name, arguments.items


@_opcode(b"R")
def _reduce(m):
    m.push(m.profile.call(*_callee(m, "REDUCE")), 140)


@_opcode(b"\x81")
def _newobj(m):
    m.push(m.profile.new(*_callee(m, "NEWOBJ")), 140)


@_opcode(b"b")
def _build(m):
    state = m.pop()
    if not m.stack:
        raise Refused("BUILD on an empty stack")
    if isinstance(state, Container):
        state.sealed = True
    m.profile.build(m.stack[-1], state)


@_opcode(b"Q")
def _binpersid(m):
    m.push(m.profile.persistent(m.pop()), 140)
