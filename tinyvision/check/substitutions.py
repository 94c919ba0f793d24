"""The second half of the first layer: the right formula with one ingredient replaced.

The op's own reference, or the Jacobian measured on the learner's forward, is asked what would come out if `dy` were
transposed, if padding were swapped, if x were the output, if labels were shifted. If that is what the learner has on
every probe, the ingredient is named.
"""

import itertools
from functools import partial
from typing import Any

import numpy as np

from .evidence import Evidence, Hypothesis
from .supports import geometry

Ingredient = partial(Hypothesis, ingredient=True)

# What people write into their code in place of an option: an epsilon, or the share of a dropout. The probes' own values
# are large, so that two of these differ in what they leave out.
OWN = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12, 0.5)

_PLURAL = {
    "N": "samples",
    "C": "channels",
    "O": "channels",
    "H": "rows",
    "W": "columns",
    "K": "classes",
    "I": "features",
}


def _singular(what):
    """One of them: "image" of "images", "entry of axis 0" of "entries of axis 0"."""
    known = {"classes": "class", "entries": "entry"}
    first, space, rest = what.partition(" ")
    return known.get(first, first[:-1] if first.endswith("s") else first) + space + rest


def _changes(array, axes, output):
    """(id, words, function) for ways an array may have been misused; `words` completes "when NAME is ..."."""
    nd = np.ndim(array)
    if nd == 0:
        yield "ones", "ignored (taken as 1)", np.ones_like
        yield "absolute", "taken without its sign", np.abs
        return
    yield "ones", "taken as all ones" + (": it is never used" if output else ""), np.ones_like
    yield "absolute", "taken without its sign", np.abs
    yield "positive", "0 wherever it is negative", lambda a: np.maximum(a, 0.0)
    yield "negative", "0 wherever it is positive", lambda a: np.minimum(a, 0.0)
    yield "zeros", "taken as 0", np.zeros_like
    for axis in range(nd):
        yield from _along_axis(axis, axes)
    if nd == 4:
        yield (
            "first-position",
            "only its first position (row 0, column 0), 0 elsewhere",
            lambda a: _keep(_keep(a, 2, 0), 3, 0),
        )
        yield (
            "last-position",
            "only its last position (last row, last column), 0 elsewhere",
            lambda a: _keep(_keep(a, 2, -1), 3, -1),
        )
        yield "rotated", "turned by 180°", lambda a: np.flip(a, (2, 3))
        for index, one in ((0, "first"), (-1, "last")):
            yield (
                f"{one}-of-all",
                f"only the {one} position of the {one} image, 0 elsewhere",
                lambda a, k=index: _keep(_keep(_keep(a, 0, k), 2, k), 3, k),
            )
        yield (
            "spatial-mean",
            "averaged over rows and columns",
            lambda a: np.broadcast_to(a.mean((2, 3), keepdims=True), a.shape).copy(),
        )
    yield from _reordered(nd, axes)
    yield "negated", "taken with the other sign", np.negative
    yield "squared", "squared", np.square
    yield "sign", "reduced to its signs", np.sign


def _along_axis(axis, axes):
    """Those of `_changes` that treat one axis wrongly: mirrored, moved on, a part left out or repeated."""
    what = _PLURAL.get(axes[axis], "entries") if axis < len(axes) else f"entries of axis {axis}"
    one = _singular(what)
    yield f"flip:{axis}", f"mirrored, its {what} in reverse order", lambda a, k=axis: np.flip(a, k)
    yield f"first:{axis}", f"only its first {one}, 0 elsewhere", lambda a, k=axis: _keep(a, k, 0)
    yield f"last:{axis}", f"only its last {one}, 0 elsewhere", lambda a, k=axis: _keep(a, k, -1)
    yield f"no-first:{axis}", f"without its first {one}", lambda a, k=axis: a - _keep(a, k, 0)
    yield f"no-last:{axis}", f"without its last {one}", lambda a, k=axis: a - _keep(a, k, -1)
    yield (
        f"mean:{axis}",
        f"averaged over its {what}",
        lambda a, k=axis: np.broadcast_to(a.mean(k, keepdims=True), a.shape).copy(),
    )
    yield (
        f"all-first:{axis}",
        f"its first {one}, repeated",
        lambda a, k=axis: np.repeat(np.take(a, [0], k), a.shape[k], k),
    )
    yield (
        f"all-last:{axis}",
        f"its last {one}, repeated",
        lambda a, k=axis: np.repeat(np.take(a, [-1], k), a.shape[k], k),
    )
    yield f"roll:{axis}", f"moved on by one, its {what} rolled", lambda a, k=axis: np.roll(a, 1, k)
    yield f"roll-back:{axis}", f"moved back by one, its {what} rolled", lambda a, k=axis: np.roll(a, -1, k)
    yield f"centred:{axis}", f"centred over its {what} first", lambda a, k=axis: a - a.mean(k, keepdims=True)


