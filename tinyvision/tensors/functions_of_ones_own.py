"""PyTorch's `torch.autograd.Function`: functions with a backward of one's own."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..grad_mode import is_grad_enabled, no_grad
from ..sharing import EVERYTHING, Watch
from ..tape import NOTHING, Record
from .tensor import Tensor


class Context:
    """What a Function's forward leaves for its backward: `ctx.save_for_backward(x)`, and any attribute."""

    def __init__(self, needs: Sequence[bool]) -> None:
        self.needs_input_grad = tuple(needs)
        self.saved_tensors: tuple[Any, ...] = ()
        self._without_gradient: tuple[Any, ...] = ()
        self._zeros_for_none = True
        self._saved_outputs: list[int | None] = []  # which output each saved tensor is, if it is one

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors, which backward finds in `ctx.saved_tensors`."""
        self.saved_tensors = tensors

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """`saved_tensors` by its old name."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Accepted: it is for derivatives that run along with the forward, and there are none here."""

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """These outputs have no gradient."""
        self._without_gradient = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        """Refused: a forward must leave its inputs as they are. Raises GraphError."""
        raise GraphError("Function: a forward that changes its inputs in place is not supported; return a new tensor")

    def set_materialize_grads(self, value: bool) -> None:
        """Accepted: a gradient of an output that nobody used is zeros here in any case."""
        self._zeros_for_none = bool(value)


