"""The error function, erf(x) = 2/√π ∫₀ˣ exp(-t²) dt, which NumPy lacks, and its inverse.

It rises from -1 to 1 and reaches both, to the last bit of float64, before |x| = 6. For x from 0 to 6

    erf(x) = 1 - exp(-x²) · g(x),   g(x) = exp(x²) · erfc(x),

where g falls smoothly from 1 to 0.09 and, written in t = (x - 2) / (x + 2), is a polynomial to 16 digits. It is fitted
once, through Chebyshev's points, to the erfc of Python's `math`. Near 0 that difference would lose digits; there
the series of the integral, x - x³/3 + x⁵/(2!·5) - ..., is short.

The inverse begins with Winitzki's formula, which is right to three digits everywhere, and solves erf(y) = x from there
by Halley's method, whose every step triples the digits. Far out, where erf is almost 1, the digits are in what is
missing from 1: there erfc(y) = 1 - x is solved instead.
(Winitzki, "A handy approximation for the error function and its inverse", 2008.)
"""

import functools
import math
from typing import Any

import numpy as np

from ..types import Array, Gradients, Needs
from .checks import as_array, check_arrays

END, DEGREE = 6.0, 22
NEAR, TERMS = 0.5, 11  # 0.5²² / (11! · 23) is 3e-16
WINITZKI = 0.147


def _t(x):
    return (x - 2) / (x + 2)


def scaled_rest(degree: int) -> list[float]:
    """The coefficients of g(x) = exp(x²) · erfc(x), x from 0 to END, in powers of t, the highest first."""
    from numpy.polynomial import Polynomial, chebyshev  # here, as it would make importing the package slower

    low, high = _t(0.0), _t(END)

    def g(s):  # t runs from low to high as s runs from -1 to 1
        t = low + (s + 1) / 2 * (high - low)
        x = 2 * (1 + t) / (1 - t)
        return np.array([math.exp(v * v) * math.erfc(v) for v in x])

    fitted = Polynomial(chebyshev.cheb2poly(chebyshev.chebinterpolate(g, degree)))
    in_t = fitted(Polynomial([-1 - 2 * low / (high - low), 2 / (high - low)]))
    return [float(c) for c in in_t.coef[::-1]]


@functools.cache
def _polynomials() -> tuple[list[float], list[float]]:
    """The coefficients of g in powers of t, and of erf(x) / x in powers of x², the highest first."""
    series = [2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(TERMS)]
    return scaled_rest(DEGREE), series[::-1]


def _at(coefficients, x):
    """The polynomial at x, by Horner's rule."""
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y *= x
        y += c
    return y


def _near_and_rest(size):
    """erf(size) by the series, which holds up to NEAR, and 1 - erf(size), which has digits from there on."""
    of_t, of_square = _polynomials()
    square = size * size
    near = size * _at(of_square, np.minimum(square, NEAR * NEAR))
    return near, np.exp(-square) * _at(of_t, _t(size))


def erf(x: Array) -> Array:
    """erf of every number, to the precision of its dtype."""
    size = np.minimum(np.abs(x), END)  # nan stays
    near, rest = _near_and_rest(size)
    return as_array(np.copysign(np.where(size < NEAR, near, 1 - rest), x))


def erf_forward(x: Array) -> tuple[Array, Any]:
    """y = erf(x).   ->  y, cache"""
    check_arrays("erf", x=x)
    return erf(x), x


def erf_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · 2/√π · exp(-x²)"""
    x = cache
    return (as_array(dy * (2 / math.sqrt(math.pi)) * np.exp(-x * x)),)


def erfinv(x: Array) -> Array:
    """The number whose erf is x, of every x; infinite at -1 and 1, nan beyond."""
    size = np.abs(x).astype(np.float64)
    inside = np.minimum(size, 1 - 2.0**-53)  # nan stays
    log = np.log((1 - inside) * (1 + inside))
    half = 2 / (math.pi * WINITZKI) + log / 2
    y = np.sqrt(np.sqrt(half * half - log / WINITZKI) - half)
    for _ in range(2):
        near, rest = _near_and_rest(y)
        wrong = np.where(y < NEAR, near - inside, (1 - inside) - rest)
        step = wrong * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        y = y - step / (1 + step * y)
    y = np.where(size < 1, y, np.where(size == 1, np.inf, np.nan))
    return as_array(np.copysign(y, x).astype(x.dtype))


def erfinv_forward(x: Array) -> tuple[Array, Any]:
    """y = the number whose erf is x.   ->  y, cache"""
    check_arrays("erfinv", x=x)
    with np.errstate(all="ignore"):
        y = erfinv(x)
    return y, y


def erfinv_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · √π/2 · exp(y²), the slope of erf at y turned over"""
    with np.errstate(all="ignore"):
        return (as_array(dy * (math.sqrt(math.pi) / 2) * np.exp(cache * cache)),)
