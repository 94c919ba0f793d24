"""From ops to ONNX: one table, op -> the nodes that compute the same (https://onnx.ai/onnx/operators, opset 20).

A writer is called with the graph that is being built, the call that was heard, and the names of its arguments; it
returns the name of its result. Layers see NCHW in both worlds, so most ops are a node each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ExportError
from ..ops.checks import pair
from ..ops.resize import axis_map, even_windows
from .listening import IN_TRAINING
from .tables import entering

WRITERS: dict[str, Callable[..., str]] = {}
writes = entering(WRITERS)


def _same_name(node: str, **fixed: Any) -> Callable[..., str]:
    return lambda graph, call, *names: graph.node(node, names, **fixed)


# Ops that ONNX has with the same meaning, and with options that do not change.
WRITERS.update(
    {
        op: _same_name(node)
        for op, node in {
            "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "matmul": "MatMul",
            "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log", "abs": "Abs",
            "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan",
            "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
            "maximum": "Max", "minimum": "Min", "hardswish": "HardSwish", "mish": "Mish",
        }.items()
    }
)  # fmt: skip
WRITERS["hardsigmoid"] = _same_name("HardSigmoid", alpha=1 / 6, beta=0.5)
WRITERS["_passing"] = _same_name("Identity")


def _pairs(call, *names, defaults=()):
    """Options given as one number or two, as pairs."""
    given = {**dict(defaults), **{k: v for k, v in call.options.items() if v is not None}}
    return [pair(call.op, name, given[name], 0) for name in names]


def _pads(padding):
    return [*padding, *padding]  # top, left, bottom, right


@writes("conv2d")
def _conv(graph, call, x, weight, bias=None):
    stride, padding, dilation = _pairs(
        call, "stride", "padding", "dilation", defaults={"stride": 1, "padding": 0, "dilation": 1}
    )
    return graph.node(
        "Conv",
        [x, weight, *([bias] if bias else [])],
        strides=stride,
        pads=_pads(padding),
        dilations=dilation,
        group=call.options.get("groups", 1),
        kernel_shape=call.shapes[1][2:],
    )


@writes("conv_transpose2d")
def _conv_transpose(graph, call, x, weight, bias=None):
    defaults = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
    stride, padding, more, dilation = _pairs(call, *defaults, defaults=defaults)
    return graph.node(
        "ConvTranspose",
        [x, weight, *([bias] if bias else [])],
        strides=stride,
        pads=_pads(padding),
        output_padding=more,
        dilations=dilation,
        group=call.options.get("groups", 1),
        kernel_shape=call.shapes[1][2:],
    )


@writes("linear")
def _linear(graph, call, x, weight, bias=None):
    if len(call.shapes[0]) == 2:
        return graph.node("Gemm", [x, weight, *([bias] if bias else [])], transB=1)
    y = graph.node("MatMul", [x, graph.node("Transpose", [weight], perm=[1, 0])])
    return graph.node("Add", [y, bias]) if bias else y


@writes("batchnorm_frozen")
def _batchnorm(graph, call, x, weight, bias, mean, var):
    return graph.node("BatchNormalization", [x, weight, bias, mean, var], epsilon=call.options.get("eps", 1e-5))


@writes("group_norm")
def _group_norm(graph, call, x, weight=None, bias=None):
    channels, groups = call.shapes[0][1], call.options.get("groups", 1)
    ones, zeros = np.ones(groups), np.zeros(groups)
    grouped = graph.node("Reshape", [x, graph.integers([0, groups, -1])])
    y = graph.node(
        "InstanceNormalization",
        [grouped, graph.numbers(ones), graph.numbers(zeros)],
        epsilon=call.options.get("eps", 1e-5),
    )
    y = graph.node("Reshape", [y, graph.node("Shape", [x])])
    per_channel = graph.integers([channels, *[1] * (len(call.shapes[0]) - 2)])
    for name, node in ((weight, "Mul"), (bias, "Add")):
        y = graph.node(node, [y, graph.node("Reshape", [name, per_channel])]) if name else y
    return y


@writes("layer_norm")
def _layer_norm(graph, call, x, weight=None, bias=None):
    shape = call.options.get("shape") or call.shapes[0][-1:]
    weight = weight or graph.numbers(np.ones(shape))
    inputs = [x, weight, *([bias] if bias else [])]
    return graph.node("LayerNormalization", inputs, axis=-len(shape), epsilon=call.options.get("eps", 1e-5))


# -- pooling


@writes("max_pool2d", "avg_pool2d")
def _pool(graph, call, x):
    (kernel,) = _pairs(call, "kernel_size")
    defaults = {"stride": kernel, "padding": 0, "dilation": 1}
    stride, padding, dilation = _pairs(call, *defaults, defaults=defaults)
    options = {"kernel_shape": kernel, "strides": stride, "pads": _pads(padding)}
    if call.op == "max_pool2d":
        options["dilations"] = dilation
    elif call.options.get("divisor_override") is not None:
        raise ExportError("AveragePool of ONNX has no divisor_override")
    else:
        options["count_include_pad"] = int(call.options.get("count_include_pad", True))
    y = graph.node(
        "MaxPool" if call.op == "max_pool2d" else "AveragePool",
        [x],
        ceil_mode=int(call.options.get("ceil_mode", False)),
        **options,
    )
    sides = zip(call.shapes[0][2:], kernel, stride, padding, dilation, strict=True)
    windows = tuple(-(-(n + 2 * p - d * (k - 1) - 1) // s) + 1 for n, k, s, p, d in sides)
    if not call.options.get("ceil_mode") or windows == tuple(call.shape[2:]):
        return y
    # ONNX keeps a last window that begins in the border.
    return graph.node("Slice", [y, *map(graph.integers, ([0, 0], list(call.shape[2:]), [2, 3]))])


@writes("adaptive_avg_pool2d")
def _adaptive_average(graph, call, x):
    """Windows of unequal sizes are no pooling of ONNX's, but each axis is a product with a fixed matrix."""
    size, (H, W) = pair("adaptive_avg_pool2d", "output_size", call.options["output_size"], 1), call.shapes[0][2:]
    if tuple(size) == (1, 1):
        return graph.node("GlobalAveragePool", [x])
    return _along_both(graph, x, even_windows(H, size[0]), even_windows(W, size[1]))


