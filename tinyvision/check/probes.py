"""Probes: inputs, options and upstream gradients chosen so that no mistake can hide.

Every axis has a size of its own, or is deliberately equal to another so that swapped axes fit; strides, paddings and
kernels differ in height and width; windows overlap on one probe, leave gaps and left-over rows on another; one batch
has a single image. Upstream gradients are random and *signed*. No two constants that an answer could be off by have
the same values on all probes, so a factor can be named.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Probe:
    """One experiment: `inputs`, `options`, upstream `dy`, and what is right for them.

    `y` is the right output, `gradient(dy)` the right gradients for any upstream (a tuple, None where there is none).
    `symbols` names the constants an answer could be off by. `noise` bounds the error of `gradient` per argument."""

    name: str
    inputs: tuple
    options: dict
    y: np.ndarray
    gradient: Any  # a function of dy, or None where there is no reference
    dy: Any = None  # an array; by default a random one like y
    symbols: dict = field(default_factory=dict)
    noise: tuple = ()
    output: Callable[..., Any] | None = None  # the right output for other inputs and options, if there is a reference
    backward: Callable[..., Any] | None = None  # the right gradients for other inputs, options and dy, or None
    names: tuple = ()
    axes: tuple = ()  # one letter per axis of each input: "NCHW"
    output_axes: str = ""
    index: int = 0
    op: str = ""  # the known op that it is a probe of

    def __post_init__(self) -> None:
        if not self.noise:
            self.noise = (0.0,) * len(self.inputs)
        if self.dy is None:
            self.dy = upstream(self.y, self.index)

    @property
    def truth(self) -> Any:
        """The right gradients for the probe's own upstream, computed once."""
        if "_truth" not in self.__dict__:
            self._truth = self.gradient(self.dy)
        return self._truth


def upstream(y: np.ndarray, seed: int) -> Any:
    """A random signed gradient of the shape of y, 0.3 to 2 in size everywhere; a NumPy scalar for a loss."""
    rng = np.random.default_rng([11, seed])
    shape = np.shape(y)
    dy = rng.uniform(0.3, 2.0, shape) * rng.choice([-1.0, 1.0], shape)
    if shape == ():
        return np.float64(-1.7 if seed % 2 == 0 else 0.6)
    return dy


def away_from_zero(rng: np.random.Generator, shape: int | Sequence[int], low: float = 0.05, high: float = 2.0) -> Any:
    """Signed numbers with low <= |x| <= high: clear of a kink at 0."""
    return rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


def well_separated(rng: np.random.Generator, shape: Sequence[int]) -> Any:
    """Signed numbers no two of which are closer than 0.01: the winner of a window stays the winner."""
    size = int(np.prod(shape))
    values = (np.arange(size) - 0.6 * size) * 0.02 + rng.uniform(-0.004, 0.004, size)
    return rng.permutation(values).reshape(shape)


def _inverse(name):
    """The name of one over a named constant: a fraction is turned round."""
    above, slash, below = name.partition("/")
    if slash and name.count("/") == 1:
        above, below = (part[1:-1] if part[0] == "(" and part[-1] == ")" else part for part in (above, below))
        return f"{_in_brackets(below)}/{_in_brackets(above)}"
    return f"1/{_in_brackets(name)}"


def _in_brackets(name):
    return f"({name})" if set(name) & set("·-/ ") else name


def signs_symbols(symbols: Any) -> Any:
    """Every named constant with its inverse, both with the other sign too. Constants equal to 1 are left out."""
    out = {"-1": -1.0, "2": 2.0, "1/2": 0.5, "-2": -2.0, "-1/2": -0.5}
    for name, value in symbols.items():
        out[name] = float(value)
        out[_inverse(name)] = 1.0 / float(value)
    for name, value in list(out.items()):
        if not name.startswith("-"):
            out.setdefault("-" + name, -value)
    return out
