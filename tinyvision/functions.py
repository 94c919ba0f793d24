"""PyTorch's functions on tensors, `torch.max(x, 1)` beside `x.max(1)`: each calls the method, on arrays and numbers
too."""

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


(
    abs,
    all,
    any,
    argmin,
    clamp,
    div,
    eq,
    exp,
    ge,
    gt,
    isnan,
    le,
    log,
    log_softmax,
    lt,
    matmul,
    max,
    mean,
    min,
    mm,
    mul,
    ne,
    norm,
    numel,
    permute,
    pow,
    relu,
    reshape,
    sigmoid,
    sqrt,
    squeeze,
    std,
    sub,
    sum,
    tanh,
    topk,
    transpose,
    unsqueeze,
    var,
) = map(
    _method,
    (
        "abs",
        "all",
        "any",
        "argmin",
        "clamp",
        "div",
        "eq",
        "exp",
        "ge",
        "gt",
        "isnan",
        "le",
        "log",
        "log_softmax",
        "lt",
        "matmul",
        "max",
        "mean",
        "min",
        "mm",
        "mul",
        "ne",
        "norm",
        "numel",
        "permute",
        "pow",
        "relu",
        "reshape",
        "sigmoid",
        "sqrt",
        "squeeze",
        "std",
        "sub",
        "sum",
        "tanh",
        "topk",
        "transpose",
        "unsqueeze",
        "var",
    ),
)
add = _method("add")


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