def _along_both(graph, x, rows, cols):
    """An AxisMap for each axis of a picture, as products with fixed matrices."""
    y = graph.node("MatMul", [graph.numbers(_matrix(rows)), x])
    return graph.node("MatMul", [y, graph.numbers(_matrix(cols).T)])


def _matrix(axis_map):
    """(outputs, inputs)"""
    matrix = np.zeros((axis_map.output_size, axis_map.input_size))
    weights = 1 if axis_map.weights is None else axis_map.weights
    np.add.at(matrix, (axis_map.outputs, axis_map.inputs), weights)
    return matrix


@writes("adaptive_max_pool2d")
def _adaptive_max(graph, call, x):
    size, (H, W) = pair("adaptive_max_pool2d", "output_size", call.options["output_size"], 1), call.shapes[0][2:]
    if H % size[0] or W % size[1]:
        raise ExportError(f"adaptive maxima of {H}x{W} in {size[0]}x{size[1]} windows of unequal sizes are not in ONNX")
    window = [H // size[0], W // size[1]]
    return graph.node("MaxPool", [x], kernel_shape=window, strides=window)


@writes("resize")
def _resize(graph, call, x):
    """A Resize to sizes, or by scales where those are known and lead to the same size.

    What ONNX has no word for, or another meaning, is written as products with fixed matrices: means over areas, and
    antialias, which in ONNX repeats the border where PyTorch leaves out what lies beyond."""
    mode, after, before = call.options.get("mode", "nearest"), call.options["size"], call.shapes[0][2:]
    scales = call.options.get("scales") or (None, None)
    corners, antialias = call.options.get("align_corners", False), bool(call.options.get("antialias"))
    given = [scale for scale in scales if scale]
    precision = np.float64 if graph.dtype == np.float64 else np.float32
    fits = len(given) == 2 and all(  # scales are float32 in ONNX
        int(n * np.float32(scale)) == m and np.float32(scale) == precision(scale)
        for n, scale, m in zip(before, scales, after, strict=True)
    )
    if mode == "area" or antialias or (given and not fits):
        parts = zip(before, after, scales, strict=True)
        return _along_both(
            graph, x, *(axis_map(n, m, mode, corners, scale, antialias, precision) for n, m, scale in parts)
        )
    how = {
        "nearest": {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        "nearest-exact": {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    }.get(mode, {"coordinate_transformation_mode": "align_corners" if corners else "half_pixel"})
    if mode == "cubic":
        how["cubic_coeff_a"] = -0.75
    how["mode"] = mode if mode in ("linear", "cubic") else "nearest"
    if fits:
        return graph.node("Resize", [x, "", graph.constant(np.array([1, 1, *scales], np.float32))], **how)
    return graph.node("Resize", [x, "", "", graph.integers([int(n) for n in after])], axes=[2, 3], **how)


# -- non-linearities with options


@writes("relu6", "hardtanh", "clamp")
def _clip(graph, call, x):
    low, high = _BOUNDS[call.op]
    low, high = call.options.get("min_val", low), call.options.get("max_val", high)
    low, high = call.options.get("low", low), call.options.get("high", high)
    return graph.node("Clip", [x, *(graph.numbers(n) if np.isfinite(n) else "" for n in (low, high))])


_BOUNDS = {"relu6": (0, 6), "hardtanh": (-1, 1), "clamp": (-np.inf, np.inf)}


@writes("leaky_relu")
def _leaky_relu(graph, call, x):
    return graph.node("LeakyRelu", [x], alpha=call.options.get("negative_slope", 0.01))


@writes("prelu")
def _prelu(graph, call, x, weight):
    slope = graph.node("Reshape", [weight, graph.integers([-1, *[1] * (len(call.shapes[0]) - 2)])])
    return graph.node("PRelu", [x, slope])


@writes("elu")
def _elu(graph, call, x):
    alpha, scale, inner = (call.options.get(n, 1.0) for n in ("alpha", "scale", "input_scale"))
    if inner != 1.0:  # CELU: alpha·(exp(x/alpha) - 1) below 0
        if graph.dtype == np.float32:
            return graph.node("Celu", [x], alpha=alpha)
        factor = graph.numbers(alpha)  # ONNX has Celu in float32 alone
        return graph.node("Mul", [graph.node("Elu", [graph.node("Div", [x, factor])], alpha=1.0), factor])
    if scale != 1.0:
        return graph.node("Selu", [x], alpha=alpha, gamma=scale)
    return graph.node("Elu", [x], alpha=alpha)


@writes("gelu")
def _gelu(graph, call, x):
    return graph.node("Gelu", [x], approximate=call.options.get("approximate", "none"))


@writes("silu")
def _silu(graph, call, x):
    return graph.node("Mul", [x, graph.node("Sigmoid", [x])])


@writes("softplus")
def _softplus(graph, call, x):
    beta, threshold = call.options.get("beta", 1.0), call.options.get("threshold", 20.0)
    if beta == 1.0:
        scaled, y = x, graph.node("Softplus", [x])
    else:
        factor = graph.numbers(beta)
        scaled = graph.node("Mul", [x, factor])
        y = graph.node("Div", [graph.node("Softplus", [scaled]), factor])
    if threshold >= 20:  # from there on, log(1 + exp(x)) is x
        return y
    above = graph.node("Greater", [scaled, graph.numbers(threshold)])
    return graph.node("Where", [above, x, y])


@writes("threshold")
def _threshold(graph, call, x):
    above = graph.node("Greater", [x, graph.numbers(call.options["threshold"])])
    return graph.node("Where", [above, x, graph.numbers(call.options["value"])])


@writes("softmax", "log_softmax")
def _softmax(graph, call, x):
    return graph.node("Softmax" if call.op == "softmax" else "LogSoftmax", [x], axis=int(call.options.get("axis", -1)))


@writes("pow")
def _pow(graph, call, x):
    return graph.node("Pow", [x, graph.numbers(call.options["exponent"])])


# -- reductions


@writes("sum", "mean", "max", "prod", "logsumexp")
def _reduction(graph, call, x):
    node = {"sum": "Sum", "mean": "Mean", "max": "Max", "prod": "Prod", "logsumexp": "LogSumExp"}[call.op]
    axis, inputs = call.options.get("axis"), [x]
    if axis is not None:
        inputs.append(graph.integers([int(a) for a in (axis if isinstance(axis, (tuple, list)) else [axis])]))
    return graph.node(f"Reduce{node}", inputs, keepdims=int(call.options.get("keepdims", False)))


@writes("norm")
def _norm(graph, call, x):
    """Σ |x|ᵖ ^ 1/p; of float16 in float32, where squares do not overflow."""
    p, over, keep = call.options.get("p", 2), call.options.get("axis"), int(call.options.get("keepdims", False))
    axes = [] if over is None else [graph.integers([int(a) for a in np.atleast_1d(over)])]
    narrow = graph.dtype == np.float16
    x = graph.cast(x, np.float32) if narrow else x
    if p in (1, 2):
        y = graph.node(f"ReduceL{p:g}", [x, *axes], keepdims=keep)
    else:
        power, root = (graph.constant(np.asarray(n, np.float32 if narrow else graph.dtype)) for n in (p, 1 / p))
        powers = graph.node("Pow", [graph.node("Abs", [x]), power])
        y = graph.node("Pow", [graph.node("ReduceSum", [powers, *axes], keepdims=keep), root])
    return graph.cast(y, graph.dtype) if narrow else y


@writes("steps")
def _steps(graph, call, x):
    kind = call.options["kind"]
    if kind == "trunc":
        return graph.node("Mul", [graph.node("Sign", [x]), graph.node("Floor", [graph.node("Abs", [x])])])
    return graph.node(kind.capitalize(), [x])


@writes("log1p")
def _log1p(graph, call, x):
    return graph.node("Log", [graph.node("Add", [x, graph.numbers(1)])])


@writes("expm1")
def _expm1(graph, call, x):
    return graph.node("Sub", [graph.node("Exp", [x]), graph.numbers(1)])


@writes("log2", "log10")
def _log_to_a_base(graph, call, x):
    return graph.node("Div", [graph.node("Log", [x]), graph.numbers(math.log(2 if call.op == "log2" else 10))])


@writes("var", "std")
def _spread(graph, call, x):
    axis, shape = call.options.get("axis"), call.shapes[0]
    axes = [a % len(shape) for a in ([axis] if np.ndim(axis) == 0 else axis)] if axis is not None else [0]
    if 0 in axes:
        raise ExportError(f"{call.op} over the images of a batch: how many there are is not known before they come")
    n = math.prod(shape[a] for a in axes)
    over = graph.integers(axes)
    centred = graph.node("Sub", [x, graph.node("ReduceMean", [x, over], keepdims=1)])
    squares = graph.node("Mul", [centred, centred])
    mean = graph.node("ReduceMean", [squares, over], keepdims=int(call.options.get("keepdims", False)))
    share = np.divide(n, max(n - call.options.get("correction", 1), 0))
    variance = graph.node("Mul", [mean, graph.numbers(share)])
    return graph.node("Sqrt", [variance]) if call.op == "std" else variance


@writes("rsqrt")
def _rsqrt(graph, call, x):
    return graph.node("Reciprocal", [graph.node("Sqrt", [x])])


@writes("logit")
def _logit(graph, call, x):
    eps = call.options.get("eps")
    if eps is not None:
        x = graph.node("Clip", [x, graph.numbers(eps), graph.numbers(1 - eps)])
    return graph.node("Log", [graph.node("Div", [x, graph.node("Sub", [graph.numbers(1), x])])])


@writes("hypot")
def _hypot(graph, call, a, b):
    squares = [graph.node("Mul", [one, one]) for one in (a, b)]
    return graph.node("Sqrt", [graph.node("Add", squares)])


@writes("logaddexp")
def _logaddexp(graph, call, a, b):
    apart = graph.node("Neg", [graph.node("Abs", [graph.node("Sub", [a, b])])])
    rest = graph.node("Log", [graph.node("Add", [graph.node("Exp", [apart]), graph.numbers(1)])])
    return graph.node("Add", [graph.node("Max", [a, b]), rest])


@writes("cumsum")
def _cumsum(graph, call, x):
    return graph.node("CumSum", [x, graph.constant(np.int64(call.options["axis"]))])


@writes(*IN_TRAINING)
def _in_training(graph, call, *names):
    raise ExportError(
        "it acts as in training although the model is in evaluation mode; is it built without running statistics?"
    )
