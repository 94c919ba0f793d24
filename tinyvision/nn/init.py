"""Initialisation, in place, with PyTorch's names and defaults. Numbers come from `tinyvision.random.generator()`."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec

import numpy as np
from numpy.random import Generator

from ..arrays import full_name
from ..errors import DtypeError, OptionError, ShapeError
from ..grad_mode import no_grad
from ..missing import missing
from ..tape import Variable
from ..tensors.sampling import source
from ..tensors.tensor import Tensor

_P = ParamSpec("_P")


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan in, fan out) of a weight: how many numbers feed one output, and how many outputs one number feeds."""
    if tensor.ndim < 2:
        raise ShapeError(f"fan in and fan out need a weight of at least 2 axes, got {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


_calculate_fan_in_and_fan_out = fans  # as scripts call it


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a non-linearity: sqrt(2) for relu, 5/3 for tanh, 1 for linear."""
    linear = ("linear", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "sigmoid")
    gains = {**dict.fromkeys(linear, 1.0), "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 3 / 4}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        raise OptionError(
            f"calculate_gain: unknown non-linearity {nonlinearity!r}; known are {', '.join([*gains, 'leaky_relu'])}"
        )
    return gains[nonlinearity]


def _fill(tensor, draw, generator=None):
    if not isinstance(tensor, Variable):
        raise DtypeError(f"init: expected a tensor of tinyvision's to fill, got {full_name(tensor)}")
    with no_grad():
        return tensor.copy_(np.asarray(draw(source(generator), tensor.shape), dtype=tensor.dtype))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Even between a and b. Raises OptionError if a is above b."""
    if not a <= b:
        raise OptionError(f"uniform_: a must not be above b, got {a!r} and {b!r}")
    return _fill(tensor, lambda rng, shape: rng.uniform(a, b, shape), generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation. Raises OptionError for a negative one."""
    if not std >= 0:
        raise OptionError(f"normal_: std must be 0 or more, got {std!r}")
    return _fill(tensor, lambda rng, shape: rng.normal(mean, std, shape), generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, with what falls outside of a to b drawn again. Raises OptionError if that could take for ever."""
    if not (std > 0 and a < b and a <= mean + 3 * std and b >= mean - 3 * std):
        raise OptionError(
            f"trunc_normal_: {a!r} to {b!r} must lie within 3 std of the mean, got {mean!r} and std {std!r}"
        )

    def draw(rng, shape):
        x = rng.normal(mean, std, shape)
        while (outside := (x < a) | (x > b)).any():
            x[outside] = rng.normal(mean, std, int(outside.sum()))
        return x

    return _fill(tensor, draw, generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """All the same."""
    return _fill(tensor, lambda rng, shape: np.full(shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """All 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """All 1."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity: 1 on the diagonal of a matrix, 0 elsewhere. Raises ShapeError for other ranks."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: a matrix is needed, got {tensor.shape}")
    return _fill(tensor, lambda rng, shape: np.eye(*shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution (O, C, KH, KW) that hands its channels on: 1 in the middle of kernel (o, o mod O/groups).

    Raises ShapeError, OptionError."""
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: a convolution's weight is needed, got {tensor.shape}")
    if tensor.shape[0] % groups:
        raise OptionError(f"dirac_: groups={groups!r} must divide the {tensor.shape[0]} output channels")

    def draw(rng, shape):
        x, share = np.zeros(shape), shape[0] // groups
        for o in range(shape[0]):
            if o % share < shape[1]:
                middle = (o, o % share, *(k // 2 for k in shape[2:]))
                x[middle] = 1
        return x

    return _fill(tensor, draw)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A matrix (O, C·KH·KW) with orthonormal rows, or columns where there are fewer, times gain (Saxe et al., 2013)."""
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: at least 2 axes are needed, got {tensor.shape}")

    def draw(rng, shape):
        flat = rng.standard_normal((shape[0], math.prod(shape[1:])))
        q, r = np.linalg.qr(flat.T if flat.shape[0] < flat.shape[1] else flat)
        q = q * np.sign(np.diag(r))  # or the distribution would not be even
        return gain * (q.T if flat.shape[0] < flat.shape[1] else q).reshape(shape)

    return _fill(tensor, draw, generator)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """A matrix drawn from a normal distribution, the share `sparsity` of every column set to 0 (Martens, 2010)."""
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: a matrix is needed, got {tensor.shape}")

    def draw(rng, shape):
        x = rng.normal(0, std, shape)
        for column in range(shape[1]):
            x[rng.permutation(shape[0])[: math.ceil(sparsity * shape[0])], column] = 0
        return x

    return _fill(tensor, draw, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Even between ± gain·sqrt(3 / fan) (He et al., "Delving deep into rectifiers", 2015)."""
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan) (He et al., 2015)."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Even between ± gain·sqrt(6 / (fan in + fan out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain·sqrt(2 / (fan in + fan out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _fan(tensor, mode):
    if mode not in ("fan_in", "fan_out"):
        raise OptionError(f'mode must be "fan_in" or "fan_out", got {mode!r}')
    return fans(tensor)[mode == "fan_out"]


def _old_name(function: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    name = function.__name__

    @functools.wraps(function)
    def renamed(*arguments: _P.args, **options: _P.kwargs) -> Tensor:
        warnings.warn(f"nn.init.{name[:-1]} is the old name of {name}", FutureWarning, stacklevel=2)
        return function(*arguments, **options)

    return renamed


uniform, normal, constant = _old_name(uniform_), _old_name(normal_), _old_name(constant_)
xavier_uniform, xavier_normal = _old_name(xavier_uniform_), _old_name(xavier_normal_)
kaiming_uniform, kaiming_normal = _old_name(kaiming_uniform_), _old_name(kaiming_normal_)

if not TYPE_CHECKING:
    _HERE = [name for name, value in globals().items() if getattr(value, "__module__", "") == __name__]
    __getattr__ = missing("torch.nn.init", _HERE)
