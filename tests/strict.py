"""A stand-in for CuPy arrays on a machine without a GPU: it refuses what CuPy refuses.

`StrictArray` keeps its numbers in a NumPy array that nobody else can see, and reaches them only through NumPy's two
dispatch protocols, as CuPy does. So a line of an op that would turn a GPU array silently into a NumPy array, mix the
two in one call, use a function or an argument that CuPy 14 does not offer, or count on NumPy handing out scalars, fails
here with the TypeError that it would meet on a GPU. The signatures below were read from CuPy 14.2's sources.

`syncs` counts how often a value was asked back from the "device" (`float()`, `bool()`, `item()`, `get()`), since every
such question makes a real GPU wait.
"""

import inspect

import numpy as np

# ufuncs that exist in CuPy under the same name, as far as ops may want them.
UFUNCS = {
    "absolute", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "bitwise_and",
    "bitwise_or", "bitwise_xor", "ceil", "copysign", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor",
    "floor_divide", "fmax", "fmin", "fmod", "greater", "greater_equal", "hypot", "invert", "isfinite", "isinf", "isnan",
    "less", "less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor",
    "matmul", "maximum", "minimum", "multiply", "negative", "not_equal", "power", "reciprocal", "remainder", "rint",
    "sign", "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc",
}  # fmt: skip
UFUNC_KEYWORDS = {"out", "dtype", "casting", "where"}
SCATTERS = {"add", "maximum", "minimum"}  # the ufuncs whose .at CuPy offers
SCATTER_DTYPES = {"float16", "float32", "float64", "complex64", "complex128", "int32", "uint32", "uint64"}


