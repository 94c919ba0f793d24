"""The non-linearities. A name with an underscore at its end, like `relu_`, and `inplace=True` write over the input."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import random
from ...device import device_of, to_device
from ...errors import OptionError, ShapeError
from ...ops.checks import one_axis
from ...sharing import note_derived
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from .in_place import applied

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish", "prelu", "relu",
    "relu6", "relu_", "selu", "selu_", "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink",
    "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip

# The two numbers for which SELU keeps mean 0 and variance 1 from layer to layer.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def _cut_off(input, inplace, low, high):
    """Whole numbers moved to the nearest from low to high."""
    low, high = (None if math.isinf(limit) else int(limit) for limit in (low, high))
    return (input.clamp_ if inplace else input.clamp)(low, high)


def relu(input: Any, inplace: bool = False) -> Tensor:
    """max(x, 0)"""
    if isinstance(input, Tensor) and input.array.dtype.kind in "iu":
        return _cut_off(input, inplace, 0, math.inf)
    return applied(F.relu, input, inplace)


def relu6(input: Any, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)"""
    if isinstance(input, Tensor) and input.array.dtype.kind in "iu":
        return _cut_off(input, inplace, 0, 6)
    return applied(F.relu6, input, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x"""
    return applied(F.leaky_relu, input, inplace, negative_slope=negative_slope)


def prelu(input: Any, weight: Any) -> Tensor:
    """x where x > 0, else weight · x, with one weight for each channel, or one for all."""
    return F.prelu(input, weight)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha · (exp(x) - 1)"""
    return applied(F.elu, input, inplace, alpha=alpha)


def selu(input: Any, inplace: bool = False) -> Tensor:
    """ELU with the alpha and the scale that keep mean 0 and variance 1."""
    return applied(F.elu, input, inplace, alpha=SELU_ALPHA, scale=SELU_SCALE)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha · (exp(x / alpha) - 1). Raises OptionError for alpha 0."""
    if alpha == 0:
        raise OptionError("celu: alpha must not be 0")
    return applied(F.elu, input, inplace, alpha=alpha, input_scale=1 / alpha)


def gelu(input: Any, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution's share below x; approximate="tanh" is nearly the same."""
    return F.gelu(input, approximate=approximate)


def silu(input: Any, inplace: bool = False) -> Tensor:
    """x · sigmoid(x)"""
    return applied(F.silu, input, inplace)


def mish(input: Any, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x))"""
    return applied(F.mish, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x)"""
    return applied(F.hardswish, input, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2, cut off at 0 and 1."""
    return applied(F.hardsigmoid, input, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x, moved to the nearest from min_val to max_val, which are rounded towards 0 among whole numbers."""
    if isinstance(input, Tensor) and input.array.dtype.kind in "iu":
        return _cut_off(input, inplace, min_val, max_val)
    return applied(F.hardtanh, input, inplace, min_val=min_val, max_val=max_val)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value, which is rounded towards 0 among whole numbers"""
    if isinstance(input, Tensor) and input.dtype.kind in "iu":
        whole = input if inplace else input.clone()
        return whole.masked_fill_(whole <= threshold, int(value))
    return applied(F.threshold, input, inplace, threshold=threshold, value=value)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta; x itself where beta · x > threshold"""
    return F.softplus(input, beta=beta, threshold=threshold)


def logsigmoid(input: Any) -> Tensor:
    """log(sigmoid(x))"""
    return 0 - F.softplus(-tensor_input("logsigmoid", "input", input), threshold=np.inf)  # 0 at infinity, not -0


def softsign(input: Any) -> Tensor:
    """x / (1 + |x|)"""
    input = tensor_input("softsign", "input", input)
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Tensor:
    """x - tanh(x)"""
    input = tensor_input("tanhshrink", "input", input)
    return input - input.tanh()


def hardshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0"""
    input = tensor_input("hardshrink", "input", input)
    lambd = max(lambd, 0)
    parts = input, -F.clamp(input, high=0)  # above lambd, and below -lambd; nan and its gradient are in the first
    above, below = (F.threshold(x, threshold=lambd, value=0) for x in parts)
    return note_derived(above - below, input)


def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """x, moved by lambd towards 0 and no further."""
    input = tensor_input("softshrink", "input", input)
    return input - F.clamp(input, low=-lambd, high=lambd)


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x))"""
    return tensor_input("sigmoid", "input", input).sigmoid()


def tanh(input: Any) -> Tensor:
    """The hyperbolic tangent."""
    return tensor_input("tanh", "input", input).tanh()


def glu(input: Any, dim: int = -1) -> Tensor:
    """The first half along dim, times the sigmoid of the second. Raises ShapeError if there are no halves."""
    input = tensor_input("glu", "input", input)
    axis = one_axis("glu", input, dim)
    half, odd = divmod(input.shape[axis], 2)
    if odd:
        raise ShapeError(f"glu: axis {dim} of {tuple(input.shape)} cannot be halved")
    first, second = ((slice(None),) * axis + (part,) for part in (slice(0, half), slice(half, None)))
    return note_derived(input[first] * F.sigmoid(input[second]), input)


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / Σ exp(x) along dim. Without a dim, PyTorch's old rule and its warning: see `implicit_dim`."""
    return _along("softmax", F.softmax, input, dim, dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """x - log Σ exp(x) along dim. Without a dim, PyTorch's old rule and its warning: see `implicit_dim`."""
    return _along("log_softmax", F.log_softmax, input, dim, dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(-x) / Σ exp(-x) along dim."""
    return _along("softmin", F.softmax, -tensor_input("softmin", "input", input), dim, dtype)


def _along(name: str, function: Callable[..., Any], input: Any, dim: int | None, dtype: Any) -> Tensor:
    input = tensor_input(name, "input", input)
    input = input if dtype is None else input.to(dtype)
    axis = implicit_dim(name, input.ndim) if dim is None else dim
    return function(input, axis=axis) if input.ndim else function(input.reshape(1), axis=axis).reshape(())


def implicit_dim(name: str, rank: int) -> int:
    """The axis that softmax took in old scripts, which left it out: 0 for 0, 1 and 3 axes, else 1; with a warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=4,
    )
    return 0 if rank in (0, 1, 3) else 1


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random choice that can be learned through: softmax((logits + Gumbel noise) / tau) (Jang et al., 2016).

    `hard` gives the one-hot vector of the choice, with the soft one's gradient. eps has no meaning, as in PyTorch."""
    logits = tensor_input("gumbel_softmax", "logits", logits)
    noise = random.generator().gumbel(size=logits.shape).astype(logits.dtype)
    soft = F.softmax((logits + to_device(noise, device_of(logits.array))) / tau, axis=dim)
    if not hard:
        return soft
    axis = one_axis("gumbel_softmax", soft, dim)
    chosen = np.expand_dims(soft.array.argmax(axis=axis), axis)
    places = np.arange(soft.shape[axis], like=soft.array).reshape([-1 if a == axis else 1 for a in range(soft.ndim)])
    return soft + ((places == chosen).astype(soft.dtype) - soft.array)


def _over(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`function_`, which writes over its input."""

    def changed(input: Any, *arguments: Any, **options: Any) -> Tensor:
        return function(input, *arguments, **options, inplace=True)

    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"{function.__doc__} In place."
    return changed


relu_, leaky_relu_, elu_ = _over(relu), _over(leaky_relu), _over(elu)
selu_, celu_, hardtanh_, threshold_ = _over(selu), _over(celu), _over(hardtanh), _over(threshold)
