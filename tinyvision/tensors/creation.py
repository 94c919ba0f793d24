"""Making tensors: from lists, from arrays, from nothing, and from other tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..arrays import full_name
from ..device import Device, require_cuda, to_device
from ..errors import DtypeError, OptionError, ShapeError
from ..tape import Variable
from ..types import DType
from . import taped as F
from .operands import axis_of, new_shape
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


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`."""
    return F.concatenate(*_several("cat", tensors), axis=dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """The tensors along a new axis `dim`."""
    tensors = _several("stack", tensors)
    shapes = {t.shape for t in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"stack: all tensors must have one shape, got {', '.join(map(str, sorted(shapes)))}")
    dim = axis_of("stack", dim, tensors[0].ndim + 1)
    return cat([t.unsqueeze(dim) for t in tensors], dim)


def _several(what, tensors):
    if not isinstance(tensors, (list, tuple)) or not tensors:
        raise OptionError(f"{what}: expected a list of one or more tensors, got {type(tensors).__name__}")
    return [_tensor_of(t) for t in tensors]


def _tensor_of(x):
    """x itself, or an array such as `outputs.array` as a tensor."""
    return x if isinstance(x, Variable) else Tensor(x)


def argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest number is (see `Tensor.argmax`)."""
    return _tensor_of(x).argmax(dim, keepdim)


def flatten(x: Any, start_dim: int = 0) -> Tensor:
    """The axes from `start_dim` on merged into one."""
    return _tensor_of(x).flatten(start_dim)


def softmax(x: Any, dim: int) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`."""
    return _tensor_of(x).softmax(dim)
