"""The layers beside convolution and pooling as loops (those are in `naive.py`): one formula for one number at a time.

A function of one number is its value and its slope, side by side, and everything else about it is the same for all:
`pointwise` makes the pair. A loss of two numbers has a slope for each.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from ..types import Array, Gradients, Needs

Pair = tuple[Callable[..., tuple[Array, Any]], Callable[..., Gradients]]


def pointwise(value: Callable[..., float], *slopes: Callable[..., float]) -> Pair:
    """(forward, backward) of y = value(x), or of y = value(x, target) with a slope for each of the two."""

    def forward(*arrays, **options):
        y = np.empty_like(arrays[0])
        for place in np.ndindex(y.shape):
            y[place] = value(*(a[place] for a in arrays), **options)
        return y, (arrays, options)

    def backward(dy, cache, needs=(True, True)):
        arrays, options = cache
        gradients = [np.empty_like(a) for a in arrays[: len(slopes)]]
        for place in np.ndindex(dy.shape):
            numbers = [a[place] for a in arrays]
            for gradient, slope in zip(gradients, slopes, strict=True):
                gradient[place] = dy[place] * slope(*numbers, **options)
        return tuple(g if need else None for g, need in zip(gradients, needs, strict=False))

    return forward, backward


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x))"""
    return 1 / (1 + math.exp(-x))


def sign(x: float) -> float:
    """-1, 0 or 1"""
    return float(x > 0) - float(x < 0)


