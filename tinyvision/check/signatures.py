"""The first layer of diagnosis: what wrong numbers look like, without any knowledge of the op.

Every hypothesis here is an identity between the learner's array and the right one that is then tested on all probes:
a constant factor, a factor or a term along an axis, other axes, another order, one sample for all, and so on.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .evidence import Evidence, Hypothesis, same
from .verdict import AXES

ORDINALS = ("first", "last")


def known_arrays(e: Evidence) -> Any:
    """Arrays that a learner has at hand on a probe: inputs, output, upstream gradient; name -> array."""
    out = {}
    for name, array in zip(e.probe.names, e.probe.inputs, strict=True):
        if np.ndim(array) and np.asarray(array).dtype.kind in "fb":
            out[name] = np.asarray(array, dtype=np.float64)
    if np.ndim(e.probe.y):
        out["y"] = np.asarray(e.probe.y)
    if e.position >= 0 and np.ndim(e.probe.dy):
        out["dy"] = np.asarray(e.probe.dy)
    return out


def vectors(e: Evidence) -> Any:
    """Numbers per index of one axis: one-dimensional inputs, and mean and spread of x per channel; name -> vector."""
    out = {name: a for name, a in known_arrays(e).items() if a.ndim == 1}
    x = np.asarray(e.probe.inputs[0])
    if x.dtype.kind == "f" and x.ndim >= 2:
        rest = tuple(a for a in range(x.ndim) if a != 1)
        eps = e.probe.options.get("eps", 0.0)
        out["the channel's mean"] = x.mean(axis=rest)
        out["σ, the channel's standard deviation"] = np.sqrt(x.var(axis=rest) + eps)
        out["σ², the channel's variance"] = x.var(axis=rest) + eps
    return out


def along(vector: Any, axis: int, ndim: int) -> Any:
    """A vector shaped to broadcast along one axis of an array."""
    return vector.reshape([-1 if a == axis else 1 for a in range(ndim)])


def _letter(axes, axis):
    return AXES.get(axes[axis], "index") if axis < len(axes) else f"axis-{axis} slice"


def plain(e: Evidence) -> Any:
    """Hypotheses about the right array itself: factor, other axes, other order, other shape."""
    nd = e.right.ndim
    yield Hypothesis("factor", "a constant factor", lambda e: e.right)
    for axis in range(nd):
        what = _letter(e.axes, axis)
        yield Hypothesis(
            f"flip:{axis}",
            f"{{name}} mirrored: its {what}s are in reverse order",
            lambda e, a=axis: np.flip(e.right, a),
        )
    if nd >= 4:
        yield Hypothesis(
            "rotated", "{name} turned by 180°, upside down and left to right", lambda e: np.flip(e.right, (-2, -1))
        )
    for perm in itertools.permutations(range(nd)):
        if perm != tuple(range(nd)) and nd <= 4:
            letters = ", ".join(e.axes[p] if p < len(e.axes) else str(p) for p in perm)
            yield Hypothesis(
                f"transposed:{''.join(map(str, perm))}",
                f"{{name}} with its axes in the order ({letters})",
                lambda e, p=perm: e.right.transpose(p),
                needs_shape=False,
            )
    for perm in itertools.permutations(range(nd)):
        if perm != tuple(range(nd)) and nd <= 4:
            letters = ", ".join(e.axes[p] if p < len(e.axes) else str(p) for p in perm)
            yield Hypothesis(
                f"reshaped:{''.join(map(str, perm))}",
                f"the right numbers in the wrong places: an array ordered ({letters}) was given the "
                "shape of {name} by reshape, where a transpose was needed",
                lambda e, p=perm: e.right.transpose(p).reshape(e.right.shape),
            )
            yield Hypothesis(
                f"misread:{''.join(map(str, perm))}",
                f"the right numbers in the wrong places: an array was read as if its axes were ordered "
                f"({letters}), by reshape where a transpose was needed",
                lambda e, p=perm: _misread(e.right, p),
            )


def _misread(a, perm):
    return a.reshape([a.shape[p] for p in perm]).transpose(np.argsort(perm))


def shifts(e: Evidence) -> Any:
    """The right picture moved, by the padding or by one."""
    if e.right.ndim < 3:
        return
    steps = {(0, 1), (1, 0), (1, 1), (0, -1), (-1, 0), (-1, -1)}
    yield Hypothesis(
        "shift:padding",
        "{name} moved by the padding: the right picture, but its top left corner is not at [pad_h, pad_w]",
        lambda e: _shifted(e, 1),
    )
    yield Hypothesis("shift:-padding", "{name} moved by the padding, towards the top left", lambda e: _shifted(e, -1))
    for step in sorted(steps):
        yield Hypothesis(
            f"shift:{step[0]},{step[1]}", f"{{name}} moved by {step} pixels", lambda e, s=step: _moved(e, *s)
        )


def _shifted(e, sign):
    ph, pw = e.probe.options["padding"] if np.ndim(e.probe.options["padding"]) else (e.probe.options["padding"],) * 2
    return _moved(e, sign * ph, sign * pw)


def _moved(e, dh, dw):
    """The right picture moved; pixels that come from outside are taken as seen, since nobody can know them."""
    h, w = e.right.shape[-2:]
    if abs(dh) >= h or abs(dw) >= w:
        return None
    out = np.full(e.right.shape, np.nan)
    out[..., max(dh, 0) : h + min(dh, 0), max(dw, 0) : w + min(dw, 0)] = e.right[
        ..., max(-dh, 0) : h + min(-dh, 0), max(-dw, 0) : w + min(-dw, 0)
    ]
    return out


def reductions(e: Evidence) -> Any:
    """The same everywhere along an axis: a sum, a mean, or one index for all; and one index only, zero elsewhere."""
    nd = e.right.ndim
    groups = [(a,) for a in range(nd)] + ([tuple(range(nd))] if nd > 1 else []) + ([(2, 3)] if nd == 4 else [])
    for axes in groups:
        if nd == 0:
            continue
        what = "all elements" if len(axes) == nd and nd > 1 else " and ".join(_letter(e.axes, a) + "s" for a in axes)
        yield Hypothesis(
            f"sum:{''.join(map(str, axes))}",
            f"the sum of {{name}} over its {what}, everywhere the same",
            lambda e, a=axes: np.broadcast_to(e.right.sum(a, keepdims=True), e.right.shape),
        )
    for axis in range(nd):
        what = _letter(e.axes, axis)
        for which in (0, -1):
            yield Hypothesis(
                f"everywhere:{axis}:{which}",
                f"the {ORDINALS[which]} {what} of {{name}}, repeated for all",
                lambda e, a=axis, w=which: np.broadcast_to(np.take(e.right, [w], a), e.right.shape),
            )
            yield Hypothesis(
                f"only:{axis}:{which}",
                f"the {ORDINALS[which]} {what} of {{name}} only, 0 elsewhere",
                lambda e, a=axis, w=which: _only(e.right, a, w),
            )
            yield Hypothesis(
                f"without:{axis}:{which}",
                f"{{name}} with 0 for the {ORDINALS[which]} {what}",
                lambda e, a=axis, w=which: e.right - _only(e.right, a, w),
            )
        for step in (1, -1):
            yield Hypothesis(
                f"roll:{axis}:{step}",
                f"{{name}} moved on by one {what}",
                lambda e, a=axis, s=step: np.roll(e.right, s, a),
            )
        yield Hypothesis(
            f"cumulative:{axis}", f"running sums of {{name}} over its {what}s", lambda e, a=axis: np.cumsum(e.right, a)
        )
        yield Hypothesis(
            f"centred:{axis}",
            f"{{name}} minus its mean over the {what}s",
            lambda e, a=axis: e.right - e.right.mean(a, keepdims=True),
        )


def _only(array, axis, index):
    out = np.zeros_like(array)
    here = [slice(None)] * array.ndim
    here[axis] = index
    out[tuple(here)] = array[tuple(here)]
    return out


def products(e: Evidence) -> Any:
    """A factor too many or too few: one number per index of an axis, or another array of the same shape."""
    for name in vectors(e):
        for axis in range(e.right.ndim):
            what = _letter(e.axes, axis)
            for power, words in ((1, "times"), (-1, "divided by"), (2, "twice times")):
                yield Hypothesis(
                    f"vector:{name}:{axis}:{power}",
                    f"{{name}} {words} {name}, per {what}",
                    lambda e, n=name, a=axis, p=power: _by_vector(e, n, a, p),
                )
    for name in known_arrays(e):
        for power, words in ((1, "times"), (-1, "divided by")):
            yield Hypothesis(
                f"array:{name}:{power}",
                f"{{name}} {words} {name}, element by element",
                lambda e, n=name, p=power: _by_array(e, n, p),
            )
    yield Hypothesis("rounded", "{name} rounded to a few decimals", _rounded, False)
    yield Hypothesis("absolute", "the absolute values of {name}", lambda e: np.abs(e.right))
    yield Hypothesis("clipped:0", "{name} with its negative numbers set to 0", lambda e: np.maximum(e.right, 0))
    yield Hypothesis("clipped:1", "{name} clipped to the range -1 to 1", lambda e: np.clip(e.right, -1, 1), False)
    yield Hypothesis("clipped:own", "{name} clipped to a smaller range", _clipped, False)
    yield Hypothesis("signs", "the signs of {name}, all of size 1", lambda e: np.sign(e.right))
    yield Hypothesis("squared", "the squares of {name}", lambda e: e.right**2)
    yield Hypothesis("inverse", "one over {name}", lambda e: 1 / e.right)


def _clipped(e):
    """The right array clipped at the largest of yours, where at least two elements reach it."""
    limit = np.abs(e.yours).max()
    if np.count_nonzero(np.abs(e.yours) >= limit * (1 - 1e-12)) < 2 and e.failed:
        return None
    return np.clip(e.right, -limit, limit)


def _rounded(e):
    """The right array with as many decimals as yours has."""
    decimals = next((k for k in range(7) if np.array_equal(np.round(e.yours, k), e.yours)), None)
    return None if decimals is None else np.round(e.right, decimals)


def _by_vector(e, name, axis, power):
    vector = vectors(e)[name]
    if axis >= e.right.ndim or len(vector) != e.right.shape[axis]:
        return None
    return e.right * along(vector, axis, e.right.ndim) ** float(power)


def _by_array(e, name, power):
    array = known_arrays(e)[name]
    if array.shape != e.right.shape:
        return None
    if power > 0:
        return e.right * array
    return np.divide(e.right, array, out=np.zeros_like(e.right), where=array != 0)


def terms(e: Evidence) -> Any:
    """A term too many or too few: yours - right is a known array, with a factor or without."""
    for name in known_arrays(e):
        yield Hypothesis(
            f"term:{name}", f"{{name}} plus {name}", lambda e, n=name: _plus(e, known_arrays(e)[n], 1), False
        )
        yield Hypothesis(
            f"term:-{name}", f"{{name}} minus {name}", lambda e, n=name: _plus(e, known_arrays(e)[n], -1), False
        )
    for name in vectors(e):
        for axis in range(e.right.ndim):
            what = _letter(e.axes, axis)
            for sign, words in ((1, "plus"), (-1, "minus"), (-2, "minus twice")):
                yield Hypothesis(
                    f"vterm:{name}:{axis}:{sign}",
                    f"{{name}} {words} {name}, per {what}",
                    lambda e, n=name, a=axis, s=sign: _plus(e, vectors(e)[n], s, a),
                    False,
                )
    for name in e.others:
        yield Hypothesis(f"plus:{name}", f"{{name}} plus {name}", lambda e, n=name: _plus(e, e.others[n], 1), False)


def leaks(e: Evidence) -> Any:
    """A known array that shines through with a constant weight: yours - right = c · array, or c · array on one side."""
    if e.argument == "dx" and "weight" in e.probe.names and e.probe.backward is not None:
        yield Hypothesis(
            "leak:weight-updated",
            "{name}, but from weights that had already taken a step of {c} times dweight: compute dx first, then "
            "change them",
            _from_step,
        )
    for name in known_arrays(e):
        yield Hypothesis(f"leak:{name}", f"{{name}} plus {{c}} times {name}", lambda e, n=name: known_arrays(e)[n])
        for other in known_arrays(e):
            for sign, words in ((1, "> 0"), (-1, "< 0")):
                yield Hypothesis(
                    f"leak:{name}:{other}{words}",
                    f"{{name}} plus {{c}} times {name} where {other} {words}",
                    lambda e, n=name, o=other, s=sign: _side(e, n, o, s),
                )


def _from_step(e):
    """dx with dweight in place of weight: dx is linear in weight, so this is what a step adds to it."""
    k = e.probe.names.index("weight")
    moved = (*e.probe.inputs[:k], e.probe.truth[k], *e.probe.inputs[k + 1 :])
    return np.asarray(e.probe.backward(moved, e.probe.options, e.probe.dy)[0])


def _side(e, name, other, sign):
    arrays = known_arrays(e)
    return np.where(sign * arrays[other] > 0, arrays[name], 0.0) if arrays[name].shape == arrays[other].shape else None


def pairs(e: Evidence) -> Any:
    """Two known arrays multiplied, or one where the other is positive or negative."""
    names = list(known_arrays(e))
    for name, other in itertools.product(names, names):
        if name <= other:
            yield Hypothesis(
                f"product:{name}:{other}", f"{name} times {other}", lambda e, n=name, o=other: _product(e, n, o)
            )
        for sign, words in ((1, "> 0"), (-1, "< 0")):
            yield Hypothesis(
                f"side:{name}:{other}{words}",
                f"{name} where {other} {words}, and 0 elsewhere",
                lambda e, n=name, o=other, s=sign: _side(e, n, o, s),
            )


def _product(e, name, other):
    arrays = known_arrays(e)
    return arrays[name] * arrays[other] if arrays[name].shape == arrays[other].shape else None


def _plus(e, array, sign, axis=None):
    if axis is not None:
        if len(array) != e.right.shape[axis]:
            return None
        return e.right + sign * along(array, axis, e.right.ndim)
    return e.right + sign * array if array.shape == e.right.shape else None


def copies(e: Evidence) -> Any:
    """Not this gradient at all: another argument's, an input, the upstream gradient, the output."""
    for name in e.others:
        yield Hypothesis(
            f"other:{name}",
            f"{name}: this is the gradient of another argument, so the gradients may be returned in the wrong order",
            lambda e, n=name: e.others[n],
        )
    for name in known_arrays(e):
        yield Hypothesis(f"copy:{name}", f"{name} itself", lambda e, n=name: known_arrays(e)[n])
        yield Hypothesis(
            f"positive:{name}",
            f"1 where {name} > 0 and 0 elsewhere",
            lambda e, n=name: (known_arrays(e)[n] > 0).astype(float),
        )


