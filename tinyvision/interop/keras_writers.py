"""From ops to Keras: one table, op -> the layers that compute the same (https://keras.io/api/layers).

A writer is called with the graph that is being built, the call that was heard, and its arguments: values laid out in
Keras, or arrays. It returns the value that it makes. Where the two worlds differ (which borders "same" means, what a
border is filled with, how a kernel lies) the comment beside it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ExportError
from ..ops.checks import pair
from ..ops.resize import resize_forward
from .listening import IN_TRAINING
from .tables import entering

WRITERS: dict[str, Callable[..., Any]] = {}
writes = entering(WRITERS)
LOWEST = float(np.finfo(np.float32).min)  # what loses against every number, and can be written into JSON


def is_array(argument: Any) -> bool:
    """Whether an argument is a parameter or a constant, and nothing that was computed."""
    return isinstance(argument, np.ndarray)


def _require_arrays(*arguments):
    for argument in arguments:
        if argument is not None and not is_array(argument):
            raise ExportError("its weight is computed, and a layer's is not")


def _pairs(call, **defaults):
    """Options given as one number or two, as pairs."""
    given = {**defaults, **{k: v for k, v in call.options.items() if v is not None and k in defaults}}
    return [pair(call.op, name, given[name], 0) for name in defaults]


# -- windows


def _bordered(graph, laid, top, bottom, left, right, value=0.0):
    """Pictures with a border of one number."""
    if not (top or bottom or left or right):
        return laid
    N, C, H, W = laid.shape
    shape = (N, C, H + top + bottom, W + left + right)
    if value == 0.0:
        return graph.layer("ZeroPadding2D", laid, shape, padding=((top, bottom), (left, right)))
    width = ((0, 0), (top, bottom), (left, right), (0, 0))
    return graph.operation("pad", laid, shape, width, mode="constant", constant_values=value)


def _as_same(kernel, stride, padding, dilation):
    """Whether padding="same" puts as much on all sides as our padding does: only where every window has a middle, and
    every place a window; with a stride "same" is another border, which differs with the size of the picture."""
    return stride == (1, 1) and all(
        k % 2 and p == d * (k // 2) for k, p, d in zip(kernel, padding, dilation, strict=True)
    )


@writes("conv2d")
def _conv(graph, call, x, weight, bias=None):
    _require_arrays(weight, bias)
    stride, padding, dilation = _pairs(call, stride=1, padding=0, dilation=1)
    groups, (O, _, *kernel) = call.options.get("groups", 1), weight.shape
    if max(stride) > 1 and max(dilation) > 1:
        raise ExportError("Keras has no convolution with stride and dilation")
    x, same = graph.pictures(x), _as_same(kernel, stride, padding, dilation)
    x = x if same else _bordered(graph, x, padding[0], padding[0], padding[1], padding[1])
    options = {
        "kernel_size": tuple(kernel), "strides": stride, "dilation_rate": dilation,
        "padding": "same" if same else "valid", "use_bias": bias is not None,
    }  # fmt: skip
    C = x.shape[1]
    if groups == C > 1 and stride[0] == stride[1]:  # filters (KH, KW, C, M), M for every channel
        kind, options["depth_multiplier"] = "DepthwiseConv2D", O // C
        kernels = weight.reshape(C, O // C, *kernel).transpose(2, 3, 0, 1)
    else:
        kind, options["filters"], options["groups"] = "Conv2D", O, groups
        kernels = weight.transpose(2, 3, 1, 0)
    return graph.layer(kind, x, call.shape, _kept(graph, weight, kernels, bias), **options)


def _kept(graph, weight, turned, bias):
    """Arrays for Keras, the same ones when a module is called again."""
    known = graph.shared.setdefault(("arrays", id(weight), id(bias), turned.shape), [])
    if not known:
        known += [np.ascontiguousarray(turned), *([] if bias is None else [bias])]
    return known


@writes("conv_transpose2d")
def _conv_transpose(graph, call, x, weight, bias=None):
    _require_arrays(weight, bias)
    stride, padding, dilation = _pairs(call, stride=1, padding=0, dilation=1)
    if dilation != (1, 1) or call.options.get("groups", 1) != 1:
        raise ExportError("Keras has no transposed convolution with groups, and none with dilation that is like ours")
    (_, O, *kernel), x = weight.shape, graph.pictures(x)
    whole = [(n - 1) * s + max(k, s) for n, s, k in zip(x.shape[2:], stride, kernel, strict=True)]
    crop = [(p, full - p - n) for p, full, n in zip(padding, whole, call.shape[2:], strict=True)]
    if min(after for _, after in crop) < 0:
        raise ExportError("an output_padding beyond what the windows reach is not in Keras")
    arrays = _kept(graph, weight, weight.transpose(2, 3, 1, 0), bias)
    options = {"kernel_size": tuple(kernel), "strides": stride, "padding": "valid", "use_bias": bias is not None}
    y = graph.layer("Conv2DTranspose", x, (x.shape[0], O, *whole), arrays, filters=O, **options)
    return y if not any(map(any, crop)) else graph.layer("Cropping2D", y, call.shape, cropping=tuple(crop))


@writes("max_pool2d", "avg_pool2d")
def _pool(graph, call, x):
    (kernel,) = _pairs(call, kernel_size=1)
    stride, padding, dilation = _pairs(call, stride=kernel, padding=0, dilation=1)
    if dilation != (1, 1) or call.options.get("divisor_override") is not None:
        raise ExportError("Keras has no pooling with dilation or with a divisor")
    x, largest = graph.pictures(x), call.op == "max_pool2d"
    # What ceil_mode reaches for beyond the border: the windows that there are say how far.
    more = [
        max((out - 1) * s + k - (n + 2 * p), 0)
        for n, out, k, s, p in zip(x.shape[2:], call.shape[2:], kernel, stride, padding, strict=True)
    ]
    borders = (padding[0], padding[0] + more[0], padding[1], padding[1] + more[1])
    options = {"pool_size": kernel, "strides": stride, "padding": "valid"}
    if largest:  # zeros would win against negative numbers, which behind a ReLU there are none of
        value = 0.0 if graph.is_relu(x) else LOWEST
        return graph.layer("MaxPooling2D", _bordered(graph, x, *borders, value=value), call.shape, **options)
    if any(more) or (any(padding) and not call.options.get("count_include_pad", True)):
        raise ExportError("Keras has no mean over windows that leaves out the border as ours does")
    return graph.layer("AveragePooling2D", _bordered(graph, x, *borders), call.shape, **options)


@writes("adaptive_avg_pool2d")
def _adaptive_average(graph, call, x):
    x, (H, W), (OH, OW) = graph.pictures(x), call.shapes[0][2:], call.shape[2:]
    if (OH, OW) == (1, 1):
        return graph.layer("GlobalAveragePooling2D", x, call.shape, keepdims=True)
    if (OH, OW) == (H, W):
        return x
    if H % OH == 0 and W % OW == 0:
        return graph.layer("AveragePooling2D", x, call.shape, pool_size=(H // OH, W // OW))
    return graph.along(graph.along(x, 2, _means(H, OH)), 3, _means(W, OW))


def _means(size, count):
    """(size, count): column i averages what adaptive pooling gives to output i."""
    matrix = np.zeros((size, count), np.float32)
    for i in range(count):
        first, last = i * size // count, -(-(i + 1) * size // count)
        matrix[first:last, i] = 1 / (last - first)
    return matrix


@writes("adaptive_max_pool2d")
def _adaptive_max(graph, call, x):
    x, (H, W), (OH, OW) = graph.pictures(x), call.shapes[0][2:], call.shape[2:]
    if H % OH or W % OW:
        raise ExportError(f"maxima of {H}x{W} in {OH}x{OW} windows of unequal sizes are not in Keras")
    return graph.layer("MaxPooling2D", x, call.shape, pool_size=(H // OH, W // OW))


@writes("resize")
def _resize(graph, call, x):
    """Whole factors are Keras's UpSampling2D; all else is a product along each axis, with what becomes of ones."""
    mode, scales = call.options.get("mode", "nearest"), call.options.get("scales")
    (H, W), (OH, OW) = call.shapes[0][2:], call.shape[2:]
    factors = (OH // H, OW // W)
    asked = scales or (None, None)
    whole = OH % H == 0 and OW % W == 0 and all(s in (None, f) for s, f in zip(asked, factors, strict=True))
    if whole and mode in ("nearest", "linear") and not call.options.get("align_corners"):
        how = {"nearest": "nearest", "linear": "bilinear"}[mode]
        return graph.layer("UpSampling2D", graph.pictures(x), call.shape, size=factors, interpolation=how)
    x = graph.pictures(x)
    for axis, size, out in ((2, H, OH), (3, W, OW)):
        ones = np.eye(size, dtype=np.float64)[None, None]
        options = {k: v for k, v in call.options.items() if k not in ("size", "scales")}
        scale = None if not scales else (scales[axis - 2], None)
        matrix = resize_forward(ones, size=(out, size), scales=scale, **options)[0][0, 0]
        x = graph.along(x, axis, matrix.T)
    return x


@writes("pad")
def _pad(graph, call, x):
    padding, rank = [int(n) for n in call.options["padding"]], len(call.shapes[0])
    borders = {rank - 1 - k: (padding[2 * k], padding[2 * k + 1]) for k in range(len(padding) // 2)}
    mode, value = call.options.get("mode", "constant"), float(call.options.get("value", 0.0))
    x = graph.ordered(x, (0, 2, 3, 1)) if rank == 4 and set(borders) <= {2, 3} else x
    if mode == "constant" and x.order == (0, 2, 3, 1) and set(borders) <= {2, 3}:
        (top, bottom), (left, right) = borders.get(2, (0, 0)), borders.get(3, (0, 0))
        if max(top, bottom, left, right) <= 0:
            crops = ((-top, -bottom), (-left, -right))
            return graph.layer("Cropping2D", x, call.shape, cropping=crops) if any(map(any, crops)) else x
        if min(top, bottom, left, right) >= 0:
            value = LOWEST if value == -np.inf else value
            return _bordered(graph, x, top, bottom, left, right, value)
    width = tuple(borders.get(axis, (0, 0)) for axis in x.order)
    if not any(map(any, width)):
        return x
    modes = {"constant": "constant", "reflect": "reflect"}
    if mode not in modes or min(n for sides in width for n in sides) < 0 or width[0] != (0, 0):
        raise ExportError(f"a border with mode {mode!r}, or one that adds and cuts off, is not in Keras")
    more = {"constant_values": value} if mode == "constant" else {}
    return graph.operation("pad", x, call.shape, width, mode=modes[mode], **more)


# -- layers with weights


@writes("linear")
def _linear(graph, call, x, weight, bias=None):
    _require_arrays(weight, bias)
    arrays = _kept(graph, weight, weight.T, bias)
    return graph.layer("Dense", graph.last(x, -1), call.shape, arrays, units=weight.shape[0], use_bias=bias is not None)


@writes("batchnorm_frozen")
def _batchnorm(graph, call, x, weight, bias, mean, var):
    _require_arrays(weight, bias, mean, var)
    arrays = [a for a in (weight, bias, mean, var) if a is not None]
    options = {"scale": weight is not None, "center": bias is not None, "epsilon": float(call.options.get("eps", 1e-5))}
    return graph.layer("BatchNormalization", graph.last(x, 1), call.shape, arrays, axis=-1, **options)


@writes("group_norm")
def _group_norm(graph, call, x, weight=None, bias=None):
    _require_arrays(weight, bias)
    options = {"groups": int(call.options.get("groups", 1)), "epsilon": float(call.options.get("eps", 1e-5))}
    return _normalised(graph, "GroupNormalization", graph.last(x, 1), call, weight, bias, axis=-1, **options)


@writes("layer_norm")
def _layer_norm(graph, call, x, weight=None, bias=None):
    _require_arrays(weight, bias)
    count = len(call.options.get("shape") or (1,))
    x = graph.last(x, -1) if count == 1 else graph.plain(x)
    axis = -1 if count == 1 else list(range(-count, 0))
    epsilon = float(call.options.get("eps", 1e-5))
    return _normalised(graph, "LayerNormalization", x, call, weight, bias, axis=axis, epsilon=epsilon)


def _normalised(graph, kind, x, call, weight, bias, **options):
    arrays = [a for a in (weight, bias) if a is not None]
    return graph.layer(kind, x, call.shape, arrays, scale=weight is not None, center=bias is not None, **options)


@writes("prelu")
def _prelu(graph, call, x, weight):
    _require_arrays(weight)
    x, rank = graph.last(x, 1), len(call.shape)
    channels = x.shape[1] if rank > 1 else 1
    alpha = np.broadcast_to(weight, (channels,)).reshape(*[1] * (rank - 2), channels)
    return graph.layer("PReLU", x, call.shape, _kept(graph, weight, alpha, None), shared_axes=list(range(1, rank - 1)))


# -- number by number


def _activation(name):
    return lambda graph, call, x: graph.layer("Activation", x, call.shape, activation=name)


def _operation(name):
    return lambda graph, call, x: graph.operation(name, x, call.shape)


WRITERS.update(
    {
        "relu": lambda graph, call, x: graph.layer("ReLU", x, call.shape),
        "relu6": lambda graph, call, x: graph.layer("ReLU", x, call.shape, max_value=6.0),
        "_passing": lambda graph, call, x: x,
        **{op: _activation(name) for op, name in {
            "sigmoid": "sigmoid", "tanh": "tanh", "silu": "silu", "hardswish": "hard_silu", "mish": "mish",
            "hardsigmoid": "hard_sigmoid", "exp": "exponential",
        }.items()},
        **{op: _operation(op) for op in (
            "log", "abs", "sin", "cos", "tan", "sinh", "cosh", "erf", "rsqrt", "log1p", "expm1", "log2", "log10",
        )},
        **{f"a{name}": _operation(f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
        "steps": lambda graph, call, x: graph.operation(call.options["kind"], x, call.shape),
    }
)  # fmt: skip


@writes("gelu")
def _gelu(graph, call, x):
    if call.options.get("approximate", "none") == "none":
        return graph.layer("Activation", x, call.shape, activation="gelu")
    return graph.operation("gelu", x, call.shape, approximate=True)


@writes("leaky_relu")
def _leaky_relu(graph, call, x):
    return graph.layer("LeakyReLU", x, call.shape, negative_slope=float(call.options.get("negative_slope", 0.01)))


@writes("elu")
def _elu(graph, call, x):
    alpha, scale, inner = (float(call.options.get(n, 1.0)) for n in ("alpha", "scale", "input_scale"))
    if inner != 1.0:
        raise ExportError("Keras has no layer for CELU here")
    y = graph.layer("ELU", x, call.shape, alpha=alpha)
    return y if scale == 1.0 else graph.layer("Rescaling", y, call.shape, scale=scale)


@writes("softplus")
def _softplus(graph, call, x):
    if call.options.get("beta", 1.0) != 1.0:
        raise ExportError("Keras's softplus has no beta")
    if call.options.get("threshold", 20.0) < 20:  # beyond 20, float32 sees no difference
        raise ExportError("Keras's softplus has no threshold from which on it is the identity")
    return graph.layer("Activation", x, call.shape, activation="softplus")


@writes("hardtanh", "clamp")
def _clip(graph, call, x):
    low, high = (-1.0, 1.0) if call.op == "hardtanh" else (-np.inf, np.inf)
    low, high = call.options.get("min_val", low), call.options.get("max_val", high)
    low, high = call.options.get("low", low), call.options.get("high", high)
    bounds = (float(max(low, LOWEST)), float(min(high, -LOWEST)))
    return graph.operation("clip", x, call.shape, *bounds)


@writes("threshold")
def _threshold(graph, call, x):
    limit, value = (float(call.options[name]) for name in ("threshold", "value"))
    above = graph.named(graph.applied(graph.keras.ops.greater, x.tensor, limit))
    return x._replace(tensor=graph.named(graph.applied(graph.keras.ops.where, above, x.tensor, value)))


@writes("softmax", "log_softmax")
def _softmax(graph, call, x):
    x = graph.last(x, int(call.options.get("axis", -1)))
    return graph.layer("Activation", x, call.shape, activation=call.op)


@writes("pow")
def _power(graph, call, x):
    return graph.operation("power", x, call.shape, float(call.options["exponent"]))


# -- several values


_MERGED = {"add": "Add", "sub": "Subtract", "mul": "Multiply", "maximum": "Maximum", "minimum": "Minimum"}


@writes("add", "sub", "mul", "div", "maximum", "minimum")
def _merge(graph, call, a, b):
    if is_array(a) or is_array(b):
        return _with_array(graph, call, a, b)
    if len(a.shape) != len(b.shape):
        raise ExportError(f"values of {len(a.shape)} and {len(b.shape)} axes do not meet in a Keras layer")
    b = graph.ordered(b, a.order)
    if call.op == "div":
        return graph.operation("divide", a, call.shape, b.tensor)
    return graph.layer(_MERGED[call.op], [a, b], call.shape)


def _with_array(graph, call, a, b):
    """x and numbers that are kept: one for all, or one for every channel (a filter of one pixel)."""
    x, numbers, turned = (b, a, True) if is_array(a) else (a, b, False)
    numbers = np.asarray(numbers, np.float32)
    if call.op in ("maximum", "minimum") and numbers.size == 1:
        return graph.operation(call.op, x, call.shape, float(numbers.reshape(())))
    if call.op in ("maximum", "minimum") or (call.op == "div" and turned):
        raise ExportError(f"an array {numbers.shape} beside a value is known here for sums, products and quotients")
    scale, offset = {
        "add": (None, numbers), "sub": (np.float32(-1) if turned else None, numbers if turned else -numbers),
        "mul": (numbers, None), "div": (1 / numbers, None),
    }[call.op]  # fmt: skip
    if numbers.size == 1:
        options = {"scale": 1.0 if scale is None else float(np.reshape(scale, ())), "offset": 0.0}
        options["offset"] = 0.0 if offset is None else float(np.reshape(offset, ()))
        return graph.layer("Rescaling", x, call.shape, **options)
    shape = (1,) * (len(x.shape) - numbers.ndim) + numbers.shape
    if len(x.shape) != 4 or shape != (1, x.shape[1], 1, 1):
        raise ExportError(f"an array {numbers.shape} beside {x.shape} is not one number for every channel of a picture")
    kernel = np.broadcast_to(1 if scale is None else np.reshape(scale, -1), x.shape[1]).astype(np.float32)
    arrays = [kernel.reshape(1, 1, -1, 1), *([] if offset is None else [offset.reshape(-1)])]
    x = graph.pictures(x)
    return graph.layer("DepthwiseConv2D", x, call.shape, arrays, kernel_size=1, use_bias=offset is not None)


@writes("concatenate")
def _concatenate(graph, call, *values):
    if any(map(is_array, values)):
        raise ExportError("a kept array beside computed ones")
    axis = int(call.options.get("axis", 0)) % len(call.shape)
    values = [graph.ordered(v, values[0].order) for v in values]
    return graph.layer("Concatenate", values, call.shape, axis=values[0].order.index(axis))


@writes("matmul")
def _matmul(graph, call, a, b):
    if is_array(b) and b.ndim == 2 and not is_array(a):
        return graph.layer("Dense", graph.last(a, -1), call.shape, [b], units=b.shape[1], use_bias=False)
    if is_array(a) or is_array(b):
        raise ExportError("a product with a kept array is known here where that is a matrix on the right")
    a, b = graph.plain(a), graph.plain(b)
    return graph.operation("matmul", a, call.shape, b.tensor)


# -- reductions


@writes("mean", "sum", "max", "prod", "logsumexp")
def _reduction(graph, call, x):
    axes, keep = call.options.get("axis"), bool(call.options.get("keepdims", False))
    rank = len(x.shape)
    axes = {int(a) % rank for a in (axes if isinstance(axes, (tuple, list)) else [axes])} if axes is not None else {0}
    if 0 in axes:
        raise ExportError("it reduces over the batch, which a Keras model cannot say")
    kinds = {"mean": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}
    if rank == 4 and axes == {2, 3} and call.op in kinds:
        y = graph.layer(kinds[call.op], graph.pictures(x), call.shape, keepdims=keep)
    else:
        places = tuple(x.order.index(a) for a in sorted(axes))
        y = graph.operation(call.op, x, call.shape, axis=places, keepdims=keep)
    return y if keep else y._replace(order=without(y.order, axes))


@writes("norm")
def _norm(graph, call, x):
    """Σ |x|ᵖ ^ 1/p, in three steps."""
    p, inner = call.options.get("p", 2), x.shape
    if p == 2:
        powers = graph.operation("square", x, inner)
    else:
        powers = graph.operation("abs", x, inner)
        powers = powers if p == 1 else graph.operation("power", powers, inner, float(p))
    total = _reduction(graph, replace(call, op="sum"), powers)
    if p in (1, 2):
        return total if p == 1 else graph.operation("sqrt", total, call.shape)
    return graph.operation("power", total, call.shape, 1 / float(p))


def without(order: Sequence[int], axes: Collection[int]) -> tuple[int, ...]:
    """The order of the axes that are left."""
    left = [a for a in order if a not in axes]
    return tuple(sorted(left).index(a) for a in left)


@writes(*IN_TRAINING)
def _in_training(graph, call, *values):
    raise ExportError(
        "it acts as in training although the model is in evaluation mode; is it built without running statistics?"
    )
