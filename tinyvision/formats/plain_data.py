"""The plain data beside the tensors of a checkpoint: options, counters, paths, NumPy's numbers and arrays.

A profile says which names in a pickle stand for plain data and builds nodes out of them; nothing that the pickle
names is called. `Growing` turns the finished tree of nodes into Python values, each node once, so that what was
shared in the pickle is shared again.
"""

import argparse
import collections
import math
import os
import pathlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import bfloat16, dtype
from .refused import Refused, shown
from .unpickle import PLAIN, ArrayNode, Container, Dict, Global, List, Node, Profile, Tuple

# What PyTorch calls its dtypes, and NumPy's character codes; the ones that NumPy does not have keep their names.
DTYPES = {
    "float64": "f8", "double": "f8", "float32": "f4", "float": "f4", "float16": "f2", "half": "f2",
    "int64": "i8", "long": "i8", "int32": "i4", "int": "i4", "int16": "i2", "short": "i2", "int8": "i1",
    "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "b1",
}  # fmt: skip

_FACTORIES = {"list": list, "dict": dict, "int": int, "float": float, "set": set, "str": str, "bool": bool}
_BUILTINS = ("__builtin__", "builtins")
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_PATHS = {
    f"{module} {name}": name
    for module in ("pathlib", "pathlib._local")
    for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
}
_NAMESPACES = {"argparse Namespace": argparse.Namespace, "types SimpleNamespace": types.SimpleNamespace}
_MAX_ATTRIBUTES = 10_000
_MAX_NUMBER_KEYS = 20_000  # numbers, unlike text, can be chosen to collide in a hash table


class Made(Node):
    """A finished value that cannot change: a size, a dtype, a path."""

    __slots__ = ("value",)
    is_value = True

    def __init__(self, value: Any) -> None:
        self.value = value


class Counted(Dict):
    """A collections.Counter."""

    __slots__ = ()


class Defaulting(Dict):
    """A collections.defaultdict, whose factory is one of the builtin types or None."""

    __slots__ = ("factory",)

    def __init__(self, factory: Any) -> None:
        super().__init__()
        self.factory = factory


class Namespace(Container):
    """An object that is nothing but its attributes; `items` are pairs."""

    __slots__ = ("kind",)

    def __init__(self, kind: Any) -> None:
        super().__init__([])
        self.kind = kind


class Group(Container):
    """A set, whose members are text and numbers."""

    __slots__ = ("frozen",)

    def __init__(self, items: Any, frozen: bool) -> None:
        super().__init__(items)
        self.frozen = frozen


class _Dtype(Node):
    """A NumPy dtype of numbers, given its byte order afterwards."""

    __slots__ = ("code", "order")
    is_value = True

    def __init__(self, code):
        self.code, self.order = code, "="

    @property
    def value(self):
        return np.dtype(self.code).newbyteorder(self.order)


