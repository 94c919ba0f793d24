"""Resizing, means over even windows, and padding that repeats numbers of the image: each axis in one loop over the
entries of its map (see `ops.axis_map`)."""

import functools
import math
from typing import Any

import numpy as np

from ...ops import adaptive_pool, axis_map, pad, resize
from ...ops.axis_map import AxisMap
from ...types import Array, Gradients, Needs
from .. import DropIn
from .compiled import loop
from .lines import NO_VECTOR, channels_are_last, done_in_parts

LEAST = 8  # numbers side by side behind an axis: fewer fill no vector, and NumPy's way is the quicker (measured)


@loop("void(f4[:,:,::1], i8[::1], i8[::1], f4[::1], f4[:,:,::1], i8, i8)", "y")
def mixed(x: Array, ends: Array, inputs: Array, weights: Array, y: Array, begin: int, end: int) -> None:
    """y[a, o] = Σ weights[k] · x[a, inputs[k]] for the entries k from ends[o - 1] to ends[o], in lines begin ... end of
    y (A, O, B), of which o is one. No weights are all 1."""
    O, B = y.shape[1:]
    for line in range(begin, end):
        a, o = line // O, line % O
        out, first = y[a, o], ends[o - 1] if o else 0
        if ends[o] == first:
            for b in range(B):
                out[b] = 0
        for k in range(first, ends[o]):
            some, weight = x[a, inputs[k]], weights[k] if weights.size else np.float32(1)
            if k == first:
                for b in range(B):
                    out[b] = weight * some[b]
            else:
                for b in range(B):
                    out[b] += weight * some[b]


@functools.lru_cache(256)
def _entries(each: AxisMap) -> tuple[Array, Array, Array]:
    """(ends, inputs, weights) as the loops take them: the entries of a map by their outputs."""
    order = np.argsort(each.outputs, kind="stable")
    ends = np.searchsorted(each.outputs[order], np.arange(each.output_size), side="right")
    weights = NO_VECTOR if each.weights is None else each.weights[order].astype(np.float32)
    return ends.astype(np.int64), each.inputs[order].astype(np.int64), weights


def along(x: Array, axis: int, each: AxisMap) -> Array:
    """As `ops.axis_map.along`."""
    order = sorted(range(x.ndim), key=lambda a: -abs(x.strides[a]))  # how the axes lie in memory
    at = order.index(axis)
    shape = [x.shape[a] for a in order]
    before, behind = math.prod(shape[:at]), math.prod(shape[at + 1 :])
    if behind < LEAST or not x.size:
        return axis_map.along(x, axis, each)
    seen = np.ascontiguousarray(x.transpose(order), np.float32).reshape(before, x.shape[axis], behind)
    y = np.empty((before, each.output_size, behind), np.float32)
    done_in_parts(mixed, before * each.output_size, seen.nbytes + y.nbytes, seen, *_entries(each), y)
    y = y.reshape(*shape[:at], each.output_size, *shape[at + 1 :])
    return y.transpose([order.index(a) for a in range(x.ndim)])


def _through(x, maps):
    for axis, each in maps:
        x = along(x, axis, each)
    return x


def _back(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    return (_through(dy, [(axis, each.transposed) for axis, each in reversed(cache)]),)


def resize_forward(x: Array, *arguments: Any, **options: Any) -> tuple[Array, Any]:
    """As `ops.resize_forward`."""
    maps = resize.resize_maps(x, *arguments, **options)
    return _through(x, maps), maps


def pad_forward(x: Array, padding: Any, mode: str, value: float = 0.0) -> tuple[Array, Any]:
    """As `ops.pad_forward`, without the mode "constant"."""
    maps = pad.border_maps(x, pad.ends_of(x, padding, mode), mode)
    return _through(x, maps), maps


def adaptive_avg_pool2d_forward(x: Array, output_size: Any) -> tuple[Array, Any]:
    """As `ops.adaptive_avg_pool2d_forward`."""
    size = adaptive_pool.checked_size("adaptive_avg_pool2d", x, output_size)
    maps = [(axis, _even_windows(x.shape[axis], n)) for axis, n in ((2, size[0]), (3, size[1]))]
    return _through(x, maps), maps


_even_windows = functools.lru_cache(128)(resize.even_windows)

DROP_INS = (
    DropIn("resize", (resize.resize_forward, resize.resize_backward), resize_forward, _back),
    DropIn(
        "pad",
        (pad.pad_forward, pad.pad_backward),
        pad_forward,
        _back,
        lambda x, padding=(), mode="constant", value=0.0: mode in pad.MODES[1:] and len(padding) > 0,
    ),
    DropIn(
        "pooling",
        (adaptive_pool.adaptive_avg_pool2d_forward, adaptive_pool.adaptive_avg_pool2d_backward),
        adaptive_avg_pool2d_forward,
        _back,
        lambda x, output_size: channels_are_last(x) and x.ndim == 4 and x.shape[1] >= LEAST,
    ),
)
