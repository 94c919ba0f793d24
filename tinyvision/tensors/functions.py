"""PyTorch's functions on tensors: `torch.max(x, 1)` beside `x.max(1)`. They take arrays and numbers too."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from .. import random
from ..device import Device, to_device
from ..types import DType
from . import taped as F
from .creation import tensor
from .operands import as_operand, new_shape
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def _tensor(x):
    return x if isinstance(x, Tensor) else Tensor(x)


def _method(method: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Any, P], R]:
    def function(x: Any, /, *arguments: P.args, **options: P.kwargs) -> R:
        return method(_tensor(x), *arguments, **options)

    name = method.__name__
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{method.__doc__} (`Tensor.{name}`)"
    return function


abs = _method(Tensor.abs)
add = _method(Tensor.add)
all = _method(Tensor.all)
any = _method(Tensor.any)
argmin = _method(Tensor.argmin)
clamp = _method(Tensor.clamp)
div = _method(Tensor.div)
eq = _method(Tensor.eq)
exp = _method(Tensor.exp)
ge = _method(Tensor.ge)
gt = _method(Tensor.gt)
isnan = _method(Tensor.isnan)
le = _method(Tensor.le)
log = _method(Tensor.log)
log_softmax = _method(Tensor.log_softmax)
lt = _method(Tensor.lt)
matmul = _method(Tensor.matmul)
max = _method(Tensor.max)
mean = _method(Tensor.mean)
min = _method(Tensor.min)
mm = _method(Tensor.mm)
mul = _method(Tensor.mul)
ne = _method(Tensor.ne)
norm = _method(Tensor.norm)
numel = _method(Tensor.numel)
permute = _method(Tensor.permute)
pow = _method(Tensor.pow)
relu = _method(Tensor.relu)
reshape = _method(Tensor.reshape)
sigmoid = _method(Tensor.sigmoid)
sqrt = _method(Tensor.sqrt)
squeeze = _method(Tensor.squeeze)
std = _method(Tensor.std)
sub = _method(Tensor.sub)
sum = _method(Tensor.sum)
tanh = _method(Tensor.tanh)
topk = _method(Tensor.topk)
transpose = _method(Tensor.transpose)
unsqueeze = _method(Tensor.unsqueeze)
var = _method(Tensor.var)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds, else b, with broadcasting; gradients flow to a and b."""
    pattern = next(v for v in (a, b, condition) if isinstance(v, Tensor)).array
    a, b = (
        v if isinstance(v, Tensor) and v.array.dtype.kind == "f" else Tensor(as_operand(v, pattern, "where"))
        for v in (a, b)
    )
    condition = condition.array if isinstance(condition, Tensor) else condition
    if a.dtype.kind == b.dtype.kind == "f":
        return F.where(a, b, condition=condition)
    return Tensor(np.where(condition, a.array, b.array))


def zeros_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of zeros with the shape, dtype and device of x."""
    return Tensor(np.zeros_like(_tensor(x).array, dtype=dtype))


def ones_like(x: Tensor, dtype: DType | None = None) -> Tensor:
    """A tensor of ones with the shape, dtype and device of x."""
    return Tensor(np.ones_like(_tensor(x).array, dtype=dtype))


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


def equal(a: Tensor, b: Tensor) -> bool:
    """True if two tensors have one shape and the same numbers."""
    a, b = _tensor(a), _tensor(b)
    return a.shape == b.shape and bool((a.array == b.array).all())


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """True if |a - b| <= atol + rtol · |b| everywhere."""
    a, b = _tensor(a), _tensor(b)
    difference, allowed = builtins.abs(a.array - b.array), atol + rtol * builtins.abs(b.array)
    return bool((difference <= allowed).all())


def is_tensor(value: Any) -> bool:
    """True for a Tensor."""
    return isinstance(value, Tensor)