class PlainProfile(Profile):
    """The names of plain data, in the spellings of Python 2 and 3 and of NumPy 1 and 2."""

    names = Profile.names | {
        "collections Counter",
        "collections defaultdict",
        "_codecs encode",
        "numpy dtype",
        "numpy ndarray",
        "torch Size",
        "torch device",
        *_PATHS,
        *_NAMESPACES,
        *(f"{module} {name}" for module in _NUMPY for name in ("_reconstruct", "scalar")),
        *(f"{module} {name}" for module in _BUILTINS for name in (*_FACTORIES, "frozenset", "complex", "bytes")),
        *(f"torch {name}" for name in (*DTYPES, "bfloat16")),
    }

    def named(self, name: str) -> Any:
        """A dtype is a value of its own; every other name waits to be called."""
        module, _, word = name.partition(" ")
        if module == "torch" and word in DTYPES:
            return Made(dtype(DTYPES[word]))
        return Made(bfloat16) if name == "torch bfloat16" else Global(name)

    def call(self, name: str, arguments: Any) -> Any:
        """The node of a plain value."""
        module, _, word = name.partition(" ")
        if name in _PATHS and all(type(part) is str and "\0" not in part for part in arguments):
            return Made(_path(_PATHS[name], arguments))
        if name in _NAMESPACES and not arguments:
            return Namespace(_NAMESPACES[name])
        if name == "_codecs encode":
            return encoded(arguments)
        if module in _BUILTINS:
            return _builtin(word, arguments)
        if name == "collections Counter":
            return _counter(arguments)
        if name == "collections defaultdict" and len(arguments) < 2:
            return Defaulting(_factory(arguments[0] if arguments else None))
        if module == "numpy" or module in _NUMPY:
            return _numpy(word, arguments)
        if name == "torch Size" and len(arguments) == 1 and isinstance(arguments[0], Tuple):
            return arguments[0]
        if name == "torch device":
            return _device(arguments)
        return super().call(name, arguments)

    def new(self, name: str, arguments: Any) -> Any:
        """A namespace, to be filled by BUILD."""
        if name in _NAMESPACES and not arguments:
            return Namespace(_NAMESPACES[name])
        return super().new(name, arguments)

    def build(self, target: Any, state: Any) -> Any:
        """Give a namespace its attributes, a NumPy dtype its byte order, a NumPy array its contents."""
        fields: Any = state.items if isinstance(state, Tuple) else ()
        if isinstance(target, Namespace):
            _fill(target, state)
        elif isinstance(target, _Dtype):
            if len(fields) not in (8, 9) or fields[1] not in ("<", ">", "|", "=") or any(fields[2:5]):
                raise Refused("a numpy dtype with fields, or without a byte order")
            target.order = fields[1]
        elif isinstance(target, ArrayNode):
            if target.value is not None:
                raise Refused("an array that is built twice")
            target.value = _array(fields)
        else:
            super().build(target, state)


def _path(kind, parts):
    """A path of this system; one of the other system can be looked at, but not opened."""
    if kind in ("Path", "WindowsPath" if os.name == "nt" else "PosixPath"):
        return pathlib.Path(*parts)
    if kind == "PurePath":
        return pathlib.PurePath(*parts)
    return (pathlib.PureWindowsPath if "Windows" in kind else pathlib.PurePosixPath)(*parts)


def _device(arguments):
    kind, index = (*arguments, 0, 0)[:2]
    if len(arguments) not in (1, 2) or type(kind) is not str or type(index) is not int or not 0 <= index < 1000:
        raise Refused("a device that is not a word and a number")
    return kind[:60] if len(arguments) == 1 else f"{kind[:60]}:{index}"


def encoded(arguments: Any) -> bytes:
    """How Python 3 writes bytes in protocol 2: text of Latin-1 and the word for it."""
    text, encoding = (*arguments, None, None)[:2]
    if (
        len(arguments) == 2
        and type(text) is str
        and encoding in ("latin1", "latin-1")
        and max(text, default="") <= "\xff"
    ):
        return text.encode("latin-1")
    raise Refused("an encoding of something other than Latin-1 text")


def _builtin(word, arguments):
    if word == "bytes" and not arguments:
        return b""
    if word == "complex" and len(arguments) == 2 and all(type(part) is float for part in arguments):
        return Made(complex(*arguments))
    members = arguments[0].items if len(arguments) == 1 and isinstance(arguments[0], List) else [arguments]
    if word in ("set", "frozenset") and all(type(item) in PLAIN for item in members):
        return Group(members, word == "frozenset")
    raise Refused(f"a call of {shown(word)} with {len(arguments)} arguments")


def _counter(arguments):
    node = Counted()
    if len(arguments) > 1 or (arguments and not isinstance(arguments[0], Dict)):
        raise Refused("a Counter that is not made of a dict")
    for key, value in arguments[0].items if arguments else ():
        node.set(key, value)
    return node


def _factory(argument):
    if argument is None:
        return None
    module, _, word = argument.name.partition(" ") if isinstance(argument, Global) else ("", "", "")
    if module in _BUILTINS and word in _FACTORIES:
        return _FACTORIES[word]
    raise Refused("a defaultdict whose factory is no builtin type; save a plain dict")


def begun_array(arguments: Any) -> ArrayNode | None:
    """The array that NumPy's `_reconstruct` begins, empty as it is named first; None of other arguments."""
    kind, shape, code = arguments if len(arguments) == 3 else (None,) * 3
    empty = isinstance(shape, Tuple) and shape.items == (0,)
    named = isinstance(kind, Global) and kind.name == "numpy ndarray"
    return ArrayNode() if named and empty and code in (b"b", "b") else None


