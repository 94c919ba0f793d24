"""What counts as an array here: NumPy's and CuPy's, and of everything else an error says what to do with it.

Many libraries have arrays with a dtype and a shape. What the ops need is more: NumPy's functions must dispatch to an
array where it lives, and `get()` must copy it back, as with CuPy's. An array that bears these two marks counts too.

Behind that: how an array lies in memory, and who else looks at that memory.
"""

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import DtypeError, ShapeError, SharingError
from .types import Array, DType, Shape


def _is_type_of_cupys(kind: type) -> bool:
    """True for the types of what CuPy makes, said without importing it."""
    module = kind.__module__
    return module[:4] == "cupy" and (module == "cupy" or module[4] == ".")


is_type_of_cupys: Callable[[type], bool] = lru_cache(256)(_is_type_of_cupys)


def is_array(value: Any) -> bool:
    """True for an array, or a single number, of NumPy's or CuPy's; False for tensors, ours as well, and all else."""
    if isinstance(value, (np.ndarray, np.generic)) or is_type_of_cupys(type(value)):
        return True
    return hasattr(type(value), "__array_function__") and hasattr(type(value), "get")


def empty_beside(like: Array, shape: Shape, dtype: DType = np.float32) -> Array:
    """An uninitialised C-ordered array where `like` lives (of GPUs, the current one), of float32 whatever that holds:
    `np.empty_like` of CuPy's array takes twice as long to find its way to the same function."""
    if is_type_of_cupys(type(like)):
        return sys.modules["cupy"].empty(shape, dtype)
    return np.empty_like(like, shape=shape, order="C", dtype=dtype)


def looks_like_an_array(value: Any) -> bool:
    """True for whatever has a dtype and a shape, of whatever library."""
    return hasattr(value, "dtype") and hasattr(value, "shape")


