"""PyTorch's functions on tensors: `torch.max(x, 1)` beside `x.max(1)`. They take arrays and numbers too."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from ..errors import OptionError, ShapeError
from . import taped
from .arguments import axis_of
from .inputs import tensor_input
from .operands import as_operand
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def _method(method: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Any, P], R]:
    name = method.__name__

    def function(x: Any, /, *arguments: P.args, **options: P.kwargs) -> R:
        return method(tensor_input(name, "x", x), *arguments, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{method.__doc__} (`Tensor.{name}`)"
    return function


abs = _method(Tensor.abs)
add = _method(Tensor.add)
all = _method(Tensor.all)
any = _method(Tensor.any)
argmax = _method(Tensor.argmax)
argmin = _method(Tensor.argmin)
clamp = _method(Tensor.clamp)
div = _method(Tensor.div)
eq = _method(Tensor.eq)
exp = _method(Tensor.exp)
flatten = _method(Tensor.flatten)
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
softmax = _method(Tensor.softmax)
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


def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`."""
    return taped.concatenate(*_several("cat", tensors), axis=dim)


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
    return [tensor_input(what, "a tensor", t) for t in tensors]


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds, else b, with broadcasting; gradients flow to a and b."""
    pattern = next(v for v in (a, b, condition) if isinstance(v, Tensor)).array
    a, b = (
        v if isinstance(v, Tensor) and v.array.dtype.kind == "f" else Tensor(as_operand(v, pattern, "where"))
        for v in (a, b)
    )
    condition = condition.array if isinstance(condition, Tensor) else condition
    if a.dtype.kind == b.dtype.kind == "f":
        return taped.where(a, b, condition=condition)
    return Tensor(np.where(condition, a.array, b.array))


def equal(a: Tensor, b: Tensor) -> bool:
    """True if two tensors have one shape and the same numbers."""
    a, b = tensor_input("equal", "a", a), tensor_input("equal", "b", b)
    return a.shape == b.shape and bool((a.array == b.array).all())


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """True if |a - b| <= atol + rtol · |b| everywhere."""
    a, b = tensor_input("allclose", "a", a), tensor_input("allclose", "b", b)
    difference, allowed = builtins.abs(a.array - b.array), atol + rtol * builtins.abs(b.array)
    return bool((difference <= allowed).all())


def is_tensor(value: Any) -> bool:
    """True for a Tensor."""
    return isinstance(value, Tensor)