class Function:
    """A forward and a backward of one's own, as static methods; `MyFunction.apply(x, ...)` puts the call on the tape.

    forward(ctx, *arguments) returns a tensor or several, backward(ctx, *gradients) a gradient for every argument, None
    for what is no tensor. With `setup_context(ctx, inputs, output)`, forward does without ctx."""

    @staticmethod
    def forward(*arguments: Any) -> Any:
        """The values. Raises GraphError where a subclass forgot it."""
        raise GraphError("Function: a subclass must define a static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """A gradient for every argument of forward. Raises GraphError where a subclass forgot it."""
        raise GraphError("Function: a subclass must define a static method backward(ctx, ...)")

    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        """The result of forward, on the tape if an argument requires a gradient. Raises GraphError, ShapeError."""
        tensors = [a if isinstance(a, Tensor) else None for a in arguments]
        needs = [t is not None and t.requires_grad for t in tensors]
        context = Context(needs)
        with no_grad():
            if hasattr(cls, "setup_context"):
                result = cls.forward(*arguments)
                cls.setup_context(context, arguments, result)
            else:
                result = cls.forward(context, *arguments)
        outputs = list(result) if isinstance(result, tuple) else [result]
        if any(needs) and is_grad_enabled():
            outputs = _recorded(cls, context, tensors, outputs)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]


def _recorded(cls, context, tensors, outputs):
    """The outputs as parts of one long row of numbers, which one record makes: so each gets its own gradient, and the
    backward is called once, when all of them are known."""
    smooth = [
        isinstance(y, Tensor) and y.dtype.kind == "f" and not any(y is other for other in context._without_gradient)
        for y in outputs
    ]
    sizes = [y.numel() if kept else 0 for y, kept in zip(outputs, smooth, strict=True)]
    ends = np.cumsum([0, *sizes])

    def backward(dy, cache, needs):
        parts = [
            Tensor.of(dy[start : start + size].reshape(y.shape).astype(y.dtype)) if kept else None
            for y, start, size, kept in zip(outputs_seen, ends, sizes, smooth, strict=False)
        ]
        with no_grad():
            gradients = _gradients_of(cls.backward(context, *parts))
        if len(gradients) < len(tensors) or any(g is not None for g in gradients[len(tensors) :]):
            raise _counted_wrongly(cls, gradients, tensors)
        return tuple(_given_back(cls, g, x) for g, x in zip(gradients, tensors, strict=False))

    outputs_seen = [y.detach() if keep else y for y, keep in zip(outputs, smooth, strict=True)]
    saved = [x for x in context.saved_tensors if isinstance(x, Tensor)]
    arrays = [y.array.reshape(-1) for y, keep in zip(outputs, smooth, strict=True) if keep]
    if not arrays:
        return outputs
    row = np.concatenate(arrays)

    def parts_of(whole):
        return [
            _part(whole, start, size, y) if keep else y
            for y, start, size, keep in zip(outputs_seen, ends, sizes, smooth, strict=False)
        ]

    places = {id(y): place for place, y in enumerate(outputs)}
    context._saved_outputs = [places.get(id(x)) for x in context.saved_tensors]
    recorded = _Recorded(cls, context, tensors, parts_of)
    record = Record(cls.__name__, backward, [x.array for x in saved], tensors, tuple(row.shape), recorded, {})
    record.watched = [*EVERYTHING.watch(tensors, record.needs), *(Watch("what it saved", x) for x in saved)]
    whole = Tensor.of(row, requires_grad=True, record=record)
    record.is_at(whole)
    return parts_of(whole)


class _Recorded:
    """The call of a Function for a walk that records the backward: what the user's backward does is put on the tape,
    with the inputs and the outputs that it has saved in their places in the graph."""

    linear = forgets = False

    def __init__(self, cls, context, tensors, parts_of):
        self.__name__ = cls.__name__
        self.cls, self.context, self.tensors, self.parts_of = cls, context, tensors, parts_of

    def rule(self, dy: Any, call: Any) -> list[Any]:
        """The gradients of the arguments, as `second_order` asks for them."""
        context, parts = self.context, self.parts_of(dy)
        saved = context.saved_tensors
        if any(place is not None for place in context._saved_outputs):
            outputs = self.parts_of(call.output)
            places = zip(saved, context._saved_outputs, strict=True)
            context.saved_tensors = tuple(x if place is None else outputs[place] for x, place in places)
        try:
            gradients = _gradients_of(self.cls.backward(context, *parts))
        finally:
            context.saved_tensors = saved
        if len(gradients) < len(self.tensors) or any(g is not None for g in gradients[len(self.tensors) :]):
            raise _counted_wrongly(self.cls, gradients, self.tensors)
        return [
            None if g is None or x is None else g.to(x.dtype) for g, x in zip(gradients, self.tensors, strict=False)
        ]


def _counted_wrongly(cls, gradients, tensors):
    return GraphError(f"{cls.__name__}: backward gave {len(gradients)} gradients for {len(tensors)} arguments")


def _given_back(cls, gradient, x):
    """A gradient as the tape takes it; None stands for an argument that the outputs do not depend on."""
    if x is None:
        return None
    if gradient is None:
        return NOTHING
    if not isinstance(gradient, Tensor):
        raise GraphError(f"{cls.__name__}: backward must give tensors or None, got a {type(gradient).__name__}")
    return gradient.array.astype(x.dtype, copy=False)


def _part(whole, start, size, like):
    return whole[int(start) : int(start) + size].reshape(like.shape).to(like.dtype)


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """A backward of a Function that is never recorded: to go back through what it gives is a GraphError, which says so.

    The calls inside are not put on the tape, whether or not create_graph asks for it."""

    @functools.wraps(function)
    def once(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            found = function(ctx, *gradients)
        if not is_grad_enabled() or not any(isinstance(g, Tensor) and g.requires_grad for g in gradients):
            return found
        of = next(g for g in gradients if isinstance(g, Tensor) and g.requires_grad)
        return tuple(
            Tensor.of(g.array, True, Record(function.__name__, _refuse_once, (), [of], tuple(g.shape)))
            if isinstance(g, Tensor)
            else g
            for g in _gradients_of(found)
        )

    return once


def _refuse_once(dy, cache, needs):
    raise GraphError(
        "backward(): this gradient is that of a backward marked @once_differentiable, which has none itself"
    )


def _gradients_of(given):
    return list(given) if isinstance(given, (tuple, list)) else [given]
