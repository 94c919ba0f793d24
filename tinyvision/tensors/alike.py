"""Tensors made in the likeness of another: on its device, of its dtype where none is named, of its shape or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import from_numbers, looks_like_an_array
from ..device import DeviceName, device_of, memory_errors_explained
from ..dtypes import as_dtype
from ..errors import OptionError
from ..types import DType
from .arguments import new_shape
from .conversion import fitted

if TYPE_CHECKING:
    from .tensor import Tensor


def _made(x, make, shape, dtype, device, requires_grad, *value):
    with memory_errors_explained(device_of(x.array)):
        array = make(x.array, *value, dtype=x.dtype if dtype is None else as_dtype(dtype), shape=shape)
    made = x.like(array).to(device=device)
    return made.requires_grad_() if requires_grad else made


def new_zeros(
    x: Tensor, *size: Any, dtype: DType | None = None, device: DeviceName | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros in another shape."""
    return _made(x, np.zeros_like, new_shape(size), dtype, device, requires_grad)


def new_ones(
    x: Tensor, *size: Any, dtype: DType | None = None, device: DeviceName | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones in another shape."""
    return _made(x, np.ones_like, new_shape(size), dtype, device, requires_grad)


def new_full(
    x: Tensor,
    size: Any,
    fill_value: Any,
    dtype: DType | None = None,
    device: DeviceName | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """One number everywhere, in another shape."""
    value = fill_value.item() if hasattr(fill_value, "array") else fill_value
    kind = x.array.dtype if dtype is None else as_dtype(dtype)
    number = fitted("full", np.array(value), kind).item()
    return _made(x, np.full_like, new_shape((size,)), kind, device, requires_grad, number)


def new_tensor(
    x: Tensor, data: Any, dtype: DType | None = None, device: DeviceName | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of `data`, numbers in lists or an array."""
    kind = x.array.dtype if dtype is None else as_dtype(dtype)
    data = data.array if hasattr(data, "array") else data
    numbers = data if looks_like_an_array(data) else from_numbers("new_tensor", data, x.array)
    made = x.like(fitted("new_tensor", np.array(numbers, like=x.array), kind)).to(device=device)
    return made.requires_grad_() if requires_grad else made


def new(x: Tensor, *arguments: Any) -> Tensor:
    """The old spelling: `x.new(2, 3)` of sizes (zeros here), `x.new([1, 2])` of numbers."""
    if len(arguments) == 1 and isinstance(arguments[0], (list, np.ndarray)):
        return new_tensor(x, arguments[0])
    return new_zeros(x, *(arguments or (0,)))


def zeros_like(
    x: Tensor, dtype: DType | None = None, device: DeviceName | None = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros in the shape of x."""
    return _made(x, np.zeros_like, x.shape, dtype, device, requires_grad)


def ones_like(
    x: Tensor, dtype: DType | None = None, device: DeviceName | None = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Ones in the shape of x."""
    return _made(x, np.ones_like, x.shape, dtype, device, requires_grad)


def empty_like(
    x: Tensor, dtype: DType | None = None, device: DeviceName | None = None, requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros in the shape of x, to be written over. (PyTorch's hold whatever the memory held.)"""
    return _made(x, np.zeros_like, x.shape, dtype, device, requires_grad)


def full_like(
    x: Tensor, fill_value: Any, dtype: DType | None = None, device: DeviceName | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """One number everywhere, in the shape of x."""
    return new_full(x, x.shape, fill_value, dtype, device, requires_grad)


def fill_diagonal(x: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """x with one number wherever all coordinates are equal."""
    if wrap:
        raise OptionError("fill_diagonal_: wrap=True, which goes on below a tall matrix, is not supported")
    if x.ndim < 2:
        raise OptionError(f"fill_diagonal_: there must be two axes or more, got {x.shape}")
    mask = np.zeros_like(x.array, dtype=bool)
    mask[(np.arange(min(x.shape), like=x.array),) * x.ndim] = True
    return x.masked_fill(x.like(mask), fill_value)