def _reordered(nd, axes):
    """Those of `_changes` that confuse axes: two swapped, or numbers read or written in the order of other axes."""
    for i, j in itertools.combinations(range(nd), 2):
        letters = f"{axes[i]} and {axes[j]}" if max(i, j) < len(axes) else f"axes {i} and {j}"
        yield f"swap:{i}{j}", f"transposed, {letters} swapped", lambda a, i=i, j=j: np.swapaxes(a, i, j)
    for perm in itertools.permutations(range(nd)):
        if nd <= 4 and perm != tuple(range(nd)):
            order = ", ".join(axes[p] if p < len(axes) else str(p) for p in perm)
            yield (
                f"misread:{''.join(map(str, perm))}",
                f"read as if its axes were ordered ({order}): reshape without the transpose it needs",
                lambda a, p=perm: a.reshape([a.shape[q] for q in p]).transpose(np.argsort(p)),
            )
            yield (
                f"miswritten:{''.join(map(str, perm))}",
                f"put in the order ({order}) and then given its old shape by reshape",
                lambda a, p=perm: a.transpose(p).reshape(a.shape),
            )


def _keep(a, axis, index):
    out = np.zeros_like(a)
    here = [slice(None)] * a.ndim
    here[axis] = index
    out[tuple(here)] = a[tuple(here)]
    return out


def _integers(array):
    yield "shifted:1", "one too large", lambda a, k: (a + 1) % k
    yield "shifted:-1", "one too small", lambda a, k: (a - 1) % k
    yield "first", "all the first one", lambda a, k: np.full_like(a, a[0])
    yield "reversed", "in reverse order", lambda a, k: a[::-1].copy()


def upstream(e: Evidence) -> Any:
    """The right formula with another dy."""
    for identifier, words, change in _changes(e.probe.dy, e.probe.output_axes, True):
        yield Ingredient(
            f"dy:{identifier}",
            f"what the right formula gives when dy is {words}",
            lambda e, c=change: e.probe.gradient(_fit(c, e.probe.dy))[e.position],
        )

    for name, array in (*zip(e.probe.names, e.probe.inputs, strict=True), ("y, the output", e.probe.y)):
        if np.shape(array) == np.shape(e.probe.dy) and np.asarray(array).dtype.kind == "f" and np.ndim(array):
            yield Ingredient(
                f"dy:times:{name[:1] if name[:1] == 'y' else name}",
                f"what the right formula gives when dy is multiplied by {name} first",
                lambda e, n=name: e.probe.gradient(e.probe.dy * _named(e, n))[e.position],
            )
    if "stride" in e.probe.options and e.probe.output_axes[-2:] == "HW" and np.ndim(e.probe.inputs[0]) == 4:
        yield from _unreached(e)
    if e.probe.output_axes == "NOHW":
        yield from _rows_reordered()


def _named(e, name):
    return dict(zip(e.probe.names, e.probe.inputs, strict=True)).get(name, e.probe.y)


def _unreached(e):
    """Loops that end one place early: no window reaches the last row or column of the (padded) image."""
    for axes, words in (((0, 1), "last row and the last column"), ((0,), "last row"), ((1,), "last column")):
        yield Ingredient(
            f"dy:unreached:{''.join('HW'[a] for a in axes)}",
            f"what the right formula gives without the windows that reach the {words} of the image: a loop that ends "
            "one place early, range(H - KH) in place of range(H - KH + 1)",
            lambda e, a=axes: e.probe.gradient(_short_of_the_end(e, a))[e.position],
        )


def _short_of_the_end(e, axes):
    """dy with 0 for the windows that end with the padded image, down (0), across (1) or both."""
    g = geometry(e.probe.inputs, e.probe.options)
    out = np.array(e.probe.dy)
    for axis in axes:
        last = out.shape[2 + axis] - 1
        if last * g.stride[axis] + g.kernel[axis] == g.size[axis] + 2 * g.padding[axis]:
            out[(slice(None),) * (2 + axis) + (last,)] = 0.0
    return out


def _rows_reordered():
    """dy flattened to rows in one order of images and positions, and read in another: columns in another order."""
    orders = list(itertools.permutations((0, 2, 3)))
    for written, read in itertools.permutations(orders, 2):
        letters = ["".join("NOHW"[a] for a in order) for order in (written, read)]
        yield Ingredient(
            f"dy:rows:{letters[0]}:{letters[1]}",
            f"what the right formula gives when the rows of dy are written in the order ({', '.join(letters[0])}) and "
            f"read in the order ({', '.join(letters[1])}), as columns of another order do",
            lambda e, w=written, r=read: e.probe.gradient(_rows(np.asarray(e.probe.dy), w, r))[e.position],
        )


def _rows(dy, written, read):
    flat = dy.transpose(1, *written).reshape([dy.shape[a] for a in (1, *read)])
    return flat.transpose(np.argsort((1, *read)))