def normal_share(x: float) -> float:
    """The normal distribution's share below x."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


def tanh_share(x: float) -> float:
    """Nearly the same, by way of tanh."""
    return (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def where_erf_is(x: float) -> float:
    """The number whose erf is x, between -1 and 1, by halving where it may be."""
    low, high = -6.0, 6.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < x else (low, middle)
    return low


leaky_relu_forward, leaky_relu_backward = pointwise(
    lambda x, negative_slope=0.01: x if x > 0 else negative_slope * x,
    lambda x, negative_slope=0.01: 1 if x > 0 else negative_slope,
)
elu_forward, elu_backward = pointwise(
    lambda x, alpha=1, scale=1, input_scale=1: scale * (x if x > 0 else alpha * (math.exp(input_scale * x) - 1)),
    lambda x, alpha=1, scale=1, input_scale=1: (
        scale * (1 if x > 0 else alpha * input_scale * math.exp(input_scale * x))
    ),
)
softplus_forward, softplus_backward = pointwise(
    lambda x, beta=1, threshold=20: x if beta * x > threshold else math.log(1 + math.exp(beta * x)) / beta,
    lambda x, beta=1, threshold=20: 1 if beta * x > threshold else sigmoid(beta * x),
)
silu_forward, silu_backward = pointwise(
    lambda x: x * sigmoid(x),
    lambda x: sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x)),
)
mish_forward, mish_backward = pointwise(
    lambda x: x * math.tanh(math.log(1 + math.exp(x))),
    lambda x: math.tanh(math.log(1 + math.exp(x))) + x * (1 - math.tanh(math.log(1 + math.exp(x))) ** 2) * sigmoid(x),
)
gelu_forward, gelu_backward = pointwise(
    lambda x, approximate="none": x * (tanh_share(x) if approximate == "tanh" else normal_share(x)),
    lambda x, approximate="none": (
        tanh_share(x) + x * 2 * tanh_share(x) * (1 - tanh_share(x)) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        if approximate == "tanh"
        else normal_share(x) + x * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    ),
)
clamp_forward, clamp_backward = pointwise(
    lambda x, low=-math.inf, high=math.inf: min(max(x, low), high),
    lambda x, low=-math.inf, high=math.inf: 1 if low <= x <= high else 0,
)
hardtanh_forward, hardtanh_backward = pointwise(
    lambda x, min_val=-1, max_val=1: min(max(x, min_val), max_val),
    lambda x, min_val=-1, max_val=1: 1 if min_val < x < max_val else 0,
)
hardsigmoid_forward, hardsigmoid_backward = pointwise(
    lambda x: min(max(x + 3, 0), 6) / 6,
    lambda x: 1 / 6 if -3 < x < 3 else 0,
)
hardswish_forward, hardswish_backward = pointwise(
    lambda x: x * min(max(x + 3, 0), 6) / 6,
    lambda x: 0 if x <= -3 else 1 if x >= 3 else x / 3 + 1 / 2,
)
threshold_forward, threshold_backward = pointwise(
    lambda x, threshold, value: x if x > threshold else value,
    lambda x, threshold, value: 1 if x > threshold else 0,
)
erfinv_forward, erfinv_backward = pointwise(
    where_erf_is,
    lambda x: math.sqrt(math.pi) / 2 * math.exp(where_erf_is(x) ** 2),
)

l1_forward, l1_backward = pointwise(
    lambda x, t: abs(x - t),
    lambda x, t: sign(x - t),
    lambda x, t: sign(t - x),
)
smooth_l1_forward, smooth_l1_backward = pointwise(
    lambda x, t, beta=1: (x - t) ** 2 / (2 * beta) if abs(x - t) < beta else abs(x - t) - beta / 2,
    lambda x, t, beta=1: (x - t) / beta if abs(x - t) < beta else sign(x - t),
    lambda x, t, beta=1: (t - x) / beta if abs(x - t) < beta else sign(t - x),
)
huber_forward, huber_backward = pointwise(
    lambda x, t, delta=1: (x - t) ** 2 / 2 if abs(x - t) < delta else delta * (abs(x - t) - delta / 2),
    lambda x, t, delta=1: min(max(x - t, -delta), delta),
    lambda x, t, delta=1: min(max(t - x, -delta), delta),
)
bce_forward, bce_backward = pointwise(
    lambda x, t: -t * math.log(x) - (1 - t) * math.log(1 - x),
    lambda x, t: (x - t) / (x * (1 - x)),
    lambda x, t: math.log(1 - x) - math.log(x),
)


def bce_with_logits_forward(x: Array, target: Array, pos_weight: Array | None = None) -> tuple[Array, Any]:
    """y = -w · target · log σ(x) - (1 - target) · log(1 - σ(x))"""
    weight = np.broadcast_to(1.0 if pos_weight is None else pos_weight, x.shape)
    y = np.empty_like(x)
    for place in np.ndindex(x.shape):
        p, t = sigmoid(x[place]), target[place]
        y[place] = -weight[place] * t * math.log(p) - (1 - t) * math.log(1 - p)
    return y, (x, target, weight)


def bce_with_logits_backward(dy: Array, cache: Any, needs: Needs = (True, True, False)) -> Gradients:
    """dx = dy · ((1 - target) · σ - w · target · (1 - σ)), dtarget = dy · (log(1 - σ) - w · log σ)"""
    x, target, weight = cache
    dx, dtarget = np.empty_like(x), np.empty_like(x)
    for place in np.ndindex(x.shape):
        p, t = sigmoid(x[place]), target[place]
        dx[place] = dy[place] * ((1 - t) * p - weight[place] * t * (1 - p))
        dtarget[place] = dy[place] * (math.log(1 - p) - weight[place] * math.log(p))
    return dx if needs[0] else None, dtarget if needs[1] else None, None


kl_div_forward, kl_div_backward = pointwise(
    lambda x, t, log_target=False: math.exp(t) * (t - x) if log_target else t * (math.log(t) - x),
    lambda x, t, log_target=False: -math.exp(t) if log_target else -t,
    lambda x, t, log_target=False: math.exp(t) * (t - x + 1) if log_target else math.log(t) + 1 - x,
)


def _focal(x, t, gamma=2, alpha=-1):
    p = sigmoid(x)
    share = 1 if alpha < 0 else alpha * t + (1 - alpha) * (1 - t)
    return share * (p * (1 - t) + (1 - p) * t) ** gamma * (-t * math.log(p) - (1 - t) * math.log(1 - p))


def _focal_slope(x, t, gamma=2, alpha=-1):
    p = sigmoid(x)
    share = 1 if alpha < 0 else alpha * t + (1 - alpha) * (1 - t)
    far, loss = p * (1 - t) + (1 - p) * t, -t * math.log(p) - (1 - t) * math.log(1 - p)
    return share * (far**gamma * (p - t) + loss * gamma * far ** (gamma - 1) * (1 - 2 * t) * p * (1 - p))


focal_forward, focal_backward = pointwise(_focal, _focal_slope)


def prelu_forward(x: Array, weight: Array) -> tuple[Array, Any]:
    """y[n, c, ...] = x where x > 0, else weight[c] · x"""
    y = np.empty_like(x)
    for place in np.ndindex(x.shape):
        slope = weight[place[1] if len(weight) > 1 else 0]
        y[place] = x[place] if x[place] > 0 else slope * x[place]
    return y, (x, weight)


def prelu_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx and dweight: wherever forward says weight · x, dx += dy · weight and dweight += dy · x."""
    x, weight = cache
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for place in np.ndindex(x.shape):
        c = place[1] if len(weight) > 1 else 0
        if x[place] > 0:
            dx[place] = dy[place]
        else:
            dx[place] = dy[place] * weight[c]
            dweight[c] += dy[place] * x[place]
    return dx if needs[0] else None, dweight if needs[1] else None