def _numpy(word, arguments):
    if word == "_reconstruct" and (begun := begun_array(arguments)):
        return begun
    if word == "dtype" and len(arguments) in (1, 3) and type(arguments[0]) is str:
        code = arguments[0]
        if (
            len(code) in (2, 3)
            and code[0] in "biufc"
            and code[1:].isdigit()
            and all(f in (0, 1) for f in arguments[1:])
        ):
            try:
                np.dtype(code)
            except TypeError:
                raise Refused(f"a numpy dtype {shown(code)}") from None
            return _Dtype(code)
        raise Refused(f"a numpy dtype {shown(code)}; only numbers are read")
    if word == "scalar" and len(arguments) == 2:
        kind, raw = arguments
        if isinstance(kind, _Dtype) and type(raw) is bytes and len(raw) == kind.value.itemsize:
            native = kind.value.newbyteorder("=")
            return Made(np.frombuffer(raw, kind.value).astype(native)[0])
    raise Refused(f"numpy's {shown(word)} with arguments that are not a number's or an array's")


def _array(fields):
    if len(fields) != 5 or fields[0] != 1 or not isinstance(fields[2], _Dtype):
        raise Refused("a numpy array whose state is not (1, shape, dtype, order, bytes)")
    _, shape, kind, fortran, raw = fields
    shape = shape.items if isinstance(shape, Tuple) else (-1,)
    if any(type(n) is not int or not 0 <= n < 1 << 40 for n in shape):
        raise Refused("a numpy array with a negative or absurd size")
    count = kind.value.itemsize * math.prod(shape)
    if len(shape) > 32 or type(fortran) is not bool or type(raw) is not bytes or len(raw) != count:
        raise Refused(f"a numpy array of {len(shape)} axes with another number of bytes than its shape says")
    array = np.frombuffer(raw, kind.value).astype(kind.value.newbyteorder("="))
    return array.reshape(shape, order="F" if fortran else "C")


def _fill(target, state):
    target.open_for("BUILD")
    if not isinstance(state, Dict) or not state.is_value or len(state.items) > _MAX_ATTRIBUTES or target.items:
        raise Refused("a namespace whose state is no dict")
    for key, value in state.items:
        if type(key) is not str or not key.isidentifier() or key.startswith("__"):
            raise Refused(f"an attribute named {shown(key)}")
        target.hold(value)
        target.items.append((key, value))


class Growing:
    """From nodes to Python values: `value(node)`; `leaf(node)` says what becomes of the nodes that are not plain."""

    def __init__(self, leaf: Callable[[Any], Any]) -> None:
        self._leaf = leaf
        self._known: dict[int, Any] = {}
        self._numbers = 0

    def value(self, node: Any) -> Any:
        """The value of a node, the same object each time. The interpreter has bounded the depth."""
        if type(node) in PLAIN:
            return node
        if id(node) not in self._known:
            self._known[id(node)] = self._grown(node)
        return self._known[id(node)]

    def _grown(self, node):
        if isinstance(node, Tuple):
            return tuple(self.value(item) for item in node.items)
        if isinstance(node, List):
            return [self.value(item) for item in node.items]
        if isinstance(node, Group):
            self._count(node.items)
            return frozenset(node.items) if node.frozen else set(node.items)
        if isinstance(node, (Dict, Namespace)):
            self._count(key for key, _ in node.items)
            pairs = {key: self.value(item) for key, item in node.items}
            if len(pairs) != len(node.items):
                raise Refused("a dict that has a key twice")
            if isinstance(node, Namespace):
                return node.kind(**pairs)
            if isinstance(node, Counted):
                return collections.Counter(pairs)
            if isinstance(node, Defaulting):
                return collections.defaultdict(node.factory, pairs)
            return collections.OrderedDict(pairs) if node.ordered else pairs
        if isinstance(node, (Made, _Dtype, ArrayNode)):
            return node.value
        return self._leaf(node)

    def _count(self, keys):
        self._numbers += sum(type(key) in (int, float) for key in keys)
        if self._numbers > _MAX_NUMBER_KEYS:
            raise Refused(f"more than {_MAX_NUMBER_KEYS:,} numbers as keys")
