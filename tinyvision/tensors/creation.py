"""Making tensors: from lists, from arrays, from nothing, and from other tensors."""

from typing import Any

import numpy as np

from .. import random
from ..arrays import full_name
from ..device import Device, require_cuda, to_device
from ..errors import DtypeError, ShapeError
from ..tape import Variable
from ..types import DType
from .arguments import new_shape
from .inputs import tensor_input
from .tensor import Tensor


def tensor(data: Any, dtype: DType | None = None, device: str | Device = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor that owns a copy of `data`: numbers, nested lists, arrays or tensors. Python floats become float32.

    Raises ShapeError for ragged lists and DtypeError for what is not numbers."""
    if isinstance(data, Variable):
        data = data.array
    try:
        array = data.copy() if hasattr(data, "dtype") and hasattr(data, "copy") else np.array(_unwrapped(data))
    except ValueError as error:
        raise ShapeError(f"tensor: the lists do not form a rectangle ({error})") from None
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"tensor: expected numbers, got {array.dtype} from {type(data).__name__}")
    if dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
        dtype = np.float32
    array = to_device(array if dtype is None else array.astype(dtype), device)
    return Tensor(array, requires_grad=requires_grad)


def _unwrapped(data):
    return (
        [_unwrapped(d) for d in data]
        if isinstance(data, (list, tuple))
        else data.array
        if isinstance(data, Variable)
        else data
    )


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise DtypeError(f"from_numpy: expected a NumPy array, got {full_name(array)}")
    return Tensor(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of any object with `__dlpack__` (PyTorch, CuPy, JAX), on its own device."""
    kind, index = map(int, source.__dlpack_device__())
    if kind == 1:  # kDLCPU
        return Tensor(np.from_dlpack(source))
    return Tensor(require_cuda(Device("cuda", index)).from_dlpack(source))


def zeros(*shape: Any, dtype: DType = np.float32, device: str | Device = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return Tensor(to_device(np.zeros(new_shape(shape), dtype), device), requires_grad)


def ones(*shape: Any, dtype: DType = np.float32, device: str | Device = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return Tensor(to_device(np.ones(new_shape(shape), dtype), device), requires_grad)


def randn(*shape: Any, dtype: DType = np.float32, device: str | Device = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of standard normal random numbers, the same on every device for one seed."""
    array = random.generator().standard_normal(new_shape(shape)).astype(dtype)
    return Tensor(to_device(array, device), requires_grad)


def rand(*shape: Any, dtype: DType = np.float32, device: str | Device = "cpu", requires_grad: bool = False) -> Tensor:
    """A tensor of random numbers from [0, 1)."""
    return Tensor(to_device(random.generator().random(new_shape(shape)).astype(dtype), device), requires_grad)


def arange(*limits: float, dtype: DType | None = None, device: str | Device = "cpu") -> Tensor:
    """A tensor that counts, as Python's range does; with float32 numbers if a limit or the step is a float."""
    counted = np.arange(*limits)
    dtype = np.float32 if dtype is None and counted.dtype.kind == "f" else dtype
    return tensor(counted, dtype=dtype, device=device)


def zeros_like(x: Any, dtype: DType | None = None) -> Tensor:
    """A tensor of zeros with the shape, dtype and device of x."""
    return Tensor(np.zeros_like(tensor_input("zeros_like", "x", x).array, dtype=dtype))


def ones_like(x: Any, dtype: DType | None = None) -> Tensor:
    """A tensor of ones with the shape, dtype and device of x."""
    return Tensor(np.ones_like(tensor_input("ones_like", "x", x).array, dtype=dtype))


def full(size: Any, fill_value: float, dtype: DType | None = None, device: str | Device = "cpu") -> Tensor:
    """A tensor of one number everywhere; a Python float makes float32, an integer int64."""
    return tensor(
        np.full(new_shape((size,)), fill_value),
        dtype or (np.float32 if isinstance(fill_value, float) else None),
        device,
    )


def randperm(n: int, device: str | Device = "cpu") -> Tensor:
    """The integers 0 ... n - 1 in random order (int64)."""
    return Tensor(to_device(random.generator().permutation(n).astype(np.int64), device))


def randint(low: int, high: int, size: Any, dtype: DType = np.int64, device: str | Device = "cpu") -> Tensor:
    """A tensor of random integers from low up to, not including, high."""
    return Tensor(to_device(random.generator().integers(low, high, new_shape((size,))).astype(dtype), device))
