"""Gradients that are sums of terms: how much of each term is in what was returned.

The gradient of a batch-norm is a direct term, one through the mean and one through the variance; that of a softmax a
diagonal and the rest. Where yours is a sum of the same terms with other factors, on every probe and to the last digit,
each factor that is not 1 is told. This is no list of mistakes: it is the derivation, and finds which line of it is off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import reference
from .evidence import AGREE, Evidence, factor_names, finite

SPARE = 3  # numbers more than unknown factors, at least: as many would fit anything


@dataclass(frozen=True)
class Found:
    """Which terms have another factor than 1, in words."""

    id: str
    words: str


def _batchnorm(inputs, options, dy):
    x, axes = inputs[0], (0, 2, 3)
    sigma = np.sqrt(x.var(axes, keepdims=True) + options["eps"])
    xhat = (x - x.mean(axes, keepdims=True)) / sigma
    front = inputs[1][:, None, None] / sigma
    yield "the direct term, dy", front * dy
    yield "the term through the mean", -front * np.broadcast_to(dy.mean(axes, keepdims=True), x.shape)
    yield "the term through the variance", -front * xhat * (dy * xhat).mean(axes, keepdims=True)


def _softmax(inputs, options, dy):
    y = reference.softmax(inputs[0])
    yield "the diagonal of the Jacobian, y(1 - y)", y * (1 - y) * dy
    yield "what lies beside the diagonal, -y_i·y_j", -y * ((dy * y).sum(1, keepdims=True) - dy * y)


def _cross_entropy(inputs, options, dy):
    p = reference.softmax(inputs[0])
    hot = np.eye(p.shape[1])[inputs[1]]
    yield "the softmax", p * dy / len(p)
    yield "the one-hot", -hot * dy / len(p)


def _convolution(inputs, options, dy):
    x, weight, bias = inputs
    yield "the sum over the window", reference.conv2d(x, weight, 0 * bias, **options)
    yield "the bias", reference.conv2d(x, 0 * weight, bias, **options)


def _linear(inputs, options, dy):
    x, weight, bias = inputs
    yield "the product with weight", x @ weight.T
    yield "the bias", np.broadcast_to(bias, (len(x), len(bias)))


def _normalised(inputs, options, dy):
    x, weight, bias = inputs
    zero = np.zeros_like(bias)
    yield "weight·x̂", reference.batchnorm_train(x, weight, zero, options["eps"])
    yield "the bias", np.broadcast_to(bias[:, None, None], x.shape)


@dataclass(frozen=True)
class Sum:
    """The terms of one argument of an op; with `per`, each index of that axis may have factors of its own."""

    terms: Callable[..., Any]
    per: int | None = None


SUMS = {
    ("batchnorm_train", "dx"): Sum(_batchnorm, per=1),
    ("batchnorm_train", "y"): Sum(_normalised),
    ("softmax", "dx"): Sum(_softmax),
    ("cross_entropy", "dlogits"): Sum(_cross_entropy),
    ("conv2d", "y"): Sum(_convolution),
    ("linear", "y"): Sum(_linear),
}


def found(name: str, evidences: Sequence[Evidence]) -> Found | None:
    """The terms of `name` that yours has with another factor, the same named one on every probe; None if that is not
    what is wrong."""
    known = SUMS.get((evidences[0].probe.op, name))
    if known is None:
        return None
    told, identifiers = [], []
    fits = [(e, *_fit(known, e)) for e in evidences if finite(e) and _enough(known, e)]
    if not fits or any(factors is None for _, factors, _ in fits):
        return None
    for k, words in enumerate(fits[0][2]):
        factor = _named([(e, factors[k]) for e, factors, _ in fits])
        if factor is None:
            return None
        if factor != "1":
            told.append(f"{words} is missing" if factor == "0" else f"{words} is multiplied by {factor}")
            identifiers.append(f"{k}:{factor}")
    if not told:
        return None
    return Found("terms:" + ",".join(identifiers), " and ".join(told))


def _enough(known, e):
    """False for a probe with so few numbers that any answer would be a sum of the terms."""
    count = e.right.size if known.per is None else e.right.size // e.right.shape[known.per]
    return count >= SPARE + len(list(known.terms(e.probe.inputs, e.probe.options, e.probe.dy)))


def _fit(known, e):
    """(factors of each term, one for each index of the axis; the names of the terms), or (None, ()) without a fit."""
    named = list(known.terms(e.probe.inputs, e.probe.options, e.probe.dy))
    terms = [np.asarray(t, dtype=np.float64) for _, t in named]
    groups = range(e.right.shape[known.per]) if known.per is not None else (None,)
    columns = []
    for g in groups:
        parts = [t if g is None else np.take(t, g, known.per) for t in (*terms, e.yours)]
        basis, yours = np.stack([p.ravel() for p in parts[:-1]], 1), parts[-1].ravel().astype(np.float64)
        size = np.abs(basis).max(0)
        if not size.all():
            return None, ()
        solved, _, rank, _ = np.linalg.lstsq(basis / size, yours, rcond=None)
        solved = solved / size
        rest = np.abs(basis @ solved - yours).max()
        if rank < len(terms) or rest > max(e.tolerance, AGREE) * max(np.abs(yours).max(), 1e-300):
            return None, ()
        columns.append(solved)
    return np.array(columns).T, [words for words, _ in named]


def _named(seen):
    """The name of a factor that is one number on every probe, or a power of each channel's σ; None without a name."""
    constants = [(e, float(f.mean())) for e, f in seen]
    if all(np.ptp(f) <= 1e-6 * max(1.0, np.abs(f).max()) for _, f in seen):
        if all(abs(c) <= 1e-7 for _, c in constants):
            return "0"
        names = factor_names([e for e, _ in constants], [c for _, c in constants])
        return " or ".join(names[:3]) if names else None
    for power, words in ((1, "σ"), (-1, "1/σ"), (2, "σ²"), (-2, "1/σ²"), (3, "σ³"), (4, "σ⁴"), (-3, "1/σ³")):
        if all(np.allclose(f, _sigma(e) ** float(power), rtol=1e-6, atol=0) for e, f in seen):
            return words
    return None


def _sigma(e):
    return np.sqrt(e.probe.inputs[0].var((0, 2, 3)) + e.probe.options["eps"])
