"""PyTorch's functions on tensors: `torch.max(x, 1)` beside `x.max(1)`. They take arrays and numbers too."""

import builtins

import numpy as np

from . import functional as F
from . import random
from .creation import tensor
from .device import to_device
from .operands import as_operand, shape_of
from .tensor import Tensor


def _method(name):
    def function(x, *arguments, **options):
        return getattr(x if isinstance(x, Tensor) else Tensor(x), name)(*arguments, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{getattr(Tensor, name).__doc__} (`Tensor.{name}`)"
    return function


abs = _method("abs")
add = _method("add")
all = _method("all")
any = _method("any")
argmin = _method("argmin")
clamp = _method("clamp")
div = _method("div")
eq = _method("eq")
exp = _method("exp")
ge = _method("ge")
gt = _method("gt")
isnan = _method("isnan")
le = _method("le")
log = _method("log")
log_softmax = _method("log_softmax")
lt = _method("lt")
matmul = _method("matmul")
max = _method("max")
mean = _method("mean")
min = _method("min")
mm = _method("mm")
mul = _method("mul")
ne = _method("ne")
norm = _method("norm")
numel = _method("numel")
permute = _method("permute")
pow = _method("pow")
relu = _method("relu")
reshape = _method("reshape")
sigmoid = _method("sigmoid")
sqrt = _method("sqrt")
squeeze = _method("squeeze")
std = _method("std")
sub = _method("sub")
sum = _method("sum")
tanh = _method("tanh")
topk = _method("topk")
transpose = _method("transpose")
unsqueeze = _method("unsqueeze")
var = _method("var")


def where(condition, a, b):
    """a where the condition holds, else b, with broadcasting; gradients flow to a and b."""
    pattern = next(v for v in (a, b, condition) if isinstance(v, Tensor)).data
    a, b = (
        v if isinstance(v, Tensor) and v.data.dtype.kind == "f" else Tensor(as_operand(v, pattern, "where"))
        for v in (a, b)
    )
    condition = condition.data if isinstance(condition, Tensor) else condition
    if a.dtype.kind == b.dtype.kind == "f":
        return F.where(a, b, condition=condition)
    return Tensor(np.where(condition, a.data, b.data))


def zeros_like(x, dtype=None):
    """A tensor of zeros with the shape, dtype and device of x."""
    return Tensor(np.zeros_like(x.data, dtype=dtype))


def ones_like(x, dtype=None):
    """A tensor of ones with the shape, dtype and device of x."""
    return Tensor(np.ones_like(x.data, dtype=dtype))


def full(size, fill_value, dtype=None, device="cpu"):
    """A tensor of one number everywhere; a Python float makes float32, an integer int64."""
    return tensor(
        np.full(shape_of((size,)), fill_value), dtype or (np.float32 if isinstance(fill_value, float) else None), device
    )


def randperm(n, device="cpu"):
    """The integers 0 ... n - 1 in random order (int64)."""
    return Tensor(to_device(random.generator().permutation(n).astype(np.int64), device))


def randint(low, high, size, dtype=np.int64, device="cpu"):
    """A tensor of random integers from low up to, not including, high."""
    return Tensor(to_device(random.generator().integers(low, high, shape_of((size,))).astype(dtype), device))


def equal(a, b):
    """True if two tensors have one shape and the same numbers."""
    return a.shape == b.shape and bool((a.data == b.data).all())


def allclose(a, b, rtol=1e-5, atol=1e-8):
    """True if |a - b| <= atol + rtol · |b| everywhere."""
    difference, allowed = builtins.abs(a.data - b.data), atol + rtol * builtins.abs(b.data)
    return bool((difference <= allowed).all())


def is_tensor(value):
    """True for a Tensor."""
    return isinstance(value, Tensor)