def group_norm_forward(
    x: Array, weight: Array | None = None, bias: Array | None = None, groups: int = 1, eps: float = 1e-5
) -> tuple[Array, Any]:
    """y = weight[c] · (x - mean) / sqrt(var + eps) + bias[c], mean and var of the group of c in this image."""
    C = x.shape[1]
    weight = np.ones(C) if weight is None else weight
    bias = np.zeros(C) if bias is None else bias
    y, rows = np.empty_like(x), []
    for n, g in product(range(len(x)), range(groups)):
        places = [(n, c, *p) for c in range(g * C // groups, (g + 1) * C // groups) for p in np.ndindex(x.shape[2:])]
        rows.append((places, *_normed([x[p] for p in places], eps)))
        for place, value in zip(places, rows[-1][1], strict=True):
            y[place] = weight[place[1]] * value + bias[place[1]]
    return y, (rows, weight, lambda place: place[1])


def layer_norm_forward(
    x: Array, weight: Array | None = None, bias: Array | None = None, shape: Any = None, eps: float = 1e-5
) -> tuple[Array, Any]:
    """y = weight · (x - mean) / sqrt(var + eps) + bias, mean and var over the last axes, of `shape`."""
    shape = x.shape[-1:] if shape is None else shape
    weight = np.ones(shape) if weight is None else weight
    bias = np.zeros(shape) if bias is None else bias
    front, y, rows = x.ndim - len(shape), np.empty_like(x), []
    for outer in np.ndindex(x.shape[:front]):
        places = [(*outer, *inner) for inner in np.ndindex(*shape)]
        rows.append((places, *_normed([x[p] for p in places], eps)))
        for place, value in zip(places, rows[-1][1], strict=True):
            y[place] = weight[place[front:]] * value + bias[place[front:]]
    return y, (rows, weight, lambda place: place[front:])


def _norm_backward(dy, cache, needs=(True, True, True)):
    """x̂[i] moves with x[j] by (1 where i = j, less 1 / L for the mean, less x̂[i]·x̂[j] / L for the variance) / σ."""
    rows, weight, own = cache
    dx, dweight, dbias = np.zeros_like(dy), np.zeros_like(weight), np.zeros_like(weight)
    for places, normed, deviation in rows:
        L = len(places)
        for i, place in enumerate(places):
            dweight[own(place)] += dy[place] * normed[i]
            dbias[own(place)] += dy[place]
            for j, other in enumerate(places):
                moves = ((i == j) - 1 / L - normed[i] * normed[j] / L) / deviation
                dx[other] += dy[place] * weight[own(place)] * moves
    wanted = (*needs, False, False)[:3]
    return tuple(g if need else None for g, need in zip((dx, dweight, dbias), wanted, strict=True))


group_norm_backward = layer_norm_backward = _norm_backward


def _normed(numbers, eps):
    """(x̂, σ) of a list of numbers."""
    mean = sum(numbers) / len(numbers)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in numbers) / len(numbers) + eps)
    return [(v - mean) / deviation for v in numbers], deviation


