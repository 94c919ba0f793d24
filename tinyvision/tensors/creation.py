"""Making tensors: from lists, from arrays, from nothing, of one number, of counted and of random ones.

Where no dtype is named, Python's floats and numbers from nowhere become the default dtype, float32 unless it was set.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..arrays import full_name, plain, refuse_masked
from ..device import Device, DeviceName, memory_errors_explained, require_cuda, to_device
from ..dtypes import as_dtype, common_dtype, default_dtype
from ..errors import DtypeError, OptionError, ShapeError, SharingError
from ..ops.checks import is_integer
from ..tape import Variable
from ..types import DType
from .arguments import new_shape
from .conversion import fitted
from .operands import shape_together
from .sampling import Generator, source
from .tensor import Tensor

Place = DeviceName | None


def placed(array: np.ndarray, device: Place = None, requires_grad: bool = False) -> Tensor:
    """A NumPy array that was just made, as a tensor on a device (the CPU by default)."""
    return Tensor.of(to_device(array, "cpu" if device is None else device), requires_grad=requires_grad)


def tensor(
    data: Any,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor that owns a copy of `data`: numbers, nested lists, arrays or tensors. Python floats become float32.

    pin_memory changes nothing: copies to a GPU are prepared where they are made. Raises ShapeError for ragged lists and
    DtypeError for what is not numbers."""
    if isinstance(data, Variable):
        data = data.array
    if isinstance(data, np.ndarray):
        array, of_python = plain("tensor", "data", data).copy(), False
    elif hasattr(data, "dtype") and hasattr(data, "copy"):
        array, of_python = data.copy(), False
    else:
        refuse_masked("tensor", data)
        numbers = _unwrapped(data)
        try:
            array = np.array(numbers)
        except ValueError as error:
            raise ShapeError(f"tensor: the lists do not form a rectangle ({error})") from None
        of_python = not isinstance(_first(numbers), (np.generic, np.ndarray))
    _numbers("tensor", array, data)
    if dtype is None and of_python and array.dtype == np.uint64:
        raise DtypeError(f"tensor: {array.max()} does not fit into int64; give it a dtype, such as torch.float32")
    if dtype is None and array.dtype == np.float64:
        dtype = default_dtype() if of_python else _of_numbers(data)
    if dtype is not None:
        array = fitted("tensor", array, as_dtype(dtype)) if of_python else array.astype(as_dtype(dtype))
    return Tensor.of(array if device is None else to_device(array, device), requires_grad=requires_grad)


def _numbers(what, array, data):
    """`array`, if it holds what a tensor may hold. Raises DtypeError, also for floats of more than 64 bits."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise DtypeError(f"{what}: expected numbers, got {array.dtype} from {type(data).__name__}")
    return array


def _unwrapped(data):
    if isinstance(data, (list, tuple)):
        return [_unwrapped(d) for d in data]
    return data.array if isinstance(data, Variable) else data


def _of_numbers(data):
    """The dtype in which Python's numbers and those of arrays, in one list, meet; float64 for an array itself."""
    if isinstance(data, (list, tuple)):
        return functools.reduce(common_dtype, map(_of_numbers, data))
    return getattr(data, "dtype", default_dtype() if isinstance(data, float) else np.dtype(bool))


def _first(data):
    """The first number in nested lists."""
    while isinstance(data, list) and data:
        data = data[0]
    return data


def as_tensor(data: Any, dtype: DType | None = None, device: Place = None) -> Tensor:
    """`data` as a tensor without a copy where that is possible: a tensor itself, an array's own memory."""
    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    if not isinstance(data, Tensor):
        return tensor(data, dtype, device)
    return data.to(dtype=dtype, device=device)


