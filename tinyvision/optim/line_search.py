"""A step's length along a direction, found by asking for the loss and its slope at several places."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# How much the loss must fall, as a share of what the slope promised, and to which share the slope itself must shrink.
FALL, FLATTENING = 1e-4, 0.9
CLOSEST = 1e-9  # a bracket in which no number moves by more is not cut again


class Place(NamedTuple):
    """What is known of the line at t: the loss, its gradient, and its slope along the line."""

    t: Any
    loss: Any
    gradient: Any
    slope: Any


def cubic_minimum(a: Place, b: Place, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic through both places, with their slopes, is least: between them, or within the bounds.

    If it has no minimum, the middle of those."""
    if a.t > b.t:
        a, b = b, a
    low, high = bounds or (a.t, b.t)
    with np.errstate(all="ignore"):
        mean = a.slope + b.slope - 3 * (a.loss - b.loss) / np.float64(a.t - b.t)
        square = mean**2 - a.slope * b.slope
        if not square >= 0:
            return (low + high) / 2
        root = np.sqrt(square)
        least = b.t - (b.t - a.t) * ((b.slope + root - mean) / np.float64(b.slope - a.slope + 2 * root))
    return min(max(least, low), high)


def strong_wolfe(evaluate: Callable[[Any], Place], start: Place, t: Any, reach: float, most: int) -> tuple[Place, int]:
    """A place, from t on, that meets the strong Wolfe conditions, and how often the loss was asked for: it lies lower
    by a share of what the slope at the start promises, and is much flatter.

    (Nocedal and Wright, "Numerical optimization", 2006, algorithms 3.5 and 3.6.) First t grows until two places have a
    minimum between them; then that bracket is cut, where the cubic through its ends is least, until a place will do.

    reach   the furthest that any number moves for t = 1
    most    how many places may be tried beyond the first; then it is the lowest end of the bracket"""
    place, before, tried = evaluate(t), start, 0
    while tried < most:
        risen = _is_too_high(place, start) or (tried > 1 and place.loss >= before.loss)
        if not risen and _is_flat(place, start):
            return place, tried + 1
        if risen or place.slope >= 0:
            return _zoom(evaluate, start, [before, place], reach, tried, most)
        bounds = place.t + 0.01 * (place.t - before.t), place.t * 10
        before, place = place, evaluate(cubic_minimum(before, place, bounds))
        tried += 1
    return _zoom(evaluate, start, [start, place], reach, tried, most)


def _is_too_high(place, start):
    return place.loss > start.loss + FALL * place.t * start.slope


def _is_flat(place, start):
    return abs(place.slope) <= -FLATTENING * start.slope


def _zoom(evaluate, start, ends, reach, tried, most):
    """Cut the bracket between two `ends`: the same as `strong_wolfe` gives."""
    low, high = _ranked(ends)
    is_near = False  # whether the last cut fell close to an end
    while tried < most and not abs(ends[1].t - ends[0].t) * reach < CLOSEST:
        t = cubic_minimum(*ends)
        left, right = min(e.t for e in ends), max(e.t for e in ends)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if is_near or not left < t < right:  # twice in a row: that end is left by a tenth of the bracket
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                is_near = False
            else:
                is_near = True
        else:
            is_near = False
        place = evaluate(t)
        tried += 1
        if _is_too_high(place, start) or place.loss >= ends[low].loss:
            ends[high] = place
            low, high = _ranked(ends)
            continue
        found = _is_flat(place, start)
        if not found and place.slope * (ends[high].t - ends[low].t) >= 0:
            ends[high] = ends[low]
        ends[low] = place
        if found:
            break
    return ends[low], tried + 1


def _ranked(ends):
    return (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)
