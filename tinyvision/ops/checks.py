"""What every op does at its door: agree on devices, kinds of numbers and shapes, or say what does not fit.

The messages name the op, the disagreement in the reader's words, every argument with its axes and its shape, and the
remedy where one is known.
"""

from typing import Any

import numpy as np

from ..arrays import check_is_array
from ..device import device_of
from ..errors import DeviceError, DtypeError, OptionError, ShapeError
from ..types import Array, Pair, Shape, is_integer, is_number

# No image is that large; sizes and strides computed from anything larger would leave the range of NumPy's integers.
MOST = 2**31 - 1

# The arrays that an op can do without: here, and only here, None stands for "not given".
OPTIONAL = {
    ("conv2d", "bias"),
    ("conv_transpose2d", "bias"),
    ("linear", "bias"),
    ("batchnorm_relu", "skip"),
    ("cross_entropy", "weight"),
    ("nll_loss", "weight"),
    ("group_norm", "weight"),
    ("group_norm", "bias"),
    ("layer_norm", "weight"),
    ("layer_norm", "bias"),
    ("bce_with_logits", "pos_weight"),
}


def describe(**arguments: tuple[str, Array]) -> str:
    """One line per argument: its name, its axes and its shape. `arguments` maps a name to (axes, array)."""
    rows = [(name, axes, tuple(a.shape)) for name, (axes, a) in arguments.items() if a is not None]
    wide, long = max(len(r[0]) for r in rows), max(len(r[1]) for r in rows)
    return "\n".join(f"    {name:<{wide}}  {axes:<{long}} = {shape}" for name, axes, shape in rows)


def shape_error(op: str, problem: str, **arguments: tuple[str, Array]) -> ShapeError:
    """A ShapeError that names the op, the problem, and every argument."""
    return ShapeError(f"{op}: {problem}\n{describe(**arguments)}")


def check_arrays(op: str, **arrays: Array) -> None:
    """All arrays are on one device, and hold floating-point numbers of one precision. None may stand for those that
    are OPTIONAL.

    Raises DeviceError, DtypeError."""
    if _are_numpys_floats(arrays.values()):  # nearly always, and the sentences below take their time
        return
    check_devices(op, **arrays)
    given = {name: a for name, a in arrays.items() if a is not None}
    first = next(iter(given))
    for name, a in given.items():
        if a.dtype.kind != "f":
            raise DtypeError(
                f"{op}: {name} holds {a.dtype} numbers, but a floating-point array is needed; "
                f"convert it first, for images with x.astype(np.float32) / 255 or x.float() / 255"
            )
        if a.dtype != given[first].dtype:
            raise DtypeError(
                f"{op}: {first} is {given[first].dtype} but {name} is {a.dtype}; "
                f"use one precision, for instance x.float() or model.double()"
            )


def _are_numpys_floats(arrays):
    """Whether all are plain NumPy arrays with one dtype of floats."""
    kind = None
    for a in arrays:
        if type(a) is not np.ndarray or (kind is not None and a.dtype is not kind):
            return False
        kind = a.dtype
    return kind is not None and kind.kind == "f"


def check_devices(op: str, **arrays: Array) -> None:
    """All arrays live on one device, or a DeviceError says which does not. None may stand for those that are OPTIONAL.

    Raises DtypeError for what is no array."""
    given = [(name, a) for name, a in arrays.items() if a is not None or (op, name) not in OPTIONAL]
    for name, a in given:
        check_is_array(op, name, a)
    name, first = given[0]
    for other, a in given[1:]:
        if not (isinstance(a, np.ndarray) and isinstance(first, np.ndarray)) and device_of(a) != device_of(first):
            raise DeviceError(
                f"{op}: {name} is on {device_of(first)} but {other} is on {device_of(a)}; "
                f"move the model with model.to(...) or the data with x.to(...)"
            )


def check_rank(op: str, rank: int, axes: str, **array: Array) -> None:
    """The one named array has `rank` axes. Raises ShapeError."""
    ((name, a),) = array.items()
    if a.ndim != rank:
        hint = ""
        if rank == 4 and a.ndim == 3:
            hint = f"; a single image needs a batch axis: {name}[None]"
        raise ShapeError(f"{op}: {name} must have {rank} axes {axes}, got {a.ndim} axes {tuple(a.shape)}{hint}")


def pair(op: str, name: str, value: Any, minimum: int) -> Pair:
    """An option given as one integer or as a (height, width) pair, as a pair. Raises OptionError."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) == 2:
        high, wide = values
        if type(high) is type(wide) is int and minimum <= high <= MOST and minimum <= wide <= MOST:
            return values
    if len(values) != 2 or not all(is_integer(v) for v in values):
        raise OptionError(f"{op}: {name} must be an integer or a pair (height, width) of integers, got {value!r}")
    if min(values) < minimum:
        raise OptionError(f"{op}: {name} must be at least {minimum}, got {value!r}")
    if max(values) > MOST:
        raise OptionError(f"{op}: {name} must be at most {MOST}, got {value!r}")
    return int(values[0]), int(values[1])


def as_array(y: Array) -> Array:
    """y itself, or the array of rank 0 that NumPy's arithmetic has turned into a number."""
    return np.asarray(y) if isinstance(y, np.generic) else y


def axes_of(op: str, x: Array, axis: Any) -> Shape:
    """`axis` (an integer, several, or None for all) as a tuple of axes of x counted from 0. A single number, which has
    none, may be asked along axis 0 or -1, as in PyTorch: then there are none.

    Raises OptionError, ShapeError."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    ndim = x.ndim or 1
    for a in axes:
        if not is_integer(a):
            raise OptionError(f"{op}: axis must be an integer or several, got {axis!r}")
        if not -ndim <= a < ndim:
            raise ShapeError(f"{op}: axis {a} does not exist in {tuple(x.shape)}")
    axes = tuple(int(a) % ndim for a in axes)
    if len(set(axes)) != len(axes):
        raise OptionError(f"{op}: an axis is named twice in {axis!r}")
    return axes if x.ndim else ()


def one_axis(op: str, x: Array, axis: Any) -> int:
    """A single axis of x, counted from 0. Raises OptionError, ShapeError."""
    if not is_integer(axis):
        raise OptionError(f"{op}: axis must be an integer, got {axis!r}")
    if not x.ndim:
        raise ShapeError(f"{op}: axis {axis} does not exist in ()")
    return axes_of(op, x, axis)[0]


def fraction(op: str, name: str, value: Any) -> float:
    """An option that is a number from 0 to 1, as a float. Raises OptionError."""
    if not is_number(value) or not 0 <= float(value) <= 1:
        raise OptionError(f"{op}: {name} must be a number from 0 to 1, got {value!r}")
    return float(value)


def check_positive(what: str, **values: Any) -> None:
    """Every value is an integer from 1, or an OptionError names the one that is not."""
    for name, value in values.items():
        if not is_integer(value) or value < 1:
            raise OptionError(f"{what}: {name} must be a positive integer, got {value!r}")


def whole_number(what: str, value: Any, least: int = 1) -> int:
    """An option that is an integer from `least`, as an int. Raises OptionError, which begins with `what`."""
    if not is_integer(value) or value < least:
        raise OptionError(f"{what} must be an integer from {least}, got {value!r}")
    return int(value)


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """floor((size + 2·padding - dilation·(kernel - 1) - 1) / stride) + 1: how many windows fit along one axis."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
