"""Central differences on a function that is only known by calling it, and how far they can be trusted.

For an argument in which the function is linear (tested, not assumed) the step is 1 and the difference exact but for
rounding. Elsewhere it is 6e-6·max(1, |x|), the cube root of the rounding error, where truncation and rounding balance.
The noise of the function itself is measured (Hamming's difference table, see Moré and Wild, "Estimating computational
noise", 2011), so a forward that works in float32 inside gets the larger step that it needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .verdict import holds_float32

STEP = 6e-6
STEP_FLOAT32 = 5e-3
NEAR = 0.1  # nearer to 0 than this, a step that does not know x may reach to where the function is another one


@dataclass
class Differences:
    """Central differences for one argument: `jacobian` (elements, outputs), and per element what they are worth.

    `noise` bounds the error of each element of Jᵀdy for |dy| of order 1; `left` and `right` are the one-sided slopes
    contracted with dy; `judged` is False where an element was left out for want of time."""

    jacobian: np.ndarray
    elements: np.ndarray
    noise: float
    linear: bool
    step: float


def noise_of(f: Callable[..., Any], x: np.ndarray, rng: np.random.Generator) -> float:
    """The size of the rounding noise of a vector-valued f around x, by fourth differences along a random direction.

    A kink within reach also leaves a fourth difference, but one that shrinks with the step, as noise does not: that is
    why it is taken with two steps."""
    # Near 0 it moves in proportion to x, and stays where a square root or a logarithm is defined.
    size = np.where(np.abs(x) < NEAR, np.abs(x), np.maximum(1.0, np.abs(x)))
    direction = rng.uniform(-1.0, 1.0, np.shape(x)) * size
    sizes = []
    for step in (STEP, STEP / 100):
        values = np.array([f(x + t * step * direction) for t in range(-3, 4)])
        sizes.append(float(np.sqrt(np.mean(np.diff(values, 4, axis=0) ** 2) / 70.0)))
    return sizes[1] if sizes[1] < sizes[0] / 20 else sizes[0]


def is_linear(f: Callable[..., Any], x: np.ndarray, rng: np.random.Generator) -> bool:
    """True if f(x + a) + f(x + b) - f(x) - f(x + a + b) is rounding, for large a and b."""
    a, b = rng.standard_normal((2, *np.shape(x)))
    values = [f(x + a), f(x + b), f(x), f(x + a + b)]
    size = max(float(np.abs(v).max()) if v.size else 0.0 for v in values)
    gap = values[0] + values[1] - values[2] - values[3]
    return bool(np.isfinite(gap).all() and np.abs(gap).max(initial=0.0) <= 1e-12 * max(size, 1e-300))


def differences(f: Callable[..., Any], x: np.ndarray, elements: Any, rng: np.random.Generator) -> Any:
    """Central differences of `f: array -> flat array` in the given flat elements of x."""
    x = np.asarray(x, dtype=np.float64)
    base = f(x)
    linear = is_linear(f, x, rng)
    noise = noise_of(f, x, rng)
    size = float(np.abs(base).max(initial=0.0))
    if holds_float32(base):
        # Steps smaller than the spacing of float32 move nothing, and look like no noise at all.
        noise = max(noise, 6e-8 * size)
    # float64 leaves 1e-16, float32 1e-8; a kink seen with the smaller step, up to 1e-9.
    rough = noise > 1e-9 * max(size, 1e-300)
    noise = noise if rough else min(noise, 1e-12 * size)
    step = 1.0 if linear else (STEP_FLOAT32 if rough else STEP)
    rows = np.empty((len(elements), base.size))
    for row, element in enumerate(elements):
        h = step if linear else step * max(1.0, abs(float(x.flat[element])))
        plus, minus = _moved(x, element, h), _moved(x, element, -h)
        rows[row] = (f(plus) - f(minus)) / (plus.flat[element] - minus.flat[element])
        if not linear and not rough and 0 < abs(x.flat[element]) < NEAR:
            rows[row] = _closer(f, x, element, rows[row])
    floor = (8 * noise + 4e-16 * size) / step + (0.0 if linear else (1e-4 if rough else 1e-9) * _scale(rows))
    return Differences(rows, np.asarray(elements), floor, linear, step)


def _closer(f, x, element, coarse):
    """The slope with a step in proportion to x, where that tells another one: near 0 a function may turn sharply."""
    h = STEP * abs(float(x.flat[element]))
    plus, minus = _moved(x, element, h), _moved(x, element, -h)
    width = plus.flat[element] - minus.flat[element]
    if not width:
        return coarse
    up, down = f(plus), f(minus)
    fine, doubt = (up - down) / width, 4e-16 * (np.abs(up) + np.abs(down)) / width
    with np.errstate(invalid="ignore"):
        keep = np.abs(coarse - fine) <= 8 * doubt + 1e-7 * np.abs(fine)
    return np.where(keep, coarse, fine)


def _scale(rows):
    return float(np.abs(rows).max(initial=0.0)) if rows.size else 0.0


def _moved(x, element, h):
    out = x.copy()
    out.flat[element] += h
    return out


def kinked(f: Callable[..., Any], x: np.ndarray, element: int, dy: Any, claimed: Any, step: float = STEP) -> Any:
    """Does f have a kink at this element, with the claimed slope between the two one-sided ones?

    Returns "kink" (a legal convention), "smooth", "wrong", or "right" where a closer look finds the claimed slope.
    The one-sided slopes of a smooth function approach each
    other as the step shrinks; those of a kink at x itself do not, and a kink nearby leaves the smaller step to judge.
    With the large step of a float32 function the second is not much smaller, or noise would look like kinks."""
    x = np.asarray(x, dtype=np.float64)
    shrink, bend = (30.0, 1e-3) if step < STEP_FLOAT32 else (3.0, 5e-2)
    scale = max(1.0, abs(float(x.flat[element])))
    if step < STEP_FLOAT32 and 0 < abs(x.flat[element]) < NEAR:
        near = _smooth_nearby(f, x, element, dy, claimed)
        if near:
            return near
    slopes = []
    for h in (step * scale, step * scale / shrink):
        here = float(f(x) @ dy)
        forward = (float(f(_moved(x, element, h)) @ dy) - here) / h
        backward = (here - float(f(_moved(x, element, -h)) @ dy)) / h
        slopes.append((backward, forward))
    size = max(max(abs(s) for pair in slopes for s in pair), abs(claimed), 1e-300)
    if abs(slopes[0][0] - slopes[0][1]) <= bend * size:
        return "smooth"
    slack = 0.1 * bend * size
    return "kink" if min(slopes[1]) - slack <= claimed <= max(slopes[1]) + slack else "wrong"


def _smooth_nearby(f, x, element, dy, claimed):
    """ "right" or "wrong" where f is smooth within a ten-thousandth of x, so that there is no kink at x; else None."""
    h = 1e-4 * abs(float(x.flat[element]))
    up, here, down = (f(_moved(x, element, d)) @ dy for d in (h, 0.0, -h))
    forward, backward = (up - here) / h, (here - down) / h
    doubt = 8e-16 * float(np.abs(f(x)) @ np.abs(dy)) / h
    size = max(abs(forward), abs(backward), abs(claimed), 1e-300)
    if (
        not np.isfinite([forward, backward]).all()
        or abs(forward - backward) > 1e-3 * size + doubt
        or doubt > 1e-4 * size
    ):
        return None
    return "right" if abs(claimed - (forward + backward) / 2) <= 1e-6 * size + doubt else "wrong"


def slope(f: Callable[..., Any], x: np.ndarray, element: int, dy: Any, linear: bool = False) -> Any:
    """One central difference of f·dy in one element, with its uncertainty: (slope, plus or minus)."""
    x = np.asarray(x, dtype=np.float64)
    h = 1.0 if linear else STEP * max(1.0, abs(float(x.flat[element])))
    up, down = f(_moved(x, element, h)), f(_moved(x, element, -h))
    value = float((up - down) @ dy) / (2 * h)
    size = float((np.abs(up) + np.abs(down)) @ np.abs(dy))
    return value, 4e-16 * size / h + 1e-9 * abs(value)