def full_name(value: Any) -> str:
    """The name of a value's type with its module, since a `Tensor` may be anybody's; Python's own types go without."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def check_is_array(op: str, name: str, value: Any) -> None:
    """`value` is an array that the ops can compute with, or a DtypeError says what it is instead, and the remedy."""
    if type(value) is np.ndarray or is_type_of_cupys(type(value)):  # what it nearly always is
        return
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):
        plain(op, name, value)  # refuses the one; the other's operators mean something else
        raise DtypeError(f"{op}: {name} is a numpy.matrix, whose * is a product of matrices; pass numpy.asarray(...)")
    if is_array(value):
        return
    if not looks_like_an_array(value):
        raise DtypeError(f"{op}: {name} must be an array, got {type(value).__name__}")
    called = name if name.isidentifier() else "x"
    if hasattr(value, "requires_grad") and hasattr(value, "like"):  # a value on the tape
        remedy = f"but ops take plain arrays: pass {called}.array, or call its function in tinyvision.nn.functional"
    elif hasattr(value, "numpy"):
        remedy = (
            f"an array of another library; convert it with tinyvision.from_numpy({called}.numpy()) or "
            f"tinyvision.from_dlpack({called}), or let tinyvision.data.DataLoader make the batches"
        )
    else:
        remedy = f"an array of another library; convert it with tinyvision.tensor(numpy.asarray({called}))"
    raise DtypeError(f"{op}: {name} is a {full_name(value)}, {remedy}")


def plain(op: str, name: str, array: np.ndarray) -> np.ndarray:
    """A NumPy array as one without a class of its own, on the same memory: an np.matrix, whose `*` means something
    else, an np.memmap, ... Raises DtypeError for a masked array, whose masked numbers would count."""
    if type(array) is np.ndarray:
        return array
    if isinstance(array, np.ma.MaskedArray):
        raise DtypeError(
            f"{op}: {name} is a masked array, and masks are not known here: the masked numbers would count; "
            f"give them a value with .filled(0), or leave them out with .compressed()"
        )
    return array.view(np.ndarray)


def handed_over(array: Array, options: dict[str, Any]) -> Any:
    """An array's memory for another library, by the options of its `__dlpack__`. Raises SharingError for what is
    read-only, if the library does not ask for that flag, and for axes that run backwards: PyTorch ends the process."""
    runs_backwards = any(step < 0 and n > 1 for n, step in zip(array.shape, array.strides, strict=True))
    if runs_backwards and options.get("copy") is not True:
        raise SharingError("__dlpack__(): an axis runs backwards in memory; hand over .clone(), a copy that does not")
    try:
        return array.__dlpack__(**options)
    except BufferError as reason:
        remedies = {
            "readonly": " .clone() is a copy that can be written to",
            "byte order": f' .to("{array.dtype.name}") is a copy in the machine\'s own',
            "strides": " .clone() is a copy without gaps",
        }
        remedy = next((text for word, text in remedies.items() if word in str(reason)), "")
        raise SharingError(f"__dlpack__(): {reason}{remedy}") from None


def from_numbers(what: str, value: Any, like: Array | None = None) -> Array:
    """A number, or lists of numbers, as an array (of NumPy's, or as `like`). Raises ShapeError, DtypeError."""
    if isinstance(value, (list, tuple)):
        refuse_masked(what, value)
    try:
        array = np.asarray(value, like=like)
    except ValueError:
        raise ShapeError(f"{what}: the lists do not form a rectangle") from None
    if array.dtype.kind not in "biuf":
        got = array.dtype if isinstance(value, (list, tuple)) else type(value).__name__
        raise DtypeError(f"{what}: expected numbers, got {got}")
    return array


def refuse_masked(what: str, numbers: Any) -> None:
    """Raise DtypeError for a masked array anywhere in nested lists: NumPy would take its masked numbers as well."""
    if isinstance(numbers, (list, tuple)):
        for part in numbers:
            refuse_masked(what, part)
    elif isinstance(numbers, np.ma.MaskedArray):
        plain(what, "an array", numbers)


def held(value: Any) -> Array:
    """The array that a tensor holds for `value`: an array itself, numbers and lists of them as one of NumPy's.

    Raises DtypeError for what is neither, ShapeError for lists that are no rectangle."""
    if isinstance(value, np.ndarray):
        return plain("Tensor", "data", value)
    if looks_like_an_array(value) and not isinstance(value, np.generic):
        check_is_array("Tensor", "data", value)
        return value
    return from_numbers("Tensor", value)


def is_channels_last(array: Array) -> bool:
    """Whether images (N, C, H, W) lie in memory with the channels of a pixel side by side, as the layers leave them."""
    return array.ndim == 4 and not array.flags.c_contiguous and array.transpose(0, 2, 3, 1).flags.c_contiguous


def in_its_order(array: Array, copy: Callable[[Array], Array]) -> Array:
    """What `copy` makes of an array, with the axes in the order in memory that they had, where copies have C order.

    A convolution's weight lies channels last: its kernel would have to reorder another order at every call."""
    if array.ndim < 2 or array.flags.c_contiguous:
        return copy(array)
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return copy(array.transpose(order)).transpose([order.index(axis) for axis in range(array.ndim)])


def memory_of(array: Array) -> Any:
    """The array, or whatever it is, that owns the memory which `array` looks at."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def address_of(array: Array) -> int:
    """Where the first number of an array lies in memory."""
    return int(array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr)


def lie_alike(a: Array, b: Array) -> bool:
    """Whether two arrays of one shape have their numbers at the same distances; along an axis of 1 there is none."""
    if a.strides == b.strides:
        return True
    return all(n == 1 or s == t for n, s, t in zip(a.shape, a.strides, b.strides, strict=True))


def is_only_here(owner: Any, name: str, like: Array) -> bool:
    """Whether `owner.name` is an array laid out as `like` whose memory nobody else knows, so that it can be given away.

    Python counts who refers to an object. Here there are two, the attribute and the question itself, as long as no
    variable, no cache, no list of somebody's own layer has the array, or another look at its memory."""
    array = getattr(owner, name)
    if type(array) is not type(like) or array.dtype != like.dtype or not lie_alike(array, like):
        return False
    if not hasattr(array, "base") or not getattr(array.flags, "writeable", True):
        return False
    base = array.base
    if base is not None and (type(base) is not type(like) or base.base is not None or base.nbytes != array.nbytes):
        return False
    has_base = base is not None
    del array, base  # they would count
    alone = sys.getrefcount(getattr(owner, name)) == 2
    return alone and (not has_base or sys.getrefcount(getattr(owner, name).base) == 2)


def holds(cache: Any, memory: int | None = None) -> bool:
    """Whether a cache keeps an array (one that lives in that memory, named by the `id` of its owner)."""
    if isinstance(cache, dict):
        cache = list(cache.values())
    if isinstance(cache, (tuple, list)):
        return any(holds(part, memory) for part in cache)
    return is_array(cache) and (memory is None or id(memory_of(cache)) == memory)
