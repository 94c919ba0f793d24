"""PyTorch's `torch.autograd`: gradients asked for by name, functions with a backward of one's own, old spellings.

With `create_graph=True` the gradients are tensors with a history: a gradient penalty, an inner loop that learns, a
Hessian's product with a vector are gone back through like anything else (see `tensors.second_order`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import full_name
from .errors import GraphError, OptionError, ShapeError
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
from .tape import Record, differentiable
from .tape import backward as _backward
from .tensors import second_order
from .tensors.arranging import cat
from .tensors.functions_of_ones_own import Function, once_differentiable
from .tensors.inputs import tensor_input
from .tensors.tensor import Tensor
from .walks import tell_ready

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


def _several(value):
    """What may be one or several, also those of a generator, as a list."""
    return list(value) if isinstance(value, Iterable) and not hasattr(value, "shape") else [value]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Fill `.grad` of the leaves behind one or several tensors; `grad_tensors` start them where they are no numbers.

    With `inputs`, only theirs; with `create_graph`, gradients have a history. grad_variables is the old name of
    grad_tensors. Raises GraphError, ShapeError."""
    if grad_variables is not None:
        warnings.warn("backward: grad_variables is the old name of grad_tensors", FutureWarning, stacklevel=2)
        grad_tensors = grad_variables
    tensors = _several(tensors)
    given = [None] * len(tensors) if grad_tensors is None else _several(grad_tensors)
    if len(given) != len(tensors):
        raise ShapeError(f"backward: {len(given)} gradients are given for {len(tensors)} tensors")
    if inputs is None and create_graph:
        second_order.backward(list(zip(tensors, given, strict=True)), retain_graph is None or bool(retain_graph))
        return
    if inputs is None:
        _joined(tensors, given).backward(retain_graph=bool(retain_graph))
        return
    inputs = _several(inputs)
    for x, gradient in zip(inputs, grad(tensors, inputs, given, retain_graph, create_graph), strict=True):
        if x.grad is None:
            x.grad = gradient
        elif create_graph:
            with enable_grad():
                x.grad = x.grad + gradient
        else:
            with no_grad():
                x.grad += gradient
        if x.record is None:
            tell_ready(x)


def _joined(tensors, gradients):
    """One number whose gradients are those of all tensors from their own starts: Σ tensor · gradient."""
    total = None
    with enable_grad():  # a gradient may be asked for under no_grad(), of what was recorded before
        for x, gradient in zip(tensors, gradients, strict=True):
            part = _started(x, gradient)
            total = part if total is None else total + part.to(total.dtype)
    return total


def _started(x, gradient):
    if gradient is None:
        if x.numel() != 1:
            raise GraphError(
                f"backward: only a single number can start on its own, this value is {tuple(x.shape)}; "
                f"call .sum() or .mean() first, or pass its gradient"
            )
        return x.reshape(())
    gradient = tensor_input("backward", "gradient", gradient).detach()
    if gradient.shape != x.shape:
        raise ShapeError(f"backward: the gradient is {gradient.shape} but the value is {x.shape}")
    return _weighted(x, gradient.array.astype(x.dtype, copy=False))


