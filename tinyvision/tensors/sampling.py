"""Random numbers in the place, or in the likeness, of those of a tensor. One seed gives the same on every device.

`generator` is a `tinyvision.Generator` (or NumPy's); without one, numbers come from the generator in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import random
from ..device import device_of, to_device, to_numpy
from ..dtypes import as_dtype
from ..errors import DtypeError, OptionError, ShapeError
from ..ops.checks import is_integer

if TYPE_CHECKING:
    from .tensor import Tensor

Generator = np.random.Generator


def source(generator: Generator | None) -> Generator:
    """The generator to draw from."""
    if generator is not None and not isinstance(generator, Generator):
        raise OptionError(f"generator: expected a tinyvision.Generator, got {type(generator).__name__}")
    return random.generator() if generator is None else generator


def _like(x, numbers):
    return x.like(to_device(np.asarray(numbers).astype(x.dtype, copy=False), device_of(x.array)))


def _of_floats(what, x):
    if x.dtype.kind != "f":
        raise DtypeError(f"{what}: only floats can be drawn, this tensor is {x.dtype}; use .float()")


def drawn_normal(x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal random numbers with this mean and standard deviation."""
    _of_floats("normal_", x)
    if std < 0:
        raise OptionError(f"normal_: std must not be negative, got {std}")
    return _like(x, source(generator).standard_normal(x.shape) * std + mean)


def drawn_uniform(x: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Random numbers from a up to, not including, b."""
    low, high = a, b
    _of_floats("uniform_", x)
    if low > high:
        raise OptionError(f"uniform_: there is nothing between {low} and {high}")
    return _like(x, source(generator).random(x.shape) * (high - low) + low)


def drawn_bernoulli(x: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability p (a number or a tensor), else 0."""
    return _like(x, _coins(x.shape, p.array if hasattr(p, "array") else p, generator))


def drawn_exponential(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Exponentially distributed random numbers with mean 1 / lambd."""
    _of_floats("exponential_", x)
    return _like(x, source(generator).standard_exponential(x.shape) / lambd)


def drawn_whole(x: Tensor, a: int | None = None, b: int | None = None, *, generator: Generator | None = None) -> Tensor:
    """Random whole numbers from a up to, not including, b; `random_(b)` from 0; without limits, whatever fits."""
    low, high = (0, a) if b is None else (a, b)
    if high is None:
        high = 2 ** {2: 11, 4: 24, 8: 53}[x.dtype.itemsize] if x.dtype.kind == "f" else int(x.dtype == bool) + 1
        high = high if x.dtype.kind == "f" or x.dtype == bool else int(np.iinfo(x.dtype).max)
    if low is None or low >= high:
        raise OptionError(f"random_: there is no whole number from {low} up to {high}")
    return _like(x, source(generator).integers(low, high, x.shape))


def rand_like(x: Tensor, *, dtype: Any = None, generator: Generator | None = None, **options: Any) -> Tensor:
    """Random numbers from [0, 1) in the shape of x."""
    return _options(drawn_uniform(_empty(x, dtype), generator=generator), **options)


def randn_like(x: Tensor, *, dtype: Any = None, generator: Generator | None = None, **options: Any) -> Tensor:
    """Standard normal random numbers in the shape of x."""
    return _options(drawn_normal(_empty(x, dtype), generator=generator), **options)


def randint_like(
    x: Tensor, low: int, high: int | None = None, *, dtype: Any = None, generator: Generator | None = None
) -> Tensor:
    """Random whole numbers in the shape of x, from low (0 if only one limit is given) up to, not including, high."""
    return drawn_whole(_empty(x, dtype), *((low,) if high is None else (low, high)), generator=generator)


def _empty(x, dtype):
    return x.detach() if dtype is None else x.like(np.zeros_like(x.array, dtype=as_dtype(dtype)))


def _options(x, device=None, requires_grad=False, memory_format=None):
    return x.to(device=device).requires_grad_(requires_grad)


def bernoulli(x: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each number of x is (or with probability p for all), else 0."""
    return _like(x, _coins(x.shape, x.array if p is None else p, generator))


def _coins(shape, p, generator):
    p = to_numpy(p) if hasattr(p, "dtype") else p
    if not np.all((np.asarray(p) >= 0) & (np.asarray(p) <= 1)):
        raise OptionError("bernoulli: probabilities are numbers from 0 to 1")
    return source(generator).random(shape) < p


def poisson(x: Tensor, generator: Generator | None = None) -> Tensor:
    """Random counts with the means that x gives."""
    return _like(x, source(generator).poisson(to_numpy(x.array)))


def multinomial(
    x: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """`num_samples` places of each row of x, a place with weight w drawn in proportion to w; by default none twice.

    Raises OptionError for weights that are negative or too few of which are not 0."""
    _of_floats("multinomial", x)
    weights = to_numpy(x.array).astype(np.float64)
    if weights.ndim not in (1, 2):
        raise ShapeError(f"multinomial: expected one row of weights or a matrix of them, got {x.shape}")
    if not np.all(np.isfinite(weights) & (weights >= 0)) or not np.all(weights.sum(-1) > 0):
        raise OptionError("multinomial: weights must not be negative, nor infinite, nor all 0")
    if not is_integer(num_samples) or num_samples < 1:
        raise OptionError(f"multinomial: num_samples must be a positive integer, got {num_samples!r}")
    num_samples = int(num_samples)
    draw = source(generator)
    if replacement:
        ends = np.cumsum(weights, -1)
        points = draw.random((*weights.shape[:-1], num_samples)) * ends[..., -1:]
        places = (points[..., None] >= ends[..., None, :]).sum(-1)
    else:
        if num_samples > (weights > 0).sum(-1).min():
            raise OptionError(f"multinomial: {num_samples} places cannot be drawn without replacement from so few")
        with np.errstate(divide="ignore"):  # the least of exponential times is the place's with that probability
            times = draw.standard_exponential(weights.shape) / weights
        places = np.argsort(times, -1, kind="stable")[..., :num_samples]
    return x.like(to_device(places.astype(np.int64), device_of(x.array)))
