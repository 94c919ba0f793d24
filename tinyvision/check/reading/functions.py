"""Driving a pair of functions: forward(x, w, b, conv_param), backward(dout, cache), softmax_loss(x, y), and so on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..place import is_array
from ..runner import parameters
from . import words
from .calling import Offer, Unmet, options_of, plan
from .returned import output_of


class Functions:
    """A forward and a backward function, or a loss that returns its own gradient."""

    parameters_inside = shown = False

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any] | None, arrays: Sequence[str],
                 op: str = "") -> None:  # fmt: skip
        self.front, self.rear, self.arrays, options = forward, backward, tuple(arrays), options_of(op)
        self.parameters = parameters(forward) or {}
        self.plan = plan(self.parameters, self.arrays, options)
        self.behind = parameters(backward) or {} if backward is not None else {}
        self.rear_plan = plan(self.behind, self._behind(), options) if backward is not None else None

    def _behind(self):
        """What backward may want: the cache, unless it takes the arrays themselves, as backward(dy, x, w, stride)."""
        wanted = [n for n, p in self.behind.items() if p.default is p.empty]
        several = len(wanted) > 2 and not any(words.is_role(n, "cache") for n in wanted)
        output = () if "labels" in self.arrays else ("y",)  # elsewhere y is what forward gave
        if several:
            return ("dy", *self.arrays, *output)
        # Beside one array, a is the activation and not the input.
        return ("dy", "cache", *((*output, "x") if self.arrays == ("x",) else (*self.arrays, *output)))

    @property
    def asks(self) -> tuple:
        """The plans of all that is called with options."""
        return (self.plan,)

    @property
    def written(self) -> tuple:
        """The functions as their author wrote them."""
        return self.front, self.rear or self.front

    def forward(self, offer: Offer, shape: tuple) -> Any:
        """(output, state) of one call; the output of shape `shape` is looked for in what comes back."""
        args, kwargs = self.plan.arguments(self.parameters, offer)
        value = self.front(*args, **kwargs)
        y, cache = output_of(value, shape)
        if self.plan.takes("context"):
            return y, (offer, offer.context, value)
        if is_array(value) and self.rear_plan is not None and "cache" in self.rear_plan.roles.values():
            raise Unmet("cache")
        return y, (offer, cache, value)

    def backward(self, dy: Any, state: Any) -> Any:
        """What backward returned, and {} for gradients that lie elsewhere."""
        offer, cache, value = state
        if self.rear is None or self.rear_plan is None:
            return _own_gradient(value, cache, dy), {}
        arrays = {**offer.arrays, "dy": dy, "cache": cache, "y": output_of(value, np.shape(dy))[0]}
        options = {"learning_rate": 1.0, **offer.options, "input_shape": offer.options.get("batch_shape")}
        inside = Offer(arrays, options, offer.pairs, offer.mode)
        args, kwargs = self.rear_plan.arguments(self.behind, inside)
        result = self.rear(*args, **kwargs)
        if not self.rear_plan.uses("dy"):
            result = scaled(result, dy)
        return result, {}


def _own_gradient(value, cache, dy):
    """The gradient that a loss returns beside its value, times the upstream that it was never given."""
    parts = [v for v in (value if isinstance(value, (tuple, list)) else ()) if is_array(v) and np.ndim(v)]
    return scaled(parts[-1] if parts else cache, dy)


def scaled(result: Any, dy: Any) -> Any:
    """A gradient that was made without an upstream, times the upstream."""
    if isinstance(result, dict):
        return {k: scaled(v, dy) for k, v in result.items()}
    if isinstance(result, (tuple, list)):
        return tuple(scaled(v, dy) for v in result)
    return result * dy if is_array(result) else result
