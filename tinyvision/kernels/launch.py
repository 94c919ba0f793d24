"""Launching the kernels of the CUDA texts beside this file, on the arrays' own GPU.

Everything that a drop-in needs from the outside goes through `launch`, `empty` and `address`, so the tests can put an
emulator in their place and run the very same drop-ins, with the very same texts, on NumPy arrays.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from ..arrays import empty_beside, is_type_of_cupys
from ..device import HALVES, device_of, is_capturing
from ..types import Array
from . import machine_code

THREADS = 256

# Kernels count numbers and pixels with 32-bit integers, which are faster; some are added to before they are compared.
LARGEST, LONGEST = 2**31 - 2**24, 2**24  # numbers in an array; pixels in a row or column, steps of a stride or dilation


# What comes before a text whose factors have 16 bits: "tensor_cores bf16" is tensor_cores.cu, read with this in front.
KINDS = {kind: f"#define {kind.upper()}\nusing Number = unsigned short;\n" for kind in HALVES}


@cache
def text(name: str) -> str:
    """The CUDA text `name`.cu; of "name kind", with what KINDS has before it."""
    name, _, kind = name.partition(" ")
    return KINDS.get(kind, "") + files(__package__).joinpath(f"{name}.cu").read_text(encoding="utf-8")


def launch(source: str, kernel: str, grid: Any, *arguments: Any, threads: int = THREADS, shared: int = 0) -> None:
    """Run `kernel` of `source`.cu with `threads` threads in each of `grid` blocks (x, y, z) on the GPU of the first
    array; `shared`: how many bytes of shared memory a block gets besides those that the text declares.

    Arguments are arrays (None is a null pointer), np.int32, np.int64 and np.float32 numbers, and structures as 0-d
    NumPy arrays: CuPy hands over their bytes as they are, so each must have its parameter's very type."""
    first = arguments[0]
    index = first.device.id if is_type_of_cupys(type(first)) else device_of(first).index
    launch_on(index, source, kernel, grid, *arguments, threads=threads, shared=shared)


def launch_on(
    index: int, source: str, kernel: str, grid: Any, *arguments: Any, threads: int = THREADS, shared: int = 0
) -> None:
    """`launch` on GPU number `index`, for kernels that get all their arrays inside of a structure."""
    _function(source, kernel, index, shared)(grid, (threads, 1, 1), arguments, shared_mem=shared)


class Plan(NamedTuple):
    """A launch as far as shapes and options decide it: worked out once, and kept for the next arrays of these shapes.
    `numbers` are the arguments behind the arrays."""

    source: str
    kernel: str
    grid: tuple[int, int, int]
    numbers: tuple[Any, ...] = ()
    threads: int = THREADS
    shared: int = 0


def run(plan: Plan, *arrays: Any) -> None:
    """`launch` what a plan says on these arrays; the first is none that may be missing."""
    source, kernel, grid, numbers, threads, shared = plan
    first = arrays[0]
    index = first.device.id if is_type_of_cupys(type(first)) else device_of(first).index
    launch_on(index, source, kernel, grid, *arrays, *numbers, threads=threads, shared=shared)


def generation(array: Array) -> str | None:
    """`machine_code.generation` of the GPU of an array; None for an array that is on none."""
    index = place(array)
    return None if index is None else machine_code.generation(index)


def place(array: Array) -> Any:
    """The number of the GPU on which an array lives."""
    return device_of(array).index


capturing = is_capturing  # nothing may be read back from the GPU then
_rehearsing = False


@contextmanager
def rehearsal() -> Iterator[None]:
    """Inside this block, calls go to the kernels that a capture would use: afterwards, all of them are loaded."""
    global _rehearsing
    previous, _rehearsing = _rehearsing, True
    try:
        yield
    finally:
        _rehearsing = previous


def without_cublas() -> bool:
    """True while cuBLAS, which refuses to be captured, must not be called: in a capture and in its rehearsal."""
    return _rehearsing or capturing()


def fits(sizes: Iterable[int], lengths: Iterable[int] = ()) -> bool:
    """Whether arrays of these sizes, and sides, strides, paddings, dilations of these lengths, fit 32-bit offsets."""
    return max(sizes) <= LARGEST and all(length < LONGEST for length in lengths)


@cache
def _compiled(source, index):
    return machine_code.compiled(text(source), index)


@cache
def _function(source, kernel, index, shared):
    function = _compiled(source, index).get_function(kernel)
    if shared:
        function.max_dynamic_shared_size_bytes = shared  # beyond 48 KiB the driver wants to be asked
    return function


empty = empty_beside  # an uninitialised array beside another, for the kernels' results


def computed(kept: dict[Any, Any] | None, key: Any, compute: Callable[[], Any]) -> Any:
    """What `compute` gave when it was asked for by this key, and left in `kept`; without one, what it gives now."""
    if kept is None:
        return compute()
    found = kept.get(key)
    if found is None:
        found = kept[key] = compute()
    return found


def address(array: Array) -> int:
    """The address of its first number."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def addresses(arrays: Iterable[Any]) -> list[int]:
    """The addresses of many, 0 for None: in one go for those of a GPU, as an optimizer asks in every step."""
    return [0 if a is None else a.data.ptr if is_type_of_cupys(type(a)) else address(a) for a in arrays]


def aligned(array: Array) -> Array:
    """A C-ordered array that begins at a multiple of 16 bytes: itself, or a copy. Floats become float32.

    Everything that reaches a kernel from outside passes here; only a gradient may need that conversion, where the
    backward of somebody's own op computed it in float64."""
    dtype = array.dtype
    if dtype.kind == "f" and dtype.itemsize != 4:
        array = array.astype(np.float32)
    if not array.flags.c_contiguous:
        return array.copy(order="C")
    at = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr  # as `address`: all arrays come by here
    return array.copy(order="C") if at % 16 else array


def channels_last(x: Array) -> Array:
    """(N, C, ...) as an aligned (N, ..., C): a view if its memory is in that order already."""
    ndim = x.ndim
    return aligned(x.transpose(0, *range(2, ndim), 1))


def channels_first(rows: Array) -> Array:
    """(N, ..., C) seen as (N, C, ...)."""
    last = rows.ndim - 1
    return rows.transpose(0, last, *range(1, last))


def blocks(count: int, per_block: int = THREADS) -> tuple[int, int, int]:
    """The grid for `count` pieces of work, `per_block` in a block."""
    return (-(-count // per_block), 1, 1)


@lru_cache(4096)
def structure(**numbers: int) -> Any:
    """A C structure of ints, passed to a kernel by value. The same numbers give the same array, which is read-only."""
    packed = np.array(tuple(numbers.values()), dtype=[(name, np.int32) for name in numbers])
    packed.flags.writeable = False
    return packed
