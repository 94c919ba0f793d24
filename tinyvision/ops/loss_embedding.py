"""Losses that place pictures in a space: one class close together, different classes apart."""

import math
from typing import Any

import numpy as np

from .. import blocks
from ..errors import DtypeError, OptionError
from ..types import Array, Gradients, Needs
from .checks import as_array, check_arrays, check_devices, shape_error

LEAST_SINE = 1e-3  # of an angle by which a slope divides: a picture that is its class's centre has no direction to go
LEAST_DISTANCE = 1e-12


def arcface_forward(x: Array, labels: Array, margin: float = 0.5, scale: float = 30.0) -> tuple[Array, Any]:
    """y = scale · cos(θ + margin) at a row's own class, scale · x elsewhere, where x = cos θ (Deng et al., 2019).

    x (N, K) cosines of N pictures with K classes' centres, labels (N,) integers  ->  y (N, K), cache; y goes into a
    cross-entropy. The own class has to win although it is held back by an angle. Beyond θ = π - margin the cosine would
    rise again; there y = scale · (x - margin · sin(margin)), which falls on. Raises ShapeError, DtypeError, OptionError
    and names a label that is no class."""
    check_arrays("arcface", x=x)
    labels = _checked_labels("arcface", x, labels)
    if not 0 <= margin < math.pi / 2 or not scale > 0:
        raise OptionError(
            f"arcface: margin is an angle from 0 to below π/2 and scale positive, got {margin!r} and {scale!r}"
        )
    if labels.size and bool(((labels < 0) | (labels >= x.shape[1])).any()):
        raise OptionError(f"arcface: labels must be from 0 to {x.shape[1] - 1}, got {int(labels.min())} to "
                          f"{int(labels.max())}")  # fmt: skip
    own = labels[:, None] == np.arange(x.shape[1], like=labels)
    cosine = np.clip(x, -1, 1)
    sine = np.sqrt(1 - cosine * cosine)
    near = cosine > -math.cos(margin)
    turned = np.where(near, cosine * math.cos(margin) - sine * math.sin(margin), x - margin * math.sin(margin))
    return np.where(own, turned, x) * x.dtype.type(scale), (cosine, sine, own, near, margin, scale)


def arcface_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dx = scale · dy, at the own class times d cos(θ + m) / d cos θ = cos m + sin m · cos θ / sin θ   (N, K)"""
    cosine, sine, own, near, margin, scale = cache
    if not needs[0]:
        return None, None
    slope = math.cos(margin) + math.sin(margin) * cosine / np.maximum(sine, LEAST_SINE)
    return dy * np.where(own & near, slope, np.ones_like(slope)) * dy.dtype.type(scale), None


def triplet_forward(x: Array, labels: Array, margin: float = 0.2) -> tuple[Array, Any]:
    """y = mean over anchors of max(0, margin + d(furthest of its class) - d(nearest of another)), d = |x_i - x_j|.

    x (N, E), labels (N,) integers  ->  y (), cache. Every row that has both is an anchor with the hardest triplet of
    the batch (Hermans et al., 2017); without any, y is 0. Of equal distances the first counts. Raises ShapeError,
    DtypeError, OptionError."""
    check_arrays("triplet", x=x)
    labels = _checked_labels("triplet", x, labels)
    if not margin >= 0:
        raise OptionError(f"triplet: margin must be 0 or more, got {margin!r}")
    same = labels[:, None] == labels[None]
    itself = np.arange(len(x), like=labels)[:, None] == np.arange(len(x), like=labels)
    squares = (x * x).sum(axis=1)
    apart = squares[:, None] + squares[None] - 2 * blocks.product(x, x.T)  # |a - b|² = |a|² + |b|² - 2ab: to choose by
    far = np.where(same & ~itself, apart, np.full_like(apart, -np.inf)).argmax(axis=1)
    near = np.where(same, np.full_like(apart, -np.inf), -apart).argmax(axis=1)
    anchors = (same & ~itself).any(axis=1) & ~same.all(axis=1)
    to_far, to_near = (np.sqrt(((x - x[other]) ** 2).sum(axis=1)) for other in (far, near))
    loss = np.where(anchors, margin + to_far - to_near, np.zeros_like(to_far))
    count = np.maximum(anchors.astype(x.dtype).sum(), 1)
    y = np.maximum(loss, 0).sum() / count
    return as_array(y), (x, far, near, to_far, to_near, (loss > 0) & anchors, count)


def triplet_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dx_i = dy / count · Σ_j s_ij (x_i - x_j), s symmetric: 1 / d for an anchor and its furthest, -1 / d for its
    nearest, as d|a - b| / da = (a - b) / |a - b| and what moves a moves b the other way.

    All rows at once: dx = (Σ_j s_ij) x_i - Σ_j s_ij x_j."""
    x, far, near, to_far, to_near, active, count = cache
    if not needs[0]:
        return None, None
    places = np.arange(len(x), like=far)
    share = np.where(active, dy / count, np.zeros_like(to_far))
    drawn, pushed = (
        (other[:, None] == places) * (share / np.maximum(distance, LEAST_DISTANCE))[:, None]
        for other, distance in ((far, to_far), (near, to_near))
    )
    s = drawn - pushed  # (N, N), a row for each anchor
    s = s + s.T
    return s.sum(axis=1)[:, None] * x - blocks.product(s, x), None


def _checked_labels(op: str, x: Array, labels: Array) -> Array:
    check_devices(op, x=x, labels=labels)
    if x.ndim != 2 or labels.shape != x.shape[:1] or 0 in x.shape:
        raise shape_error(op, "x (N, ...) and labels (N,) do not fit", x=("(N, ...)", x), labels=("(N,)", labels))
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"{op}: labels must be class numbers (integers), got {labels.dtype}")
    return labels
