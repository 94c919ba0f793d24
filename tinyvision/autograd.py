"""PyTorch's `torch.autograd`: gradients asked for by name, functions with a backward of one's own, old spellings.

With `create_graph=True` the gradients are tensors with a history: a gradient penalty, an inner loop that learns, a
Hessian's product with a vector are gone back through like anything else (see `tensors.second_order`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import GraphError, OptionError
from .grad_mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from .missing import missing
from .places import hand_on, stand_for
from .tensors.arranging import cat
from .tensors.functions_of_ones_own import Function, once_differentiable
from .tensors.gradients import backward, grad, several
from .tensors.inputs import tensor_input
from .tensors.tensor import Tensor

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "gradgradcheck",
    "inference_mode", "is_grad_enabled", "no_grad", "once_differentiable", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip


class _IsATensor(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor)


class Variable(metaclass=_IsATensor):
    """The old name for a tensor: `Variable(x)` is x, detached; with requires_grad a leaf that asks for one."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:
        if volatile:
            warnings.warn(
                "Variable: volatile=True has no effect, as in PyTorch since 0.4; compute inside `with no_grad():`",
                UserWarning,
                stacklevel=2,
            )
        x = tensor_input("Variable", "data", data).detach()
        return x.requires_grad_() if requires_grad else x


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """True if the gradients of `func` agree with central differences, as `tinyvision.check.gradients` judges them: it
    chooses step and tolerance itself, from the noise of func. With eps, atol or rtol, it is judged as by PyTorch, whose
    1e-6, 1e-5 and 1e-3 stand for those that are not given; what else it can be asked for changes nothing here.

    Raises GraphError with a report if they do not agree, or returns False without raise_exception; OptionError where
    other gradients than a backward's are asked for."""
    if check_batched_grad or check_batched_forward_grad or check_forward_ad or not check_backward_ad:
        raise OptionError("gradcheck: only the backward can be checked, one gradient at a time; there is nothing else")
    if (eps, atol, rtol) != (None, None, None):
        bounds = [1e-6 if eps is None else eps, 1e-5 if atol is None else atol, 1e-3 if rtol is None else rtol]
        apart = _apart(func, several(inputs), *bounds)
        if apart and raise_exception:
            raise GraphError(f"gradcheck: the gradients do not agree with central differences\n{apart}")
        return not apart
    from .check import gradients as judged

    def forward(*arrays):
        leaves = [Tensor.of(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        y = func(*leaves)
        return y.array, (y, leaves)

    def check_backward(dy, cache):
        y, leaves = cache
        found = iter(
            grad(y, [x for x in leaves if x.requires_grad], Tensor.of(dy), retain_graph=True, allow_unused=True)
        )
        return tuple(_array_or_zeros(next(found), x) if x.requires_grad else None for x in leaves)

    report = judged(forward, check_backward, tuple(several(inputs)))
    if not report and raise_exception:
        raise GraphError(f"gradcheck: the gradients do not agree with central differences\n{report}")
    return bool(report)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    **options: Any,
) -> bool:
    """`gradcheck` of the gradients of `func`, in the inputs and in what the backward starts with: True if those of a
    backward with create_graph agree with central differences. Without grad_outputs it starts with random numbers.

    Its options are those of gradcheck. Raises GraphError, OptionError."""
    inputs = several(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        outputs = [y.array for y in several(func(*inputs)) if y.dtype.kind == "f"]
        drawn = [np.asarray(rng.standard_normal(y.shape), y.dtype, like=y) for y in outputs]
        given = [Tensor.of(start, requires_grad=True) for start in drawn]
    else:
        given = several(grad_outputs)

    def slopes(*values: Any) -> Any:
        xs, starts = values[: len(inputs)], values[len(inputs) :]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        with enable_grad():  # differences are taken under no_grad()
            outputs = [y for y in several(func(*xs)) if y.dtype.kind == "f"]
            found = grad(outputs, wanted, starts, create_graph=True, allow_unused=True)
        rows = [(g if g is not None else Tensor.of(np.zeros_like(x.array))) for g, x in zip(found, wanted, strict=True)]
        return cat([row.reshape(-1) for row in rows])

    return gradcheck(slopes, [*inputs, *given], **options)


def _apart(func, inputs, eps, atol, rtol):
    """Where a Jacobian is further from its central differences of step eps than atol + rtol · |difference|."""
    leaves = [Tensor.of(x.array.copy(), requires_grad=x.requires_grad) if isinstance(x, Tensor) else x for x in inputs]
    wanted = [x for x in leaves if isinstance(x, Tensor) and x.requires_grad]
    rows: list[Any] = []  # for every number that comes out, its gradients
    for y in several(func(*leaves)):
        for at in range(y.numel() if y.requires_grad else 0):
            start = np.zeros_like(y.array)
            start.reshape(-1)[at] = 1
            rows.append(grad(y, wanted, Tensor.of(start), retain_graph=True, allow_unused=True))

    def values():
        with no_grad():
            results = [y for y in several(func(*leaves)) if y.dtype.kind == "f"]
        return np.concatenate([y.array.reshape(-1) for y in results])

    for number, x in enumerate(wanted):
        told, flat = np.stack([_array_or_zeros(row[number], x).reshape(-1) for row in rows]), x.array.reshape(-1)
        for at, kept in enumerate(flat.copy()):
            flat[at] = kept + eps
            above = values()
            flat[at] = kept - eps
            slope = (above - values()) / (2 * eps)
            flat[at] = kept
            if not np.allclose(told[:, at], slope, rtol, atol):
                return f"input {number}, number {at}: backward {told[:, at]}, differences {slope}"
    return ""


def _array_or_zeros(gradient, x):
    return np.zeros_like(x.array) if gradient is None else gradient.array


stand_for(__name__, "anomaly_mode", "function", "grad_mode", "gradcheck", "variable")
hand_on(__name__, "tinyvision", "profiler")
hand_on(__name__, "tinyvision.tensors.second_order", "functional")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.autograd", __all__)