def asarray(
    obj: Any,
    *,
    dtype: DType | None = None,
    device: Place = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """`obj` as a tensor: memory of its own with copy=True, never with copy=False; on the tape if `obj` is and
    requires_grad is not False. Raises SharingError."""
    x = as_tensor(obj, dtype, device)
    shares = x.array is getattr(obj, "array", obj)
    if copy is False and not shares:
        raise SharingError("asarray: with copy=False there must be memory to share, of this dtype and on this device")
    x = x.clone() if copy and shares else x
    return x if requires_grad in (None, x.requires_grad) else x.detach().requires_grad_(requires_grad)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(ndarray, np.ndarray):
        raise DtypeError(f"from_numpy: expected a NumPy array, got {full_name(ndarray)}")
    return Tensor.of(_numbers("from_numpy", ndarray, ndarray))


def from_dlpack(source: Any, *, device: Place = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of any object with `__dlpack__` (PyTorch, CuPy, JAX), on its own device.

    With `device` it is brought there; copy=True is memory of its own, copy=False refuses what needs a copy.

    What is read-only there is read-only here, as all of JAX's arrays are. The other way, NumPy and PyTorch share what a
    tensor hands over, though PyTorch does not heed that it is read-only; JAX copies memory that does not begin at a
    multiple of 64 bytes, as small arrays of NumPy's rarely do.

    Raises DtypeError for what has no `__dlpack__`, for numbers that there are none of here (bfloat16), and for a tensor
    whose gradients would be lost: detach it there. SharingError where copy=False cannot be kept."""
    if not (hasattr(source, "__dlpack__") and hasattr(source, "__dlpack_device__")):
        raise DtypeError(
            f"from_dlpack: expected a tensor of another library, with __dlpack__, got {full_name(source)}; a capsule "
            f"does not say on which device it is, hand over the tensor itself"
        )
    kind, index = map(int, source.__dlpack_device__())
    if kind == 1:  # kDLCPU
        try:
            array = np.from_dlpack(source)
        except (BufferError, RuntimeError) as reason:
            raise DtypeError(f"from_dlpack: {full_name(source)} cannot be shared ({reason})") from None
    else:
        array = require_cuda(Device("cuda", index)).from_dlpack(source)
    _numbers("from_dlpack", array, source)
    there = array if device is None else to_device(array, device)
    if there is not array and copy is False:
        raise SharingError(f"from_dlpack: {full_name(source)} would have to be copied to {device}, and copy is False")
    return Tensor.of(there.copy() if there is array and copy else there)


def sizes_of(what: str, shape: Sequence[Any], size: Any) -> tuple[int, ...]:
    """The shape of a tensor that is to be made, given as `f(2, 3)`, `f((2, 3))` or `f(size=(2, 3))`."""
    if size is not None and shape:
        raise OptionError(f"{what}: the shape is given twice, as {shape} and as size={size}")
    return new_shape(shape if size is None else (tuple(size),))


def kind_of(dtype: DType | None) -> np.dtype:
    """A dtype, the default one where none is named."""
    return default_dtype() if dtype is None else as_dtype(dtype)


@memory_errors_explained("cpu")
def zeros(
    *shape: Any,
    size: Any = None,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    return placed(np.zeros(sizes_of("zeros", shape, size), kind_of(dtype)), device, requires_grad)


@memory_errors_explained("cpu")
def ones(
    *shape: Any,
    size: Any = None,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of ones."""
    return placed(np.ones(sizes_of("ones", shape, size), kind_of(dtype)), device, requires_grad)


@memory_errors_explained("cpu")
def empty(
    *shape: Any,
    size: Any = None,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of zeros, to be written over. (PyTorch's holds whatever the memory held.)"""
    return placed(np.zeros(sizes_of("empty", shape, size), kind_of(dtype)), device, requires_grad)


@memory_errors_explained("cpu")
def full(
    size: Any,
    fill_value: Any,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of one number everywhere; a Python float makes float32, an integer int64, a truth value bool."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    if dtype is None and isinstance(value, float):
        dtype = default_dtype()
    number = np.array(value) if dtype is None else fitted("full", np.array(value), as_dtype(dtype))
    return placed(np.full(new_shape((size,)), number), device, requires_grad)


def scalar_tensor(s: float, dtype: DType | None = None, device: Place = None, requires_grad: bool = False) -> Tensor:
    """One number, of the default dtype where none is named."""
    return placed(np.array(s, kind_of(dtype)), device, requires_grad)


@memory_errors_explained("cpu")
def eye(
    n: int, m: int | None = None, dtype: DType | None = None, device: Place = None, requires_grad: bool = False
) -> Tensor:
    """A matrix (n, m), square by default, with ones on its diagonal and zeros elsewhere."""
    sizes = new_shape((n, n if m is None else m))
    return placed(np.eye(*sizes, dtype=kind_of(dtype)), device, requires_grad)


@memory_errors_explained("cpu")
def arange(
    *limits: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor that counts: `arange(end)`, `arange(start, end, step)`; floats if a limit or the step is a float.

    Raises OptionError."""
    given = [v.item() if isinstance(v, Tensor) else v for v in limits]
    if len(given) == 1 and end is None:
        given = [0 if start is None else start, *given]
    elif not given:
        given = [0 if start is None else start]
    if len(given) < 2 and end is not None:
        given.append(end)
    if len(given) == 2:
        given.append(1 if step is None else step)
    if len(given) != 3:
        raise OptionError(f"arange: expected (end), (start, end) or (start, end, step), got {limits}")
    first, last, by = given
    if not by or (last - first) / by < 0:
        raise OptionError(f"arange: counting from {first} by {by} does not lead to {last}")
    if dtype is None:
        dtype = default_dtype() if any(isinstance(v, (float, np.floating)) for v in given) else np.int64
    kind = as_dtype(dtype)
    if kind.kind in "iu" and not all(map(is_integer, given)):
        return placed(_whole_steps(first, last, by, kind), device, requires_grad)
    # Counted in float64 or whole numbers, and rounded once.
    return placed(np.arange(first, last, by).astype(kind), device, requires_grad)


def _whole_steps(first, last, by, kind):
    """What PyTorch makes of limits and a step that are cut to whole numbers: short integers are as many as the floats
    would be, of int64 the limits are cut before it is asked how many there are. Raises OptionError."""
    start, stop, step = map(int, (first, last, by))
    if not step:
        raise OptionError(f"arange: in {kind} a step of {by} is none; leave dtype out, and convert with .to({kind})")
    count = math.ceil((stop - start) / step if kind == np.int64 else (last - first) / by)
    return (start + step * np.arange(count)).astype(kind)


@memory_errors_explained("cpu")
def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from start to end, both included, at equal distances; of whole numbers, from int(start) on."""
    kind = kind_of(dtype)
    return placed(_spread(start, end, steps, kind).astype(kind), device, requires_grad)


def _spread(start, end, steps, kind):
    """Several whole numbers lie between whole numbers."""
    whole = kind.kind in "iu" and steps > 1
    return np.linspace(int(start), int(end), steps) if whole else np.linspace(start, end, steps)


@memory_errors_explained("cpu")
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base ** start to base ** end, each the same multiple of the one before."""
    kind = kind_of(dtype)
    return placed((base ** _spread(start, end, steps, kind)).astype(kind), device, requires_grad)


@memory_errors_explained("cpu")
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """The places on and below the diagonal of a matrix: its row numbers above its column numbers."""
    return placed(np.array(np.tril_indices(row, offset, col), np.int64 if dtype is None else as_dtype(dtype)), device)


@memory_errors_explained("cpu")
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Place = None) -> Tensor:
    """The places on and above the diagonal of a matrix: its row numbers above its column numbers."""
    return placed(np.array(np.triu_indices(row, offset, col), np.int64 if dtype is None else as_dtype(dtype)), device)


# -- drawn: one seed gives the same numbers on every device


@memory_errors_explained("cpu")
def randn(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of standard normal random numbers, the same on every device for one seed."""
    array = source(generator).standard_normal(sizes_of("randn", shape, size)).astype(kind_of(dtype))
    return placed(array, device, requires_grad)


@memory_errors_explained("cpu")
def rand(
    *shape: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of random numbers from [0, 1)."""
    array = source(generator).random(sizes_of("rand", shape, size)).astype(kind_of(dtype))
    return placed(array, device, requires_grad)


@memory_errors_explained("cpu")
def randint(
    *limits: Any,
    low: int = 0,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType = np.int64,
    device: Place = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random integers up to, not including, high: `randint(high, size)` from 0, `randint(low, high, size)` from low.

    Raises OptionError."""
    given = list(limits)
    if given and size is None:
        size = given.pop()
    if high is None:
        if not given:
            raise OptionError("randint: give high, up to which the numbers go, and the size")
        high = given.pop()
    low = given.pop() if given else low
    if given or size is None:
        raise OptionError(f"randint: expected (high, size) or (low, high, size), got {limits}")
    if low >= high:
        raise OptionError(f"randint: there is no integer from {low} up to {high}")
    numbers = source(generator).integers(low, high, new_shape((size,)))
    return placed(numbers.astype(as_dtype(dtype)), device, requires_grad)


random.shown_as.append(Tensor.of)


@memory_errors_explained("cpu")
def randperm(n: int, *, generator: Generator | None = None, dtype: DType = np.int64, device: Place = None) -> Tensor:
    """The integers 0 ... n - 1 in random order (int64). Raises OptionError."""
    if not is_integer(n) or n < 0:
        raise OptionError(f"randperm: n must be a whole number from 0 on, got {n!r}")
    return placed(source(generator).permutation(int(n)).astype(dtype), device)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Place = None,
) -> Tensor:
    """Normal random numbers; mean and std are numbers (with a size) or tensors, each number of which has its own."""
    given = [v.detach() for v in (mean, std) if isinstance(v, Tensor)]
    if given and size is not None:
        raise OptionError("normal: the size is that of mean and std, which are tensors")
    if given:
        size = shape_together("normal", *given)
        dtype, device = given[0].dtype, given[0].device
    drawn = randn(size=() if size is None else size, generator=generator, dtype=dtype, device=device)
    return drawn * (std.detach() if isinstance(std, Tensor) else std) + (
        mean.detach() if isinstance(mean, Tensor) else mean
    )
