"""Tensors as another kind of numbers, or on another device: on the tape where gradients flow through."""

from typing import Any

import numpy as np

from ..arrays import held, is_channels_last
from ..device import Device, device_of, to_device
from ..dtypes import as_dtype, default_dtype
from ..errors import DtypeError, OptionError, ShapeError
from ..tape import Variable, differentiable
from ..types import DType


def as_it_lies(data: Any) -> Any:
    """The array that is given, or that another tensor holds; of numbers and lists, one of NumPy's."""
    if type(data) is np.ndarray:
        return data
    if isinstance(data, Variable):
        return data.array
    array = held(data)
    return array.astype(default_dtype()) if isinstance(data, (list, tuple)) else array


def fitted(what: str, numbers: Any, dtype: np.dtype) -> Any:
    """Numbers that a user wrote down in another dtype. Raises DtypeError, which names one that does not fit."""
    if dtype.kind in "iu" and numbers.dtype != dtype:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if dtype.kind == "u" and numbers.dtype.kind == "i":
            low = -high  # -1 is the largest, as in PyTorch: they are counted from the end
        outside = ~((numbers >= low) & (numbers <= high))  # as is nan
        if bool(outside.any()):
            raise DtypeError(f"{what}: {numbers[outside].reshape(-1)[0].item()} does not fit into {dtype}")
    with np.errstate(over="ignore"):  # what float16 cannot hold is infinite there
        return numbers.astype(dtype)


def require_float(dtype: DType) -> None:
    """Only floats can have a gradient. Raises DtypeError."""
    if np.dtype(dtype).kind != "f":
        raise DtypeError(f"only floating-point tensors can require a gradient, this one is {dtype}; use .float()")


def float_dtype(value: DType) -> np.dtype:
    """The dtype that a model is to have, which is one of floats. Raises DtypeError."""
    dtype = as_dtype(value)
    if dtype.kind != "f":
        raise DtypeError(f"a model can be converted to a floating-point dtype only, not to {dtype}")
    return dtype


def _cast_forward(x, dtype):
    return x.astype(dtype), x.dtype


def _cast_backward(dy, cache, needs=(True,)):
    return (dy.astype(cache),)


def _move_forward(x, where):
    return to_device(x, where), device_of(x)


def _move_backward(dy, cache, needs=(True,)):
    return (to_device(dy, cache),)


def _copy_forward(x, order="K"):
    return x.copy(order=order), None


def _copy_backward(dy, cache, needs=(True,)):
    return (dy.copy(order="K"),)


copied = differentiable(_copy_forward, _copy_backward, linear=True)
_differentiable_cast = differentiable(_cast_forward, _cast_backward, linear=True)
_differentiable_move = differentiable(_move_forward, _move_backward, linear=True)


def cast(value: Any, dtype: np.dtype) -> Any:
    """A tensor with other kinds of numbers; gradients flow through it between floats."""
    if dtype.kind != "f" or not value.requires_grad:
        return value.like(value.array.astype(dtype))
    return _differentiable_cast(value, dtype=dtype)


def move(value: Any, where: Device) -> Any:
    """A tensor on another device; gradients flow back through it."""
    return _differentiable_move(value, where=where)


def seen_as(x: Any, dtype: np.dtype) -> Any:
    """The same bytes as numbers of another dtype: the last axis grows or shrinks with their size. Raises ShapeError."""
    if dtype == x.array.dtype:
        return x.view(x.shape)
    if not x.ndim and dtype.itemsize != x.itemsize:
        raise ShapeError(f"view: a single number of {x.itemsize} bytes is none of {dtype.itemsize}; use .reshape(1)")
    try:
        seen = x.detach()
        seen.array = x.array.view(dtype)
    except (TypeError, ValueError):
        raise ShapeError(
            f"view: {tuple(x.shape)} of {x.array.dtype} cannot be seen as {dtype}: the last axis must lie together in "
            f"memory and hold a multiple of {dtype.itemsize} bytes"
        ) from None
    return seen


def laid_out(x: Any, memory_format: Any) -> Any:
    """x in another order in memory: with its channels last, as images (N, C, H, W) may lie, or in reading order.

    Raises OptionError, ShapeError."""
    if memory_format == "preserve_format":
        return x
    if memory_format == "contiguous_format":
        return x.contiguous()
    if memory_format != "channels_last":
        raise OptionError(f"memory_format: channels_last, contiguous_format or preserve_format, got {memory_format!r}")
    if x.ndim != 4:
        raise ShapeError(f"memory_format: images (N, C, H, W) have their channels last, got {tuple(x.shape)}")
    if is_channels_last(x.array):
        return x
    return copied(x.permute(0, 2, 3, 1), order="C").permute(0, 3, 1, 2)