# Not a product and a sum: 0 · ∞ in the value is of no concern, only the gradient is.
_weighted = differentiable(
    lambda x, gradient: (np.zeros_like(x, shape=()), gradient),
    lambda dy, gradient, needs=(True, False): (dy * gradient, None),
)
_weighted.__name__ = "backward"


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` (their sum, if they are several) for each of `inputs`; nobody's `.grad` is touched.

    With `create_graph` they have a history, and can be gone back through; retain_graph is then True unless it is given.
    Raises GraphError for an input that the outputs do not depend on, unless allow_unused."""
    if is_grads_batched or not only_inputs:
        raise OptionError("grad: is_grads_batched and only_inputs=False are not supported")
    wanted, outputs = _several(inputs), _several(outputs)
    for x in wanted:
        if not isinstance(x, Tensor):
            raise GraphError(f"grad: inputs must be tensors, got {full_name(x)}")
        if not x.requires_grad:
            raise GraphError("grad: one of the inputs does not require a gradient")
    given = [None] * len(outputs) if grad_outputs is None else _several(grad_outputs)
    spent = any(record.backward is None for output in outputs for record in _records(output))
    if create_graph:
        found = _recorded_gradients(outputs, given, wanted, retain_graph is None or bool(retain_graph))
    else:
        found = _gradients(_joined(outputs, given), wanted, bool(retain_graph))
    if materialize_grads:
        return tuple(Tensor.of(np.zeros_like(x.array)) if g is None else g for x, g in zip(wanted, found, strict=True))
    if spent and any(g is None for g in found):
        raise GraphError(
            "grad: the graph behind the outputs has already been used and freed; run the forward pass again, or call "
            "backward(retain_graph=True) the first time"
        )
    if not allow_unused and any(g is None for g in found):
        raise GraphError(
            "grad: the outputs do not depend on one of the inputs; with allow_unused=True its gradient is None"
        )
    return tuple(found)


def _gradients(output, wanted, retain_graph):
    """The gradients for `wanted`, None where there is none; every `.grad` is afterwards what it was before."""
    ways = _ways_to(wanted, output)
    leaves = {id(x): x for x in wanted if x.record is None}
    kept = {key: (x.grad, x.ready) for key, x in leaves.items()}
    caught: dict[int, Any] = {}

    def catch(record):
        def hook(gradient):
            caught[id(record)] = Tensor.of(gradient.copy())

        # As in PyTorch: before the hooks of the value where the walk goes on behind it, else behind them.
        goes_on = any(id(source) in ways for source in record.inputs)
        record.hooks.insert(0 if goes_on else len(record.hooks), hook)
        return record, hook

    hooks = [catch(x.record) for x in wanted if x.record is not None]
    try:
        for x in leaves.values():
            x.grad = x.ready = None
        _backward(output, None, retain_graph, ways)
        return [x.grad if x.record is None else caught.get(id(x.record)) for x in wanted]
    finally:
        for key, x in leaves.items():
            x.grad, x.ready = kept[key]
        for record, hook in hooks:
            record.hooks.remove(hook)


def _recorded_gradients(outputs, given, wanted, retain_graph):
    """`_gradients` with a history, of several outputs and what they start from."""
    ways = _ways_to(wanted, *outputs)
    met = second_order.gradients(list(zip(outputs, given, strict=True)), retain_graph, ways)
    return [met.get(id(x.record or x), (None, None))[1] for x in wanted]


def _ways_to(wanted, *outputs):
    """The ids of the leaves and records through which `outputs` depend on the values `wanted`."""
    ways = {id(x.record or x) for x in wanted}
    behind = {record.number: record for output in outputs for record in _records(output)}
    for _, record in sorted(behind.items()):  # what a record needs comes before it
        if any(id(source) in ways for source in record.inputs):
            ways.add(id(record))
    return ways


def _records(output):
    """All records behind a value."""
    waiting = [output.record] if output.record else []
    seen = {id(record): record for record in waiting}
    while waiting:
        for source in waiting.pop().inputs:
            if isinstance(source, Record) and id(source) not in seen:
                seen[id(source)] = source
                waiting.append(source)
    return seen.values()


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
        apart = _apart(func, _several(inputs), *bounds)
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

    report = judged(forward, check_backward, tuple(_several(inputs)))
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
    inputs = _several(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        outputs = [y.array for y in _several(func(*inputs)) if y.dtype.kind == "f"]
        drawn = [np.asarray(rng.standard_normal(y.shape), y.dtype, like=y) for y in outputs]
        given = [Tensor.of(start, requires_grad=True) for start in drawn]
    else:
        given = _several(grad_outputs)

    def slopes(*values: Any) -> Any:
        xs, starts = values[: len(inputs)], values[len(inputs) :]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        with enable_grad():  # differences are taken under no_grad()
            outputs = [y for y in _several(func(*xs)) if y.dtype.kind == "f"]
            found = grad(outputs, wanted, starts, create_graph=True, allow_unused=True)
        rows = [(g if g is not None else Tensor.of(np.zeros_like(x.array))) for g, x in zip(found, wanted, strict=True)]
        return cat([row.reshape(-1) for row in rows])

    return gradcheck(slopes, [*inputs, *given], **options)


def _apart(func, inputs, eps, atol, rtol):
    """Where a Jacobian is further from its central differences of step eps than atol + rtol · |difference|."""
    leaves = [Tensor.of(x.array.copy(), requires_grad=x.requires_grad) if isinstance(x, Tensor) else x for x in inputs]
    wanted = [x for x in leaves if isinstance(x, Tensor) and x.requires_grad]
    rows: list[Any] = []  # for every number that comes out, its gradients
    for y in _several(func(*leaves)):
        for at in range(y.numel() if y.requires_grad else 0):
            start = np.zeros_like(y.array)
            start.reshape(-1)[at] = 1
            rows.append(grad(y, wanted, Tensor.of(start), retain_graph=True, allow_unused=True))

    def values():
        with no_grad():
            results = [y for y in _several(func(*leaves)) if y.dtype.kind == "f"]
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
