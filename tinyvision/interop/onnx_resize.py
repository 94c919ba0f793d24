"""Resizing as ONNX has it: where an output lies among the inputs, times how those around it are mixed, on any axes.

What the op of our own computes alike is left to it. Anything else is, like all resizing, a product with a fixed matrix
along each axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ShapeError, WeightsError
from ..ops.resize import axis_map, cubic_kernel
from ..tensors import taped as F
from ..tensors.tensor import Tensor
from .onnx_ops import integers, plain, reads, require_size

# The place of output i among n inputs, where m outputs are `factor` times as many.
_PLACES = {
    "half_pixel": lambda i, n, m, factor: (i + 0.5) / factor - 0.5,
    "pytorch_half_pixel": lambda i, n, m, factor: (i + 0.5) / factor - 0.5 if m > 1 else 0 * i,
    "half_pixel_symmetric": lambda i, n, m, factor: n / 2 * (1 - m / (factor * n)) + (i + 0.5) / factor - 0.5,
    "asymmetric": lambda i, n, m, factor: i / factor,
    "align_corners": lambda i, n, m, factor: i * np.float32((n - 1) / (m - 1)) if m > 1 else 0 * i,
    "tf_half_pixel_for_nn": lambda i, n, m, factor: (i + 0.5) / factor,
}
_ROUNDINGS = {
    "round_prefer_floor": lambda place: np.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: np.floor(place) + (place - np.floor(place) >= 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
_BEFORE_OPSET_11 = "floor, or ceil where it shrinks"


@reads("Upsample")
def _upsample(node, x, scales=None):
    """What became Resize: the scales were an attribute first, an argument later."""
    return _resize(node, x, None, np.array(node.get("scales", []), np.float32) if scales is None else scales)


@reads("Resize")
def _resize(node, x, region=None, scales=None, sizes=None):
    """The region is for a way of resizing that is not known here; opset 10 has none, and the scales in its place."""
    options = {
        "mode": node.get("mode", "nearest"),
        "where": node.get("coordinate_transformation_mode", "half_pixel"),
        "rounding": node.get("nearest_mode", "round_prefer_floor"),
        "a": node.get("cubic_coeff_a", -0.75),
        "antialias": bool(node.get("antialias")),
        "inside": bool(node.get("exclude_outside")),
    }
    if node.kind == "Upsample" or node.get("opset", 13) < 11:
        options |= {"where": "asymmetric", "rounding": _BEFORE_OPSET_11}
        region, scales = (None, region) if node.kind == "Resize" else (None, scales)
    known = options["mode"] in ("nearest", "linear", "cubic") and options["rounding"] in (*_ROUNDINGS, _BEFORE_OPSET_11)
    if not known or options["where"] not in _PLACES:
        raise WeightsError(
            f"{node.name}: resizing with mode {options['mode']!r}, coordinates {options['where']!r} and rounding "
            f"{options['rounding']!r} is not known here"
        )
    wanted = _wanted(node, tuple(x.shape), scales, sizes)
    axes = [(axis, n, m, factor) for axis, n, m, factor in wanted if (m, factor) != (n, 1)]
    own = _as_ours(tuple(x.shape), axes, **options)
    if own is not None:
        return F.resize(x, **own)
    for axis, n, m, factor in axes:
        matrix = Tensor.of(_matrix(n, m, factor, **options).T.astype(x.array.dtype))
        order = [a for a in range(len(x.shape)) if a != axis] + [axis]  # the axis comes last, and goes back
        x = F.transpose(F.matmul(F.transpose(x, axes=order), matrix), axes=[int(a) for a in np.argsort(order)])
    return x


def _wanted(node, shape, scales, sizes):
    """(axis, how many there are, how many there are to be, the factor) of each axis that a node speaks of."""
    axes = [int(axis) % len(shape) for axis in node.get("axes") or range(len(shape))]
    given = [v for v in (scales, sizes) if v is not None and plain(v).size]
    if not given or plain(given[-1]).size != len(axes):
        raise WeightsError(f"{node.name}: it does not say to which size, with a number for each of {len(axes)} axes")
    before = [shape[axis] for axis in axes]
    if plain(given[-1]).dtype.kind == "f":
        factors = [np.float32(v) for v in plain(given[-1]).reshape(-1)]
        after = [math.floor(n * factor) for n, factor in zip(before, factors, strict=True)]
    else:
        after = integers(given[-1])
        factors = [np.float32(m / n) for n, m in zip(before, after, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            factors = [(min if policy == "not_larger" else max)(factors)] * len(axes)
            after = [math.floor(n * factor + 0.5) for n, factor in zip(before, factors, strict=True)]
    after_all = dict(enumerate(shape)) | dict(zip(axes, after, strict=True))
    require_size(node, after_all.values())
    if min(after) < 1:
        raise ShapeError(f"{node.name}: a result of shape {tuple(after_all.values())} has no numbers")
    return list(zip(axes, before, after, factors, strict=True))


def _as_ours(shape, axes, mode, where, rounding, a, antialias, inside):
    """The options with which our own op computes the same, or None."""
    if len(shape) != 4 or any(axis < 2 for axis, *_ in axes):
        return None
    by_axis = {axis: (m, float(factor)) for axis, _, m, factor in axes}
    size, scales = zip(*(by_axis.get(axis, (shape[axis], 1.0)) for axis in (2, 3)), strict=True)
    if mode == "nearest":
        for own in ("nearest", "nearest-exact"):
            ours = [axis_map(n, m, own, False, float(factor), False, np.float32).inputs for _, n, m, factor in axes]
            theirs = [_nearest(n, m, factor, where, rounding) for _, n, m, factor in axes]
            if all(map(np.array_equal, ours, theirs)):
                return {"size": size, "mode": own, "scales": scales}
        return None
    usual = where in ("half_pixel", "align_corners") or (where == "pytorch_half_pixel" and min(size) > 1)
    shrinks = any(factor < 1 for *_, factor in axes)
    if not usual or inside or (antialias and shrinks) or (mode == "cubic" and a != -0.75):
        return None
    return {"size": size, "mode": mode, "align_corners": where == "align_corners", "scales": scales}


def _nearest(n, m, factor, where, rounding):
    """Which input each output is.   (m,)"""
    if rounding == _BEFORE_OPSET_11:
        rounding = "ceil" if factor < 1 else "floor"
    places = _PLACES[where](np.arange(m, dtype=np.float32), n, m, factor)
    return np.clip(_ROUNDINGS[rounding](places), 0, n - 1).astype(np.int64)


def _matrix(n: int, m: int, factor: Any, mode: str, where: str, rounding: str, a: float, antialias: bool, inside: bool):
    """y = matrix · x along one axis.   (m, n)

    Beyond the borders their pixels go on, or with `inside` nothing is counted; antialias widens the mixture where the
    axis shrinks."""
    matrix = np.zeros((m, n))
    if mode == "nearest":
        matrix[np.arange(m), _nearest(n, m, factor, where, rounding)] = 1
        return matrix
    places = _PLACES[where](np.arange(m), n, m, float(factor))
    narrow = min(float(factor), 1.0) if antialias else 1.0
    reach = math.ceil((1 if mode == "linear" else 2) / narrow)
    around = np.floor(places).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    distance = abs(around - places[:, None]) * narrow
    weights = np.maximum(1 - distance, 0) if mode == "linear" else cubic_kernel(distance, a)
    if inside:
        weights = weights * ((around >= 0) & (around < n))
    weights = weights / weights.sum(axis=1, keepdims=True)
    np.add.at(matrix, (np.arange(m)[:, None], np.clip(around, 0, n - 1)), weights)
    return matrix
