"""Are two arrays the same, the same up to rounding, or different, and where?"""

from dataclasses import dataclass

import numpy as np

from .findings import Where

# Relative to the largest element of the right answer. Another order of summation, or an FFT, costs 1e-13; the step from
# there to the smallest mistake the probes can show (an epsilon, a slope) is made large by their choice of numbers.
EXACT = 1e-10
# float32 somewhere inside costs 1e-7 an operation, and ten times that where a mean is subtracted.
ROUNDING = 3e-6
# If the result itself is float32, or holds only float32 numbers, the whole chain probably was.
ROUNDING_FLOAT32 = 3e-5

AXES = {
    "N": "sample",
    "C": "channel",
    "O": "channel",
    "H": "row",
    "W": "column",
    "K": "class",
    "I": "feature",
    "R": "row",
    "Q": "column",
}


@dataclass(frozen=True)
class Comparison:
    """Outcome of comparing two arrays of one shape: level "same", "rounding" or "different"; `wrong` marks elements."""

    level: str
    wrong: np.ndarray
    error: float = 0.0


def scale_of(right):
    """The size that differences are measured against: the largest magnitude in the right answer."""
    finite = np.abs(right[np.isfinite(right)]) if np.size(right) else np.zeros(0)
    return float(finite.max()) if finite.size else 0.0


def holds_float32(array):
    """True if the array is float32, or holds nothing that float32 could not hold (and is not all simple numbers)."""
    if array.dtype == np.float32 or array.dtype == np.float16:
        return True
    values = array[np.isfinite(array)].astype(np.float64).ravel()
    with np.errstate(over="ignore"):
        single = values.astype(np.float32).astype(np.float64)
        quarter = values.astype(np.float16).astype(np.float64)
    return values.size > 0 and bool(np.array_equal(single, values)) and not np.array_equal(quarter, values)


def compare(yours, right, noise=0.0, scale=None):
    """Compare two arrays of one shape; elements where `right` is NaN (not judged) count as equal.

    `noise` is the absolute uncertainty of `right`; `scale` stands in for the size of an answer that is all zeros."""
    yours, right = np.asarray(yours), np.asarray(right, dtype=np.float64)
    scale = scale_of(right) if scale is None else scale
    judged = ~np.isnan(right)
    with np.errstate(all="ignore"):
        error = np.where(judged, np.abs(np.asarray(yours, dtype=np.float64) - right), 0.0)
    error = np.where(np.isfinite(error), error, np.inf)
    worst = float(error.max()) if error.size else 0.0
    floor = EXACT * scale + noise + 1e-300
    if worst <= floor:
        return Comparison("same", np.zeros(right.shape, bool), worst)
    limit = (ROUNDING_FLOAT32 if holds_float32(yours) else ROUNDING) * scale + noise
    if worst <= limit:
        return Comparison("rounding", np.zeros(right.shape, bool), worst)
    return Comparison("different", error > max(limit, floor), worst)


def region_of(wrong, yours, right, axes, predicates):
    """Plain words for the set of wrong elements: (region, size of that region as a part of the whole).

    `predicates` is a list of (words, boolean array). A region is named only if the wrong elements all lie in it and
    would hardly do so by chance (1 in 1000)."""
    count, total = int(wrong.sum()), wrong.size
    with np.errstate(invalid="ignore"):
        idle = ~wrong & (right == 0) & (np.asarray(yours) == 0)
    could = total - int(idle.sum())
    if count == total or could <= 1:
        return "all", 1.0
    found = []
    for words, inside in list(predicates) + list(_slices(wrong, axes)) + list(_border(wrong, axes)):
        inside = np.broadcast_to(inside, wrong.shape)
        size = int((inside & ~idle).sum())
        if 0 < size < could and not (wrong & ~inside).any():
            # How often `count` elements strewn at random would all fall inside.
            chance = np.prod([(size - k) / (could - k) for k in range(min(count, 40))])
            if chance < 1e-3 or count == size:
                found.append((size / could, words))
    if count >= 0.95 * could and not any(share < 0.95 for share, _ in found):
        return "all", 1.0
    if found:
        share, words = min(found, key=lambda pair: pair[0])
        return words, share
    return ("all" if count >= 0.95 * could else "some"), count / total


def _slices(wrong, axes):
    for axis, letter in enumerate(axes):
        hit = np.flatnonzero(wrong.any(axis=tuple(a for a in range(wrong.ndim) if a != axis)))
        if len(hit) == 1 and wrong.shape[axis] > 1:
            inside = np.zeros(wrong.shape[axis], bool)
            inside[hit] = True
            shape = [1] * wrong.ndim
            shape[axis] = -1
            yield f"one {AXES.get(letter, 'index')}", inside.reshape(shape)


def _border(wrong, axes):
    if axes.endswith("HW") and min(wrong.shape[-2:]) > 2:
        ring = np.ones(wrong.shape[-2:], bool)
        ring[1:-1, 1:-1] = False
        yield "border", ring


def where(comparison, yours, right, axes, predicates=(), probe="", noise=0.0):
    """A Where for a comparison that found differences."""
    wrong = comparison.wrong
    yours, right = np.asarray(yours, dtype=np.float64), np.asarray(right, dtype=np.float64)
    index = tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.ndim else ()
    region, _ = region_of(wrong, yours, right, axes, predicates)
    return Where(index, float(yours[index]), float(right[index]), region, int(wrong.sum()), wrong.size, probe, noise)


def merge_regions(regions):
    """One region for several probes: the most particular one if the others say the same or "all", else "some"."""
    particular = {r for r in regions if r != "all"}
    if not particular:
        return "all"
    return particular.pop() if len(particular) == 1 else "some"
