"""Are two arrays the same, the same up to rounding, or different, and where?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def scale_of(right: np.ndarray) -> float:
    """The size that differences are measured against: the largest magnitude in the right answer."""
    finite = np.abs(right[np.isfinite(right)]) if np.size(right) else np.zeros(0)
    return float(finite.max()) if finite.size else 0.0


def holds_float32(array: np.ndarray) -> bool:
    """True if the array is float32, or holds nothing that float32 could not hold (and is not all simple numbers)."""
    if array.dtype == np.float32 or array.dtype == np.float16:
        return True
    values = array[np.isfinite(array)].astype(np.float64).ravel()
    with np.errstate(over="ignore"):
        single = values.astype(np.float32).astype(np.float64)
        quarter = values.astype(np.float16).astype(np.float64)
    return values.size > 0 and bool(np.array_equal(single, values)) and not np.array_equal(quarter, values)


def compare(yours: Any, right: np.ndarray, noise: float = 0.0, scale: Any = None) -> Comparison:
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


def candidates(wrong: Any, yours: Any, right: np.ndarray, axes: str, predicates: Sequence[Any]) -> Any:
    """What each named region holds: words -> (elements inside, elements in all, wrong ones, all inside?, rank).

    Elements that are 0 in both arrays cannot differ and do not count. `predicates` is a list of (words, boolean array);
    they rank before slices along an axis."""
    with np.errstate(invalid="ignore"):
        idle = ~wrong & (right == 0) & (np.asarray(yours) == 0)
    could, count = wrong.size - int(idle.sum()), int(wrong.sum())
    found: dict[Any, Any] = {}
    slices = [*_slices(wrong, axes), *_border(wrong, axes)] if count else []
    for rank, regions in enumerate((predicates, slices)):
        for words, inside in regions:
            inside = np.broadcast_to(inside, wrong.shape)
            held = not (wrong & ~inside).any()
            seen = (int((inside & ~idle).sum()), could, count, held, rank)
            if words not in found or (held and (not found[words][3] or seen[0] < found[words][0])):
                found[words] = seen
    found["all"] = (could, could, count, count >= 0.95 * could, 2)
    return found


def common_region(per_probe: Any) -> Any:
    """One region for all probes: the smallest that holds all wrong elements on each and is no accident; else "all" or
    "some". No accident: as many elements, strewn at random over all probes, would fall inside once in 1000 times."""
    failed = [found for found in per_probe if found["all"][2]]
    named = []
    for words in set(failed[0]).intersection(*failed[1:]) - {"all"}:
        seen = [found[words] for found in per_probe if words in found]
        inside, could, count = (sum(part) for part in list(zip(*seen, strict=True))[:3])
        if not all(held for _, _, _, held, _ in seen) or inside >= 0.95 * could:
            continue
        chance = np.prod([(inside - k) / (could - k) for k in range(min(count, 60)) if could > k])
        if chance < 1e-3 or count == inside:
            named.append((seen[0][4], inside / could, words))
    if named:
        return min(named)[2]
    return "all" if all(found["all"][3] for found in failed) else "some"


def _slices(wrong, axes):
    for axis, letter in enumerate(axes):
        hit = wrong.any(axis=tuple(a for a in range(wrong.ndim) if a != axis))
        inside, word = hit.reshape([-1 if a == axis else 1 for a in range(wrong.ndim)]), AXES.get(letter, "index")
        if hit.sum() == 1:
            yield f"one {word}", inside
        if hit.sum() == len(hit) - 1:
            yield f"all but one {word}", inside


def _border(wrong, axes):
    if axes.endswith("HW") and min(wrong.shape[-2:]) > 2:
        ring = np.ones(wrong.shape[-2:], bool)
        ring[1:-1, 1:-1] = False
        yield "border", ring


def where(
    comparison: Comparison,
    yours: Any,
    right: np.ndarray,
    axes: str,
    predicates: Sequence[Any] = (),
    probe: str = "",
    noise: float = 0.0,
) -> Any:
    """(Where, region candidates) for a comparison that found differences."""
    wrong = comparison.wrong
    yours, right = np.asarray(yours, dtype=np.float64), np.asarray(right, dtype=np.float64)
    index = tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.ndim and wrong.any() else (0,) * wrong.ndim
    regions = candidates(wrong, yours, right, axes, predicates)
    place = Where(
        index,
        float(yours[index]),
        float(right[index]),
        "some",
        int(wrong.sum()),
        wrong.size,
        probe,
        noise,
    )
    return place, regions
