"""Group normalisation by batch-norm's loops, image by image: one pass for the statistics and one to normalise, two
back. A group's sums are those of its channels, taken in float64."""

import math
from typing import Any

import numpy as np

from ...ops import group_norm as ops_group_norm
from ...ops.checks import is_integer
from ...types import Array, Gradients, Needs
from .. import DropIn
from .compiled import loop
from .lines import channels_are_last, done_in_parts, first, last, sums_in_parts
from .norm import NO_TOP, applied, gradient_sums, moments, normalized


@loop("void(f4[:,:,::1], f4[::1], f4[::1], i8, f8, f4[:,:,::1], f4[:,:,::1], i8, i8)", "statistics y")
def standardised(
    x: Array,
    weight: Array,
    bias: Array,
    groups: int,
    eps: float,
    statistics: Array,
    y: Array,
    begin: int,
    end: int,
) -> None:
    """y = weight · (x - mean) / sqrt(var + eps) + bias for images begin ... end of x (N, pixels, C).

    statistics (N, 2, C): each channel's mean and 1 / sqrt(var + eps), which are those of its group."""
    _, P, C = x.shape
    each, scale, sums = C // groups, np.empty(C, np.float32), np.empty((1, 2, C))
    for n in range(begin, end):
        moments(x[n], sums, 0, P, 0)
        for g in range(0, C, each):
            mean, square = 0.0, 0.0
            for c in range(g, g + each):
                mean += sums[0, 0, c] / (P * each)
                square += sums[0, 1, c] / (P * each)
            var = square - mean * mean
            if var < 0:
                var = 0.0
            for c in range(g, g + each):
                statistics[n, 0, c] = mean
                statistics[n, 1, c] = 1 / np.sqrt(var + eps)
                scale[c] = weight[c] * statistics[n, 1, c]
        normalized(x[n], x[n], False, statistics[n, 0], scale, bias, y[n], False, NO_TOP, 0, P)


@loop("void(f4[:,:,::1], f4[:,:,::1], f4[::1], i8, f4[:,:,::1], f4[:,:,::1], f8[:,:,::1], i8, i8, i8)", "dx sums")
def gradients(
    dy: Array,
    x: Array,
    weight: Array,
    groups: int,
    statistics: Array,
    dx: Array,
    sums: Array,
    begin: int,
    end: int,
    piece: int,
) -> None:
    """dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ, with dx̂ = weight · dy, for images begin ... end, unless dx is
    empty; sums[piece] (2, C) = Σ dy · x̂ and Σ dy over these images."""
    _, P, C = x.shape
    each, own, of_image = C // groups, sums[piece], np.empty((1, 2, C))
    factors, no_skip = np.empty((3, C), np.float32), np.empty((0, C), np.float32)
    own[...] = 0
    for n in range(begin, end):
        mean, inverse = statistics[n, 0], statistics[n, 1]
        gradient_sums(dy[n], dy[n], False, NO_TOP, x[n], mean, of_image, 0, P, 0)
        for g in range(0, C, each):
            direct, through_x = 0.0, 0.0  # the means of dx̂ and of dx̂ · x̂
            for c in range(g, g + each):
                direct += weight[c] * of_image[0, 0, c] / (P * each)
                through_x += weight[c] * of_image[0, 1, c] * inverse[c] / (P * each)
            for c in range(g, g + each):
                factors[0, c] = weight[c] * inverse[c]
                factors[1, c] = -through_x * inverse[c] * inverse[c]
                factors[2, c] = -direct * inverse[c]
                own[0, c] += of_image[0, 1, c] * inverse[c]
                own[1, c] += of_image[0, 0, c]
        if dx.size:
            applied(dy[n], dy[n], False, NO_TOP, x[n], mean, factors, dx[n], no_skip, False, 0, P)


def group_norm_forward(
    x: Array, weight: Array | None = None, bias: Array | None = None, groups: int = 1, eps: float = 1e-5
) -> tuple[Array, Any]:
    """As `ops.group_norm_forward`."""
    image, C = last(x), x.shape[1]
    scale = np.ones(C, np.float32) if weight is None else np.ascontiguousarray(weight)
    shift = np.zeros(C, np.float32) if bias is None else np.ascontiguousarray(bias)
    y, statistics = np.empty_like(image), np.empty((len(x), 2, C), np.float32)
    rows, out = _by_images(image), _by_images(y)
    done_in_parts(standardised, len(x), x.nbytes, rows, scale, shift, groups, float(eps), statistics, out)
    return first(y), (x, weight, bias is not None, groups, statistics)


def group_norm_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.group_norm_backward`."""
    x, weight, has_bias, groups, statistics = cache
    needs, image, C = (*needs, False, False)[:3], last(x), x.shape[1]
    scale = np.ones(C, np.float32) if weight is None else np.ascontiguousarray(weight)
    dx = np.empty_like(image if needs[0] else image[:0])
    arguments = _by_images(last(dy)), _by_images(image), scale, groups, statistics, _by_images(dx)
    dweight, dbias = sums_in_parts(gradients, len(x), 3 * x.nbytes, (2, C), *arguments)
    return (
        first(dx) if needs[0] else None,
        dweight.astype(np.float32) if needs[1] and weight is not None else None,
        dbias.astype(np.float32) if needs[2] and has_bias else None,
    )


def _by_images(x):
    """(N, ..., C) as (N, pixels, C)."""
    return x.reshape(len(x), math.prod(x.shape[1:-1]), x.shape[-1])


def _applies(x, weight=None, bias=None, groups=1, eps=1e-5):
    """Whether x is (N, C, ...) with the channels last in memory, in whole groups, and a vector is (C,)."""
    if not channels_are_last(x) or x.size < 1 or not is_integer(groups) or groups < 1 or x.shape[1] % groups:
        return False
    return all(v is None or tuple(v.shape) == (x.shape[1],) for v in (weight, bias))


DROP_INS = (
    DropIn(
        "group_norm",
        (ops_group_norm.group_norm_forward, ops_group_norm.group_norm_backward),
        group_norm_forward,
        group_norm_backward,
        _applies,
    ),
)
