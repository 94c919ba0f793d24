"""What many numbers make together: sums, products, extremes, norms and truths, over all axes or along some."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..ops.checks import axes_of, is_integer, one_axis
from ..sharing import note_derived
from ..tape import NOTHING, Variable, differentiable
from ..types import Axes, DType
from . import taped
from .arranging import cat, narrow
from .conversion import cast
from .elementwise import floating, magnitude, maximum, minimum
from .extremes import Range, extremes
from .writing import nobodys_view

if TYPE_CHECKING:
    from .tensor import Tensor


def whole(x: Tensor) -> Tensor:
    """Truth values and short integers as int64, in which they are added up and multiplied."""
    return x if x.dtype.kind == "f" or x.dtype == np.int64 else x.to(np.int64)


def _in(reduce, x, dtype, *options):
    """What `reduce` makes of x in another dtype: short integers wrap as they would if they were added up themselves."""
    x = x.to(dtype=dtype)
    return reduce(x, *options).to(x.dtype)


def sum(x: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum over all axes, or over `dim` (one or several): of whole numbers and truth values int64, or in dtype."""
    if dtype is not None:
        return _in(sum, x, dtype, dim, keepdim)
    return taped.sum(whole(x), axis=_all_if_none(dim), keepdims=keepdim)


def mean(x: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean over all axes, or over `dim` (one or several)."""
    return taped.mean(x if dtype is None else x.to(dtype), axis=_all_if_none(dim), keepdims=keepdim)


def _all_if_none(dim):
    return None if isinstance(dim, (tuple, list)) and not dim else dim


def _place(what, x, dim):
    """x with an axis at least, and which one is meant."""
    x = x if x.ndim else x.reshape(1)
    axis = one_axis(what, x, dim)
    if not x.shape[axis]:
        raise ShapeError(f"{what}: there is nothing along axis {dim} of {x.shape}")
    return x, axis


def _argument(what, x, dim, keepdim, find):
    if dim is None:
        if not x.numel():
            raise ShapeError(f"{what}: there is nothing in {x.shape}")
        found = np.asarray(find(x.array, axis=None), np.int64, like=x.array)
        return x.like(found.reshape((1,) * x.ndim) if keepdim else found)
    wide, axis = _place(what, x, dim)
    found = np.asarray(find(wide.array, axis=axis), np.int64, like=x.array)
    return x.like(np.expand_dims(found, axis) if keepdim and x.ndim else found)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the (first) largest number is, over all axes flattened or along `dim`; nan is larger than any."""
    return _argument("argmax", x, dim, keepdim, np.argmax)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the (first) smallest number is, over all axes flattened or along `dim`; nan is smaller than any."""
    return _argument("argmin", x, dim, keepdim, np.argmin)


def _extreme(what, x, dim, keepdim, argument):
    """The number at the place that `argument` finds along `dim`, which alone gets the gradient, and that place."""
    wide, axis = _place(what, x, dim)
    places = argument(wide, axis, keepdim=True)
    values = wide.gather(axis, places)
    found = extremes(what, values, places)
    return found if keepdim and x.ndim else found.squeezed(axis)


def max(x: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest number (equal ones share its gradient); with `dim`, (values, indices) along that axis, where the
    first gets the gradient; with another tensor, the larger of two number by number."""
    other = dim if isinstance(dim, Variable) else other
    if other is not None:
        return maximum(x, other)
    return _of_all(x, amax) if dim is None else _extreme("max", x, dim, keepdim, argmax)


def min(x: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest number (equal ones share its gradient); with `dim`, (values, indices) along that axis, where the
    first gets the gradient; with another tensor, the smaller of two number by number."""
    other = dim if isinstance(dim, Variable) else other
    if other is not None:
        return minimum(x, other)
    return _of_all(x, amin) if dim is None else _extreme("min", x, dim, keepdim, argmin)


def _of_all(x, extreme):
    """The extreme number of all; nan, if that is it, gets the gradient."""
    if x.dtype.kind != "f":
        return extreme(x)
    return taped.max(x) if extreme is amax else note_derived(-taped.max(-x), x)


def _spread(op, x, dim, unbiased, keepdim, correction):
    if isinstance(dim, bool):  # the old spelling: std(False)
        dim, unbiased = None, dim
    what, axes = op.__name__, axes_of(op.__name__, x, _all_if_none(dim))
    correction = int(unbiased) if correction is None else correction
    count = math.prod(x.shape[a] for a in axes)
    if count <= correction:
        if count > 1:
            raise ShapeError(f"{what}: of {count} numbers there is no variance with a correction of {correction}")
        few = "a single number has" if count else "nothing has"
        hint = "; use unbiased=False" if count else ""
        warnings.warn(f"{what}: {few} no variance, so it is nan{hint}", stacklevel=3)
    return op(x, axis=axes, keepdims=keepdim, correction=correction)


def var(
    x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The variance over all axes or over `dim`: the squares are divided by n - 1, or with unbiased=False by n, or with
    a correction by n - correction."""
    return _spread(taped.var, x, dim, unbiased, keepdim, correction)


def std(
    x: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The square root of `var`. Where all numbers are equal, its gradient is 0."""
    return _spread(taped.std, x, dim, unbiased, keepdim, correction)


def softmax(x: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`."""
    return _along(taped.softmax, x if dtype is None else x.to(dtype), dim)


def log_softmax(x: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """x - log Σ exp(x) along `dim`."""
    return _along(taped.log_softmax, x if dtype is None else x.to(dtype), dim)


def _along(op, x, dim):
    """The op along an axis; a single number counts as one with one axis."""
    return op(x, axis=dim) if x.ndim else nobodys_view(op(x.reshape(1), axis=dim).reshape(()))


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The product over all axes, or over `dim`; of whole numbers and truth values as int64, or in dtype."""
    if dtype is not None:
        return _in(prod, x, dtype, dim, keepdim)
    x = whole(x)
    if x.dtype.kind == "f":
        return taped.prod(x, axis=dim, keepdims=keepdim)
    axes = axes_of("prod", x, dim)
    return x.like(np.asarray(np.prod(x.array, axis=axes, keepdims=keepdim), like=x.array))


def cumsum(x: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """The running sum along `dim`; of whole numbers and truth values as int64, or in dtype."""
    if dtype is not None:
        return _in(cumsum, x, dtype, dim)
    x = whole(x)
    if not x.ndim:
        one_axis("cumsum", x.reshape(1), dim)
        return x.clone()
    if x.dtype.kind == "f":
        return taped.cumsum(x, axis=dim)
    return x.like(np.cumsum(x.array, axis=one_axis("cumsum", x, dim)))


def cumprod(x: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """The running product along `dim`; of whole numbers and truth values as int64, or in dtype."""
    if dtype is not None:
        return _in(cumprod, x, dtype, dim)
    x = whole(x)
    if not x.ndim:
        one_axis("cumprod", x.reshape(1), dim)
        return x.clone()
    if x.dtype.kind == "f":
        return taped.cumprod(x, axis=dim)
    return x.like(np.cumprod(x.array, axis=one_axis("cumprod", x, dim)))


def diff(x: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """Every number less the one before it along `dim`, n times over; of truth values, where they change.

    `prepend` and `append` are put before and behind x first. Raises OptionError, ShapeError."""
    if not is_integer(n) or n < 0:
        raise OptionError(f"diff: n must be an integer of 0 or more, got {n!r}")
    if not x.ndim:
        raise ShapeError("diff: x is a single number, which has no neighbours")
    axis = one_axis("diff", x, dim)
    parts = [part for part in (prepend, x, append) if part is not None]
    y = (
        (cat(parts, axis) if len(parts) > 1 else x) if n else x.clone()
    )  # x itself where it has no numbers, as PyTorch's
    for _ in range(n):
        rest = y.shape[axis] - 1
        if rest < 0:
            break
        before, after = narrow(y, axis, 0, rest), narrow(y, axis, 1, rest)
        y = after != before if y.dtype == bool else after - before
    return y


def logsumexp(x: Tensor, dim: Axes, keepdim: bool = False) -> Tensor:
    """log Σ exp(x) along `dim`, computed without overflow."""
    return taped.logsumexp(floating(x), axis=dim, keepdims=keepdim)


def amax(x: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """The largest number over `dim`, several or (by default) all; ties share the gradient.

    Where that is nan, all get nan for a gradient; in `max`, nan alone gets it."""
    axes = _all_if_none(dim)
    if x.dtype.kind == "f":
        return taped.max(x, axis=axes, keepdims=keepdim, nan_wins=False)
    axes = axes_of("amax", x, axes)
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"amax: there is no largest number along {axes} of {x.shape}")
    return x.like(np.asarray(x.array.max(axis=axes, keepdims=keepdim), like=x.array))


def amin(x: Tensor, dim: Axes = (), keepdim: bool = False) -> Tensor:
    """The smallest number over `dim`, several or (by default) all; ties share the gradient."""
    if x.dtype.kind == "f":
        return note_derived(-amax(-x, dim, keepdim), x)
    return ~amax(~x, dim, keepdim)  # turns the order round for every integer, the least one too


def aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Range:
    """The smallest and the largest number, over all axes or along `dim`."""
    axes = () if dim is None else dim
    return Range(amin(x, axes, keepdim), amax(x, axes, keepdim))


def any(x: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether any number is not zero, over all axes or along `dim`."""
    return _truth(x, x.array.any(axis=axes_of("any", x, dim), keepdims=keepdim))


def all(x: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
    """Whether no number is zero, over all axes or along `dim`."""
    return _truth(x, x.array.all(axis=axes_of("all", x, dim), keepdims=keepdim))


def _truth(x, found):
    """Truth values: those about bytes are bytes, as PyTorch had it before it knew truth values."""
    return x.like(np.asarray(found, dtype=np.uint8 if x.dtype == np.uint8 else bool, like=x.array))


def count_nonzero(x: Tensor, dim: Axes = None) -> Tensor:
    """How many numbers are not zero, over all axes or along `dim`."""
    return (x.detach() != 0).sum(dim)


def nansum(x: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The sum of all that is not nan."""
    return x.masked_fill(x != x, 0).sum(dim, keepdim, dtype=dtype)


def nanmean(x: Tensor, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean of all that is not nan."""
    return nansum(x, dim, keepdim, dtype=dtype) / (x == x).sum(dim, keepdim)


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle number, of two the lower; with `dim`, (values, indices) along it. nan where there is one."""
    if dim is None:
        if not x.numel():
            raise ShapeError(f"median: there is no middle number in {x.shape}")
        middle = median(x.detach().reshape(-1), 0).values
        others = (x.detach() != middle) & ((x == x) | (middle == middle))
        return (
            note_derived(x.masked_fill(others, -math.inf).max(), x) if x.dtype.kind == "f" else middle
        )  # equal ones share the gradient
    axis = one_axis("median", x if x.ndim else x.reshape(1), dim)
    if not x.ndim:
        return extremes("median", x.clone(), x.like(np.zeros_like(x.array, dtype=np.int64)))
    values, order = x.sort(axis)
    numbers = (values.array == values.array).sum(axis=axis, keepdims=True)  # nan is sorted to the end
    middle = np.where(numbers < x.shape[axis], numbers, (x.shape[axis] - 1) // 2)
    place = x.like(np.asarray(middle, np.int64, like=x.array))
    values, order = values.gather(axis, place), order.gather(axis, place)
    found = extremes("median", values, order)
    return found if keepdim else found.squeezed(axis)


def cov(x: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Tensor:
    """The covariances of the rows of x (D, N), every column one observation  ->  (D, D); of one row its variance ().

    fweights (N,) says how often an observation was made, aweights (N,) how much it counts; the sum of products is
    divided by the number of observations less the correction."""
    if x.ndim > 2:
        raise ShapeError(f"cov: x is (D, N) or (N,), got {x.shape}")
    rows = floating(x.reshape(1, -1) if x.ndim < 2 else x)
    given = [
        cast(_weights(name, w, rows.shape[1], x), rows.array.dtype)
        for name, w in (("fweights", fweights), ("aweights", aweights))
        if w is not None
    ]
    weight = math.prod(given, start=rows.new_ones(rows.shape[1]))
    total = weight.sum()
    lost = correction if aweights is None else correction * (weight * given[-1]).sum() / total
    centred = rows - (rows * weight).sum(1, keepdim=True) / total
    found = (centred * weight) @ centred.t() / (total - lost).clamp(min=0)
    return found if len(rows) > 1 else found.reshape(())


def _weights(name, given, observations, x):
    """Weights of observations as a tensor (N,): counts are whole numbers, and none is negative. Raises an error of
    ours for others."""
    weights = np.asarray(getattr(given, "array", given), like=x.array)
    if weights.shape != (observations,):
        raise ShapeError(f"cov: {name} are one for each of {observations} observations, got {tuple(weights.shape)}")
    if (name == "fweights" and weights.dtype.kind not in "iu") or (weights < 0).any():
        raise OptionError(f"cov: {name} are {'whole ' if name == 'fweights' else ''}numbers, 0 or more, got {weights}")
    return given if isinstance(given, Variable) else x.like(weights)


def corrcoef(x: Tensor) -> Tensor:
    """The correlations of the rows of x (D, N), from -1 to 1  ->  (D, D), of one row ()."""
    found = cov(x)
    if not found.ndim:
        return found / found
    length = found.diagonal().sqrt()
    return (found / length.unsqueeze(1) / length).clamp(-1, 1)


# Where between two neighbours a quantile is read off: at which share of the way from the lower to the upper one.
_BETWEEN: dict[str, Callable[[Any], Any]] = {
    "linear": lambda share: share,
    "lower": lambda share: share * 0,
    "higher": lambda share: (share > 0).to(share.dtype),
    "midpoint": lambda share: (share > 0) * 0.5,
    "nearest": lambda share: share,
}


def quantile(
    x: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The number below which the share q of all lies, read off between neighbours as `interpolation` says: linearly,
    or the "lower", the "higher", the "nearest" one, or the "midpoint". Raises OptionError."""
    if interpolation not in _BETWEEN:
        raise OptionError(f"quantile: interpolation is one of {', '.join(_BETWEEN)}, got {interpolation!r}")
    if dim is None or not x.ndim:
        axis = 0 if dim is None else one_axis("quantile", x.reshape(-1), dim)
        found = quantile(x.reshape(-1), q, axis, interpolation=interpolation)
        return found.reshape(*found.shape, *(1,) * x.ndim) if keepdim else found
    axis = one_axis("quantile", x, dim)
    if x.dtype.kind != "f":
        raise OptionError(f"quantile: only floats have quantiles between them, this is {x.dtype}; use .float()")
    q = q if hasattr(q, "array") else x.like(np.asarray(q, dtype=x.dtype, like=x.array))
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise OptionError("quantile: q must be from 0 to 1")
    place = q.reshape(-1) * (x.shape[axis] - 1)
    place = place.round() if interpolation == "nearest" else place
    below = place.floor()
    values = x.sort(axis).values.movedim(axis, 0)
    share = _BETWEEN[interpolation](place - below).reshape(-1, *(1,) * (x.ndim - 1))
    found = values[below.long()].lerp(values[place.ceil().long()], share)
    numbers = (values.array == values.array).all(axis=0)
    found = taped.where(found, values[-1], condition=np.asarray(numbers, like=x.array))  # nan is sorted to the end
    found = found.unsqueeze(axis + 1) if keepdim else found
    return found if q.ndim else nobodys_view(found[0])


def var_mean(
    x: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """The variance and the mean."""
    return x.var(dim, unbiased, keepdim, **options), x.mean(dim, keepdim)


def std_mean(
    x: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean."""
    return x.std(dim, unbiased, keepdim, **options), x.mean(dim, keepdim)


def norm(x: Tensor, p: Any = "fro", dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over all axes or over `dim`: p=2 by default, ∞ the largest, 0 how many are not zero.

    Raises OptionError for the matrix norms, which need singular values."""
    x = x if dtype is None else x.to(dtype)
    if x.dtype.kind != "f":
        raise OptionError(f"norm: only floats have a norm here, this is {x.dtype}; use .float()")
    p = 2 if p in ("fro", None) else p
    if isinstance(p, (str, bool)):
        raise OptionError(f"norm: p={p!r} is not supported; p is a number, inf or 'fro'")
    axes = axes_of("norm", x, None if dim in ((), []) else dim)
    if p == math.inf:
        return note_derived(taped.max(magnitude(x), axis=axes, keepdims=keepdim), x) if axes else magnitude(x)
    if p == -math.inf:
        return note_derived(-taped.max(-magnitude(x), axis=axes, keepdims=keepdim), x) if axes else magnitude(x)
    if p == 0:
        return counted(x, axis=axes, keepdims=keepdim)
    return taped.norm(x, p=p, axis=axes, keepdims=keepdim)


# How many numbers are not zero: a step, which has nothing to tell to what is before it.
counted = differentiable(
    lambda x, axis, keepdims: (np.asarray(np.sum(x != 0, axis=axis, keepdims=keepdims), x.dtype, like=x), None),
    lambda dy, x, needs=(True,): (NOTHING,),
)
counted.__name__ = "norm"


def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """x with every slice along `dim` scaled down to the p-norm maxnorm, where its own is larger. Raises ShapeError."""
    if x.ndim < 2:
        raise ShapeError(f"renorm: slices have an axis or more, so x has two or more, not {x.ndim}")
    axis = one_axis("renorm", x, dim)
    size = norm(x, p, tuple(a for a in range(x.ndim) if a != axis), keepdim=True)
    return x * taped.where(maxnorm / (size + 1e-7), x.like(np.ones_like(size.array)), condition=size.array > maxnorm)


def dist(x: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return note_derived(norm(x - other, p), x, other)


def trace(x: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    return whole(x.diagonal()).sum()