def _signatures():
    """CuPy's own signature of every array function that dispatches to it."""

    def arange(start, stop=None, step=1, dtype=None): ...
    def argmax(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def argsort(a, axis=-1, kind=None): ...
    def array_equal(a1, a2, equal_nan=False): ...
    def asarray(a, dtype=None, order=None, *, copy=None, blocking=False): ...
    def broadcast_to(array, shape): ...
    def clip(a, a_min, a_max, out=None): ...
    def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"): ...
    def copyto(dst, src, casting="same_kind", where=None): ...
    def empty_like(prototype, dtype=None, order="K", subok=None, shape=None): ...
    def ones_like(a, dtype=None, order="K", subok=None, shape=None): ...
    def zeros_like(a, dtype=None, order="K", subok=None, shape=None): ...
    def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None): ...
    def cumprod(a, axis=None, dtype=None, out=None): ...
    def cumsum(a, axis=None, dtype=None, out=None): ...
    def diagonal(a, offset=0, axis1=0, axis2=1): ...
    def einsum(*operands, dtype=None, optimize=False): ...
    def expand_dims(a, axis): ...
    def max(a, axis=None, out=None, keepdims=False): ...
    def may_share_memory(a, b, max_work=None): ...
    def mean(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def moveaxis(a, source, destination): ...
    def ndim(a): ...
    def nonzero(a): ...
    def pad(array, pad_width, mode="constant", **kwargs): ...
    def prod(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def roll(a, shift, axis=None): ...
    def shape(a): ...
    def shares_memory(a, b, max_work=None): ...
    def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False): ...
    def squeeze(a, axis=None): ...
    def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"): ...
    def sum(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def take_along_axis(a, indices, axis): ...
    def tile(A, reps): ...
    def transpose(a, axes=None): ...
    def where(condition, x=None, y=None): ...

    return {name: inspect.signature(function) for name, function in locals().items()}


FUNCTIONS = _signatures()
SCALARS = (int, float, bool, complex, np.generic)


class _Flags:
    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata = flags.owndata


class StrictArray:
    """An array on a pretended device. `StrictArray(numpy_array)` copies it there; `.get()` copies it back."""

    __slots__ = ("__weakref__", "_hidden")
    syncs = 0

    def __init__(self, array):
        if isinstance(array, StrictArray):
            raise TypeError("already on the device")
        self._hidden = np.array(array, order="K")

    @classmethod
    def _wrap(cls, array):
        new = cls.__new__(cls)
        new._hidden = np.asarray(array)
        return new

    # -- the way back, always in sight

    def get(self):
        """A NumPy copy."""
        StrictArray.syncs += 1
        return self._hidden.copy()

    def item(self):
        """The only number, as a Python number."""
        return self.get().item()

    def tolist(self):
        """Nested lists."""
        return self.get().tolist()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __index__(self):
        return self.get().__index__()

    def __bool__(self):
        return bool(self.get())

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __repr__(self):
        return f"StrictArray({self._hidden!r})"

    # -- NumPy's protocols

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        name = ufunc.__name__
        outs = options.get("out", ())
        operands = (*inputs, *outs)
        if method == "at":
            if name not in SCATTERS:
                raise TypeError(f"{name}.at is not offered by CuPy")
            target, index, value = inputs
            if target.dtype.name not in SCATTER_DTYPES:
                raise TypeError(f"CuPy cannot scatter into {target.dtype}")
            _refuse_numpy(f"{name}.at", (target, value))
            ufunc.at(_hidden(target), _hidden(index), _hidden(value))
            return None
        if method != "__call__" or name not in UFUNCS:
            return NotImplemented
        unknown = set(options) - UFUNC_KEYWORDS
        if unknown:
            raise TypeError(f"CuPy's {name} has no argument {sorted(unknown)}")
        _refuse_numpy(name, operands)
        hidden = {key: _hidden(value) for key, value in options.items()}
        if outs:
            ufunc(*map(_hidden, inputs), **hidden)
            return outs[0]
        return StrictArray._wrap(ufunc(*map(_hidden, inputs), **hidden))

    def __array_function__(self, function, types, args, kwargs):
        name = function.__name__
        if name not in FUNCTIONS:
            return NotImplemented
        FUNCTIONS[name].bind(*args, **kwargs)  # a TypeError here is the one that CuPy would raise
        if kwargs.get("subok") not in (None, False):
            raise TypeError("subok must be None")
        if name == "sliding_window_view" and kwargs.get("writeable"):
            raise NotImplementedError("Writeable views are not supported.")
        if name == "asarray":  # like= moves what it is given
            (source, *rest) = args
            return StrictArray._wrap(np.array(_hidden(source), *rest, **kwargs))
        if name == "arange":
            return StrictArray._wrap(np.arange(*args, **kwargs))
        _refuse_numpy(name, [*args, *kwargs.values()])
        result = function(*_hidden(args), **{key: _hidden(value) for key, value in kwargs.items()})
        if name in ("may_share_memory", "shares_memory", "shape", "ndim"):
            return result
        if isinstance(result, tuple):
            return tuple(map(StrictArray._wrap, result))
        return StrictArray._wrap(result)

    # -- attributes and methods, each with CuPy's signature

    shape = property(lambda self: self._hidden.shape)
    dtype = property(lambda self: self._hidden.dtype)
    ndim = property(lambda self: self._hidden.ndim)
    size = property(lambda self: self._hidden.size)
    nbytes = property(lambda self: self._hidden.nbytes)
    itemsize = property(lambda self: self._hidden.itemsize)
    strides = property(lambda self: self._hidden.strides)
    flags = property(lambda self: _Flags(self._hidden.flags))
    T = property(lambda self: StrictArray._wrap(self._hidden.T))

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return StrictArray._wrap(self._hidden[_index(index, self.shape)])

    def __setitem__(self, index, value):
        _refuse_numpy("assignment", [value])
        self._hidden[_index(index, self.shape)] = _hidden(value)

    def reshape(self, *shape, order="C", copy=None):
        return StrictArray._wrap(self._hidden.reshape(*shape, order=order))

    def transpose(self, *axes):
        return StrictArray._wrap(self._hidden.transpose(*axes))

    def swapaxes(self, axis1, axis2):
        return StrictArray._wrap(self._hidden.swapaxes(axis1, axis2))

    def squeeze(self, axis=None):
        return StrictArray._wrap(self._hidden.squeeze(axis))

    def ravel(self, order="C"):
        return StrictArray._wrap(self._hidden.ravel(order))

    def view(self, dtype=None):
        return StrictArray._wrap(self._hidden.view(dtype) if dtype is not None else self._hidden.view())

    def copy(self, order="C"):
        return StrictArray._wrap(self._hidden.copy(order))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        return StrictArray._wrap(self._hidden.astype(dtype, order=order, copy=copy))

    def fill(self, value):
        _refuse_numpy("fill", [value])
        self._hidden.fill(_hidden(value))

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return StrictArray._wrap(self._hidden.sum(axis, dtype, _hidden(out), keepdims=keepdims))

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return StrictArray._wrap(self._hidden.mean(axis, dtype, _hidden(out), keepdims=keepdims))

    def max(self, axis=None, out=None, keepdims=False):
        return StrictArray._wrap(self._hidden.max(axis, _hidden(out), keepdims=keepdims))

    def min(self, axis=None, out=None, keepdims=False):
        return StrictArray._wrap(self._hidden.min(axis, _hidden(out), keepdims=keepdims))

    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return StrictArray._wrap(self._hidden.argmax(axis, keepdims=keepdims))

    def any(self, axis=None, out=None, keepdims=False):
        return StrictArray._wrap(self._hidden.any(axis, keepdims=keepdims))

    def all(self, axis=None, out=None, keepdims=False):
        return StrictArray._wrap(self._hidden.all(axis, keepdims=keepdims))

    def take(self, indices, axis=None, out=None):
        return StrictArray._wrap(self._hidden.take(_hidden(indices), axis, _hidden(out)))

    def nonzero(self):
        return tuple(map(StrictArray._wrap, self._hidden.nonzero()))


def _hidden(value):
    """The NumPy arrays inside, for the stand-in's own use."""
    if isinstance(value, StrictArray):
        return value._hidden
    if isinstance(value, (list, tuple)):
        return type(value)(map(_hidden, value))
    return value


def _refuse_numpy(what, operands):
    """CuPy takes scalars beside its own arrays, but no NumPy array, not even one of rank 0."""
    for value in operands:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{what}: Unsupported type <class 'numpy.ndarray'>")
        if isinstance(value, (list, tuple)):
            _refuse_numpy(what, value)


def _index(index, shape):
    """CuPy takes its own arrays, NumPy's and lists as indices, and wraps those that are out of bounds around."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = [_hidden(p) if isinstance(p, StrictArray) else np.asarray(p) if isinstance(p, list) else p for p in parts]
    axis = 0
    for i, part in enumerate(parts):
        if isinstance(part, np.ndarray) and part.dtype.kind in "iu" and axis < len(shape):
            parts[i] = part % shape[axis] if shape[axis] else part
        if part is Ellipsis:
            axis = len(shape) - sum(p is not None for p in parts[i + 1 :])
        elif part is not None:
            axis += part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1
    return tuple(parts) if isinstance(index, tuple) else parts[0]


def _operators():
    """Python's operators, all by way of the ufuncs."""
    names = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
        "floordiv": np.floor_divide, "mod": np.remainder, "matmul": np.matmul, "and": np.bitwise_and,
        "or": np.bitwise_or, "xor": np.bitwise_xor,
    }  # fmt: skip
    for name, ufunc in names.items():
        setattr(StrictArray, f"__{name}__", lambda a, b, f=ufunc: _binary(f, a, b))
        setattr(StrictArray, f"__r{name}__", lambda a, b, f=ufunc: _binary(f, b, a))
        setattr(StrictArray, f"__i{name}__", lambda a, b, f=ufunc: f(a, b, out=a))
    for name, ufunc in {
        "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
        "ge": np.greater_equal,
    }.items():  # fmt: skip
        setattr(StrictArray, f"__{name}__", lambda a, b, f=ufunc: _binary(f, a, b))
    for name, ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
        setattr(StrictArray, f"__{name}__", lambda a, f=ufunc: f(a))
    StrictArray.__hash__ = None


def _binary(ufunc, a, b):
    other = b if isinstance(a, StrictArray) else a
    if not isinstance(other, (StrictArray, np.ndarray, *SCALARS)):
        return NotImplemented
    return ufunc(a, b)


_operators()


def to_strict(tree):
    """NumPy arrays in a nest of tuples, lists and dicts, copied to the pretended device."""
    if isinstance(tree, np.ndarray):
        return StrictArray(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(to_strict, tree))
    if isinstance(tree, dict):
        return {key: to_strict(value) for key, value in tree.items()}
    return tree


def from_strict(tree):
    """The way back, for comparisons. A NumPy array among them is the very mistake this file exists to find."""
    if isinstance(tree, StrictArray):
        return tree._hidden.copy()
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(from_strict, tree))
    if isinstance(tree, (np.ndarray, np.generic)):
        raise AssertionError(f"a NumPy array where a device array was expected: {tree!r}")
    return tree
