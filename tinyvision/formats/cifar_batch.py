"""The "python version" batches of CIFAR-10 and CIFAR-100: pickles that Python 2 wrote, read without running them.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html describes the files.
"""

import io
from typing import Any

import numpy as np

from .plain_data import begun_array, encoded
from .refused import Refused, shown
from .unpickle import MAX_STRING, PLAIN, ArrayNode, Budget, Dict, List, Node, Profile, Tuple, interpret

_MAX_ENTRIES = 100  # real batches have four or five


class _Dtype(Node):
    """numpy's uint8. It is built as byte order '|' and no fields, or not at all."""

    __slots__ = ()


class _CifarProfile(Profile):
    """NumPy arrays of bytes with 3,072 columns, and Python 2's strings, which are bytes."""

    _RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
    names = Profile.names | {*_RECONSTRUCT, "numpy ndarray", "numpy dtype", "_codecs encode"}

    def __init__(self, size):
        self.max_string = max(size, MAX_STRING)

    def text(self, raw):
        return raw

    def call(self, name, arguments):
        if name in self._RECONSTRUCT and (begun := begun_array(arguments)):
            return begun
        if name == "_codecs encode":
            return encoded(arguments)
        if name == "numpy dtype" and len(arguments) in (1, 3) and arguments[0] in (b"u1", "u1"):
            if all(type(flag) in (int, bool) and flag in (0, 1) for flag in arguments[1:]):
                return _Dtype()
            raise Refused("a numpy dtype with flags that are not 0 or 1")
        if name == "numpy dtype":
            raise Refused("a numpy dtype other than u1")
        return super().call(name, arguments)

    def build(self, target, state):
        fields = state.items if isinstance(state, Tuple) else ()
        if isinstance(target, _Dtype):
            order = fields[1] if len(fields) in (8, 9) else None
            if order not in (b"|", "|") or any(part is not None for part in fields[2:5]):
                raise Refused("a numpy dtype with fields or a byte order")
        elif isinstance(target, ArrayNode):
            if target.value is not None:
                raise Refused("an array that is built twice")
            target.value = self._array(fields)
        else:
            super().build(target, state)

    def _array(self, fields):
        if len(fields) != 5 or fields[0] != 1 or not isinstance(fields[2], _Dtype):
            raise Refused("an array whose state is not (1, shape, u1, order, bytes)")
        _, shape, _, fortran, raw = fields
        shape = shape.items if isinstance(shape, Tuple) else ()
        if len(shape) != 2 or any(type(size) is not int or size < 0 for size in shape) or shape[1] != 3072:
            raise Refused("an array whose shape is not (N, 3072)")
        if type(fortran) is not bool or type(raw) is not bytes or len(raw) != shape[0] * 3072:
            raise Refused(f"an array of {shape[0]} x 3072 bytes with another number of bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


def read_cifar_batch(data: bytes) -> Any:
    """The dict in a CIFAR-10 or CIFAR-100 "python version" batch, read without running anything.

    data   bytes of the file: a pickle of protocol 2 with NumPy's (N, 3072) uint8 arrays
    ->     dict from str to a read-only uint8 array (N, 3072), a list of int or str, a str, an int, a float or
           None. Python 2's strings become str (Latin-1).

    Raises Refused, whose text says what was found; a caller turns that into the error that its own users expect."""
    stream = io.BytesIO(data)
    root = interpret(stream, _CifarProfile(len(data)), Budget(len(data)))
    if stream.tell() != len(data):
        raise Refused(f"{len(data) - stream.tell():,} bytes after the end of the pickle")
    if not isinstance(root, Dict):
        raise Refused("the pickle does not hold a dict")
    if len(root.items) > _MAX_ENTRIES:
        raise Refused(f"a dict of {len(root.items):,} entries")
    batch = {}
    for key, value in root.items:
        key = _plain(key)
        if type(key) is not str or key in batch:
            raise Refused(f"a key that is no text, or is there twice: {shown(key)}")
        if isinstance(value, List):
            batch[key] = [_plain(item) for item in value.items]
        else:
            batch[key] = value.value if isinstance(value, ArrayNode) else _plain(value)
    return batch


def _plain(value):
    if type(value) not in PLAIN:
        raise Refused("a list within a list, or something else that no CIFAR batch holds")
    return value.decode("latin-1") if type(value) is bytes else value