def pad_forward(x: Array, padding: Any, mode: str = "constant", value: float = 0.0) -> tuple[Array, Any]:
    """y[i] = x[i - before], or where there is no such number what `mode` says stands for it."""
    before, kept, shape = [0] * x.ndim, [(0, n) for n in x.shape], list(x.shape)
    for k in range(len(padding) // 2):
        first, last = padding[2 * k : 2 * k + 2]
        before[-1 - k], kept[-1 - k] = first, (max(-first, 0), x.shape[-1 - k] - max(-last, 0))
        shape[-1 - k] += first + last
    y, sources = np.full(shape, value, x.dtype), {}
    for place in np.ndindex(*shape):
        source = [_inside(i - b, n, of, mode) for i, b, n, of in zip(place, before, x.shape, kept, strict=True)]
        if None not in source:
            sources[place] = tuple(source)
            y[place] = x[tuple(source)]
    return y, (x.shape, sources)


def pad_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """Every number gets what is said where it went."""
    shape, sources = cache
    dx = np.zeros(shape, dy.dtype)
    for place, source in sources.items():
        dx[source] += dy[place]
    return (dx,)


def _inside(i, size, kept, mode):
    if 0 <= i < size and mode != "circular":
        return i
    if mode == "reflect":
        return -i if i < 0 else 2 * (size - 1) - i
    around = kept[0] + (i - kept[0]) % (kept[1] - kept[0])  # goes on at the other end of what a negative padding left
    return {"constant": None, "replicate": min(max(i, 0), size - 1), "circular": around}[mode]


def resize_forward(
    x: Array,
    size: Any,
    mode: str = "nearest",
    align_corners: bool = False,
    scales: Any = None,
    antialias: bool = False,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = Σ over rows h and columns w near its place of weight(i, h) · weight(j, w) · x[n, c, h, w]"""
    scales = scales or [None] * len(size)
    mixes = [
        [_mixture(i, inputs, outputs, mode, align_corners, scale, antialias) for i in range(outputs)]
        for inputs, outputs, scale in zip(x.shape[2:], size, scales, strict=True)
    ]
    y, parts = np.zeros((*x.shape[:2], *size), x.dtype), []
    for place in np.ndindex(y.shape):
        for entries in product(*(mix[i] for mix, i in zip(mixes, place[2:], strict=True))):
            source, weight = (*place[:2], *(j for j, _ in entries)), math.prod(w for _, w in entries)
            parts.append((place, source, weight))
            y[place] += weight * x[source]
    return y, (x.shape, parts)


def resize_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """Wherever forward says y += weight · x, dx += weight · dy."""
    shape, parts = cache
    dx = np.zeros(shape, dy.dtype)
    for place, source, weight in parts:
        dx[source] += weight * dy[place]
    return (dx,)


def _mixture(i, inputs, outputs, mode, align_corners, scale, antialias):
    """The inputs (j, weight) of output i along one axis."""
    step = 1 / scale if scale else inputs / outputs
    if align_corners:
        step = (inputs - 1) / (outputs - 1) if outputs > 1 else 0
    if mode in ("nearest", "nearest-exact"):
        return [(min(math.floor((i + (0.5 if mode == "nearest-exact" else 0)) * step), inputs - 1), 1)]
    if mode == "area":
        window = range(i * inputs // outputs, -(-(i + 1) * inputs // outputs))
        return [(j, 1 / len(window)) for j in window]
    if antialias:
        stretch = max(step, 1)
        centre, reach = (i + 0.5) * step, stretch * (1 if mode == "linear" else 2)
        window = range(max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), inputs))
        raw = [_kernel(abs(j + 0.5 - centre) / stretch, mode, -0.5) for j in window]
        return [(j, w / sum(raw)) for j, w in zip(window, raw, strict=True)]
    place = i * step if align_corners else (i + 0.5) * step - 0.5
    if mode == "linear":
        place = min(max(place, 0), inputs - 1)
        near = [math.floor(place), math.floor(place) + 1]
    else:
        near = [math.floor(place) + k for k in (-1, 0, 1, 2)]
    return [(min(max(j, 0), inputs - 1), _kernel(abs(j - place), mode, -0.75)) for j in near]


def _kernel(d, mode, a):
    """The weight of a pixel at distance d: a tent, or the cubic convolution kernel."""
    if mode == "linear":
        return max(1 - d, 0)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0


def box_agreement_forward(a: Array, b: Array, generalized: bool = True) -> tuple[Array, Any]:
    """y = I / U, less (E - U) / E if generalized, for each pair of boxes (x1, y1, x2, y2)."""
    y = np.empty(a.shape[:-1], a.dtype)
    for place in np.ndindex(y.shape):
        y[place] = _agreement(a[place], b[place], generalized)
    return y, (a, b, generalized)


def box_agreement_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """How the agreement answers when one edge is moved a little, this way and that: a difference is no derivation, but
    nobody has to trust it."""
    a, b, generalized = cache
    gradients = [np.empty_like(a), np.empty_like(b)]
    step = 1e-5
    for place in np.ndindex(dy.shape):
        for k, gradient in enumerate(gradients):
            for edge in range(4):
                moved = []
                for direction in (1, -1):
                    first, second = pair = a[place].copy(), b[place].copy()
                    pair[k][edge] += direction * step
                    moved.append(_agreement(first, second, generalized))
                gradient[place][edge] = dy[place] * (moved[0] - moved[1]) / (2 * step)
    return tuple(g if need else None for g, need in zip(gradients, needs, strict=True))


def _agreement(a, b, generalized):
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    inner = width * height if width > 0 and height > 0 else 0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    outer = math.prod(max(a[k + 2], b[k + 2]) - min(a[k], b[k]) for k in (0, 1))
    return inner / (union + 1e-7) - ((outer - union) / (outer + 1e-7) if generalized else 0)


def grid_sample_forward(
    x: Array, grid: Array, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> tuple[Array, Any]:
    """y[n, c, i, j] = Σ over rows h and columns w near the place grid[n, i, j] of weight · weight · x[n, c, h, w]"""
    read = (mode, padding_mode, align_corners)
    y = np.zeros((x.shape[0], x.shape[1], *grid.shape[1:3]), x.dtype)
    for n, i, j in np.ndindex(*grid.shape[:3]):
        for h, w, weight in _read_at(grid[n, i, j], x.shape[2:], *read):
            y[n, :, i, j] += weight * x[n, :, h, w]
    return y, (x, grid, read)


def grid_sample_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx += weight · dy wherever forward says y += weight · x; the places' gradients from what a small step changes."""
    x, grid, read = cache
    dx, dgrid, step = np.zeros_like(x), np.zeros_like(grid), 1e-6
    for n, i, j in np.ndindex(*grid.shape[:3]):
        for h, w, weight in _read_at(grid[n, i, j], x.shape[2:], *read):
            dx[n, :, h, w] += weight * dy[n, :, i, j]
        for a in (0, 1):
            for sign in (1, -1):
                place = grid[n, i, j] + sign * step * (np.arange(2) == a)
                for h, w, weight in _read_at(place, x.shape[2:], *read):
                    dgrid[n, i, j, a] += sign * weight * (x[n, :, h, w] * dy[n, :, i, j]).sum() / (2 * step)
    return (dx if needs[0] else None), (dgrid if needs[1] else None)


def _read_at(place, sizes, mode, padding_mode, align_corners):
    """(row, column, weight) of the pixels that are read at a place (across, down)."""
    taps = []
    for where, size in zip(reversed(place), sizes, strict=True):
        pixel = (where + 1) / 2 * (size - 1) if align_corners else ((where + 1) * size - 1) / 2
        if mode != "bicubic":
            pixel = _folded(pixel, size, padding_mode, align_corners)
        near = [round(pixel)] if mode == "nearest" else range(math.floor(pixel) - 1, math.floor(pixel) + 3)
        kinds = {
            "nearest": lambda d: 1,
            "bilinear": lambda d: max(1 - d, 0),
            "bicubic": lambda d: _kernel(d, "", -0.75),
        }
        weights = [kinds[mode](abs(k - pixel)) for k in near]
        near = [round(_folded(k, size, padding_mode, align_corners)) for k in near]
        taps.append([(k, w) for k, w in zip(near, weights, strict=True) if 0 <= k < size])
    return [(h, w, a * b) for (h, a), (w, b) in product(*taps)]


def _folded(pixel, size, padding_mode, align_corners):
    """Where a place outside of 0 ... size - 1 is read instead: mirrored, one side after another, or at the border."""
    if padding_mode == "reflection":
        low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
        while low < high and not low <= pixel <= high:
            pixel = 2 * low - pixel if pixel < low else 2 * high - pixel
    return pixel if padding_mode == "zeros" else min(max(pixel, 0), size - 1)