def _fit(change, array):
    out = change(np.asarray(array))
    if out.shape != np.shape(array):
        raise ValueError("the change does not keep the shape")
    return out


def ingredients(e: Evidence) -> Any:
    """The right formula with another value of one input or one option."""
    yield from _other_axis(e)
    order = sorted(range(len(e.probe.names)), key=lambda k: np.asarray(e.probe.inputs[k]).dtype.kind == "f")
    for k in order:
        name = e.probe.names[k]
        array = e.probe.inputs[k]
        if np.asarray(array).dtype.kind == "f":
            for identifier, words, change in _changes(array, e.probe.axes[k], False):
                yield Ingredient(
                    f"{name}:{identifier}",
                    f"what the right formula gives when {name} is {words}",
                    lambda e, k=k, c=change: _with_input(e, k, _fit(c, e.probe.inputs[k])),
                )
            if e.position >= 0 and k != e.position and np.ndim(array):
                yield Ingredient(
                    f"{name}:gradient",
                    f"what the right formula gives with d{name} in the place of {name}",
                    lambda e, k=k: _with_input(e, k, e.probe.truth[k]),
                )
            if np.shape(array) == np.shape(e.probe.y):
                yield Ingredient(
                    f"{name}:y",
                    f"what the right formula gives with the output y in the place of {name}",
                    lambda e, k=k: _with_input(e, k, e.probe.y),
                    False,
                )
        elif np.asarray(array).dtype.kind == "i":
            for identifier, words, change in _integers(array):
                yield Ingredient(
                    f"{name}:{identifier}",
                    f"what the right formula gives when the {name} are {words}",
                    lambda e, k=k, c=change: _with_input(e, k, c(e.probe.inputs[k], np.shape(e.probe.inputs[0])[1])),
                )
        elif np.asarray(array).dtype.kind == "b":
            yield Ingredient(
                f"{name}:inverted",
                f"what the right formula gives when {name} is inverted",
                lambda e, k=k: _with_input(e, k, ~e.probe.inputs[k]),
            )
            yield Ingredient(
                f"{name}:ignored",
                f"what the right formula gives when {name} is not applied",
                lambda e, k=k: _with_input(e, k, np.ones_like(e.probe.inputs[k])),
            )
    for name, value in e.probe.options.items():
        yield from _options(name, value)


def _other_axis(e):
    """The whole op with two axes exchanged, there and back: a sum that runs along the wrong one."""
    if e.right.ndim == 2 and all(np.ndim(i) == 2 for i in e.probe.inputs):
        yield Ingredient(
            "other-axis",
            f"what the right formula gives along the other axis, {e.axes[0]} in the place of {e.axes[1]}"
            if len(e.axes) == 2
            else "what the right formula gives along the other axis",
            _along_the_other,
        )


def _along_the_other(e):
    inputs = tuple(np.swapaxes(i, 0, 1) for i in e.probe.inputs)
    if e.position < 0:
        return e.probe.output(inputs, e.probe.options).T
    return e.probe.backward(inputs, e.probe.options, np.swapaxes(e.probe.dy, 0, 1))[e.position].T


def _options(name, value):
    if isinstance(value, tuple) and len(value) == 2:
        yield _option(name, "swapped", "(height, width) swapped", lambda v: v[::-1])
        yield _option(name, "height", "its height for both", lambda v: (v[0], v[0]))
        yield _option(name, "width", "its width for both", lambda v: (v[1], v[1]))
    if isinstance(value, tuple) and len(value) == 2 and name == "padding":
        yield _option(name, "ignored", "(0, 0)", lambda v: (0, 0))
    if isinstance(value, tuple) and len(value) == 2 and name == "stride":
        yield _option(name, "ignored", "(1, 1)", lambda v: (1, 1))
    if isinstance(value, float):
        yield _option(name, "zero", "0", lambda v: 0.0)
        yield _option(name, "complement", f"1 - {name}", lambda v: 1.0 - v)
        yield _option(name, "squared", f"{name}²", lambda v: v * v)
        for own in OWN:
            yield _option(name, f"own:{own:g}", f"{own:g}, whatever is asked for", lambda v, own=own: own)


def _option(name, identifier, words, change):
    return Ingredient(
        f"{name}:{identifier}",
        f"what the right formula gives when {name} is {words}",
        lambda e, n=name, c=change: _with_options(e, {**e.probe.options, n: c(e.probe.options[n])}),
    )


def _with_input(e, k, array):
    inputs = (*e.probe.inputs[:k], array, *e.probe.inputs[k + 1 :])
    if e.position < 0:
        return e.probe.output(inputs, e.probe.options)
    return e.probe.backward(inputs, e.probe.options, e.probe.dy)[e.position]


def _with_options(e, options):
    if options == e.probe.options:
        return e.right
    if e.position < 0:
        return e.probe.output(e.probe.inputs, options)
    return e.probe.backward(e.probe.inputs, options, e.probe.dy)[e.position]