def masks(e: Evidence) -> Any:
    """Zero where it must not be: right wherever some known array has one sign, zero elsewhere."""
    for name in known_arrays(e):
        for test, words in ((1, "> 0"), (-1, "< 0")):
            yield Hypothesis(
                f"masked:{name}{words}",
                f"{{name}} where {name} {words}, and 0 elsewhere",
                lambda e, n=name, t=test: _masked(e, known_arrays(e)[n], t),
            )


def _masked(e, array, sign):
    return np.where(sign * array > 0, e.right, 0.0) if array.shape == e.right.shape else None


GROUPS = (plain, copies, reductions, products, masks, terms, pairs, shifts)


def shape_story(evidences: Sequence[Evidence]) -> Any:
    """Why a shape is wrong, tested on every probe: (id, words) or None.

    A sum that was not taken, an image that was not cropped, an axis too many, a sum too far, other axes."""
    shaped = [e for e in evidences if e.yours is not None]
    if not shaped:
        return None
    for identifier, words, test in _shape_tests(shaped[0]):
        if all(_holds(test, e) for e in shaped):
            return identifier, words
    return None


def _holds(test, e):
    try:
        return bool(test(e))
    except (ValueError, IndexError, TypeError, KeyError):
        return False


def _shape_tests(first):
    yours, right = first.yours, first.right
    for count in range(1, yours.ndim + 1):
        for axes in itertools.combinations(range(yours.ndim), count):
            left = [s for a, s in enumerate(yours.shape) if a not in axes]
            if left == list(right.shape) or (count == yours.ndim - right.ndim):
                listed = ", ".join(map(str, axes))
                if all(yours.shape[a] == 1 for a in axes):
                    yield (
                        "axis_too_many",
                        f"the numbers are right, but an axis of length 1 is left over (axis "
                        f"{listed}): drop it, or reshape to the shape of the input",
                        lambda e, a=axes: same(e.yours.sum(a), e.right, e.tolerance),
                    )
                yield (
                    "not_summed",
                    f"it was not summed: added up over axis {listed}, yours is right",
                    lambda e, a=axes: same(e.yours.sum(a), e.right, e.tolerance),
                )
    for count in range(1, right.ndim + 1):
        for axes in itertools.combinations(range(right.ndim), count):
            listed = ", ".join(map(str, axes))
            yield (
                "summed_too_far",
                f"it was summed too far: yours is the right one added up over axis {listed}",
                lambda e, a=axes: same(np.squeeze(e.yours), np.squeeze(e.right.sum(a)), e.tolerance),
            )
            yield (
                "averaged_away",
                f"it was averaged too far: yours is the right one averaged over axis {listed}",
                lambda e, a=axes: same(np.squeeze(e.yours), np.squeeze(e.right.mean(a)), e.tolerance),
            )
    for perm in itertools.permutations(range(right.ndim)):
        if perm != tuple(range(right.ndim)):
            yield (
                "transposed",
                f"its axes are swapped: yours is the right one after .transpose{perm}",
                lambda e, p=perm: same(e.yours, e.right.transpose(p), e.tolerance),
            )
    yield (
        "not_cropped",
        "the padding is still around it: cut out from [pad_h, pad_w], yours is right",
        lambda e: same(_inner(e), e.right, e.tolerance),
    )
    yield (
        "not_reshaped",
        "the numbers are right and in the right order, only the shape is not: reshape to the shape of the input",
        lambda e: same(e.yours.ravel(), e.right.ravel(), e.tolerance),
    )


def _inner(e):
    padding = e.probe.options["padding"]
    ph, pw = (padding, padding) if np.ndim(padding) == 0 else padding
    return e.yours[..., ph : e.yours.shape[-2] - ph, pw : e.yours.shape[-1] - pw]
