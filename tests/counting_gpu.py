"""A pretended GPU that computes nothing and counts everything: launches, copies, questions that make the host wait.

`Ghost` has a shape, a dtype and strides, as CuPy would lay it out, and refuses what `strict.StrictArray` refuses; its
numbers are zeros that nobody has touched, so a batch of 64 images at 224² costs no memory and hardly any time. The
drop-ins are in place, and a launch of theirs is counted instead of run.
"""

import types
from collections import Counter
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pretended_gpu
from strict import StrictArray, _hidden, _index, _refuse_numpy

from tinyvision import kernels
from tinyvision.kernels import launch, tuning

# Array functions that only look at memory, or say something about it.
LOOKS = {"broadcast_to", "diagonal", "empty_like", "expand_dims", "may_share_memory", "moveaxis", "ndim", "shape",
         "shares_memory", "sliding_window_view", "squeeze", "transpose"}  # fmt: skip

counts = Counter()


def count(what, array=None):
    """One more of `what`; with an array, its bytes count as well."""
    counts[what] += 1
    if array is not None:
        counts[f"bytes {what}"] += array.nbytes


def in_order_of(array, shape, dtype):
    """Untouched zeros of this shape, laid out as `array` is if it has the shape."""
    if array.shape != shape or array.flags.c_contiguous:
        return np.zeros(shape, dtype)
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return np.zeros([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


class Ghost(StrictArray):
    """An array of the counting GPU."""

    __slots__ = ("base",)
    device = types.SimpleNamespace(id=0)

    def __init__(self, array):
        count("host to device", array)
        self.base = None
        self._hidden = in_order_of(np.empty(()), array.shape, array.dtype)  # in C order, whatever the order on the host
        if array.size <= 4096:
            self._hidden[...] = array

    data = property(lambda self: types.SimpleNamespace(ptr=self._hidden.ctypes.data))

    def get(self):
        count("device to host", self._hidden)
        count("synchronisations")
        return self._hidden.copy()

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method == "at":
            count("launches")
            return super().__array_ufunc__(ufunc, method, *inputs, **options)
        operands = [_hidden(i) for i in inputs]
        small = [o[(slice(0, 1),) * o.ndim] if isinstance(o, np.ndarray) else o for o in operands]
        small_inputs = [StrictArray._wrap(s) if isinstance(i, StrictArray) else s
                        for s, i in zip(small, inputs, strict=True)]  # fmt: skip
        checked = {k: v for k, v in options.items() if k not in ("out", "where")}
        tried = StrictArray.__array_ufunc__(self, ufunc, method, *small_inputs, **checked)
        if tried is NotImplemented:
            return tried
        count("launches")
        outs = options.get("out", ())
        _refuse_numpy(ufunc.__name__, outs)
        if outs:
            return outs[0]
        if ufunc is np.matmul:
            a, b = (o.shape for o in operands)
            rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
            shape = (*np.broadcast_shapes(a[:-2], b[:-2]), *rows, *columns)
            return Ghost._wrap(np.zeros(shape, tried.dtype))
        shape = np.broadcast_shapes(*(np.shape(o) for o in operands))
        like = next((o for o in operands if np.shape(o) == shape), np.empty(()))
        return Ghost._wrap(in_order_of(np.asarray(like), shape, tried.dtype))

    def __array_function__(self, function, types_, args, kwargs):
        name = function.__name__
        if name == "asarray":
            return Ghost(np.asarray(_hidden(args[0]), *args[1:], **kwargs))
        if name == "empty_like":
            shape, dtype = kwargs.get("shape"), kwargs.get("dtype") or (args[1] if len(args) > 1 else args[0].dtype)
            if shape is not None or kwargs.get("order") == "C":
                return Ghost._wrap(np.zeros(args[0].shape if shape is None else shape, dtype))
            return Ghost._wrap(in_order_of(args[0]._hidden, args[0].shape, dtype))
        if name not in LOOKS:
            count("launches")
        result = super().__array_function__(function, types_, args, kwargs)
        return _ghostly(result)

    def __getitem__(self, index):
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, (list, np.ndarray)) and np.asarray(part).ndim:
                count("host to device", np.asarray(part))
                count("synchronisations")
        return self._seen(self._hidden[_index(index, self.shape)])

    def __setitem__(self, index, value):
        _refuse_numpy("assignment", [value])
        if isinstance(value, StrictArray):
            count("copies", value)
        self[index]
        count("launches")

    def _seen(self, array):
        """A look at this array's memory; or a copy, where NumPy had to make one."""
        new = Ghost._wrap(array)
        if array.size and not np.may_share_memory(array, self._hidden):
            count("launches")
            count("copies", array)
        else:
            new.base = self if self.base is None else self.base
        return new

    def reshape(self, *shape, order="C", copy=None):
        return self._seen(self._hidden.reshape(*shape, order=order))

    def ravel(self, order="C"):
        return self._seen(self._hidden.ravel(order))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        count("launches")
        count("copies", self)
        return Ghost._wrap(in_order_of(self._hidden, self.shape, dtype))

    def copy(self, order="C"):
        count("launches")
        count("copies", self)
        new = np.zeros(self.shape, self.dtype) if order == "C" else in_order_of(self._hidden, self.shape, self.dtype)
        return Ghost._wrap(new)

    def fill(self, value):
        count("launches")

    def set(self, numbers, stream=None):
        assert (self.shape, self.dtype) == (numbers.shape, numbers.dtype)
        count("host to device", numbers)
        if numbers.size <= 4096:
            self._hidden[...] = numbers

    @classmethod
    def _wrap(cls, array):
        new = cls.__new__(cls)
        new._hidden, new.base = np.asarray(array), None
        return new


Ghost.__module__ = "cupy"


def _ghostly(result):
    if isinstance(result, tuple):
        return tuple(map(_ghostly, result))
    return Ghost._wrap(result._hidden) if isinstance(result, StrictArray) else result


def _looking(name):
    own = getattr(StrictArray, name)
    return lambda self, *args, **options: self._seen(own(self, *args, **options)._hidden)


def _working(name):
    own = getattr(StrictArray, name)

    def method(self, *args, **options):
        count("launches")
        return Ghost._wrap(own(self, *args, **options)._hidden)

    return method


for _name in ("transpose", "swapaxes", "squeeze", "view"):
    setattr(Ghost, _name, _looking(_name))
for _name in ("sum", "mean", "max", "min", "argmax", "any", "all", "take"):
    setattr(Ghost, _name, _working(_name))
Ghost.T = property(lambda self: self.transpose())


def _launch_on(index, source, kernel, grid, *arguments, threads=256, shared=0):
    count("launches")
    counts[f"kernel {kernel}"] += 1


@contextmanager
def counting():
    """A machine whose only GPU counts; yields the Counter."""
    with pretended_gpu.pretending() as cupy, kernels_as_they_are(), launched():
        cupy.asarray = lambda array, **options: array if isinstance(array, Ghost) else Ghost(np.asarray(array))
        cupy.empty = lambda shape, dtype: Ghost._wrap(np.zeros(shape, dtype))
        counts.clear()
        yield counts


@contextmanager
def kernels_as_they_are():
    """All drop-ins, whatever the environment says."""
    kernels.names()
    with patch.object(kernels, "_wanted", None):
        yield


@contextmanager
def launched():
    """Inside, a launch is counted, as on a GPU of Hopper's generation."""
    hopper = patch.object(launch, "generation", lambda array: "hopper")
    with patch.object(launch, "launch_on", _launch_on), hopper, patch.object(tuning, "_chosen", {}):
        yield
