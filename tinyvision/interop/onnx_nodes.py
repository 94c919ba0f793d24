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
from .listening import BATCH, GROWING
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
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    grouped = graph.node("Reshape", [x, graph.integers([0, groups, -1])])
    y = graph.node(
        "InstanceNormalization",
        [grouped, graph.constant(ones), graph.constant(zeros)],
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
    weight = weight or graph.constant(np.ones(shape, np.float32))
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
    y = graph.node("MatMul", [graph.constant(_matrix(rows)), x])
    return graph.node("MatMul", [y, graph.constant(_matrix(cols).T)])


def _matrix(axis_map):
    """(outputs, inputs)"""
    matrix = np.zeros((axis_map.output_size, axis_map.input_size), np.float32)
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
    fits = len(given) == 2 and all(
        int(n * np.float32(scale)) == m for n, scale, m in zip(before, scales, after, strict=True)
    )
    if mode == "area" or antialias or (given and not fits):
        parts = zip(before, after, scales, strict=True)
        return _along_both(
            graph, x, *(axis_map(n, m, mode, corners, scale, antialias, np.float32) for n, m, scale in parts)
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
    return graph.node("Clip", [x, graph.constant(np.float32(low)), graph.constant(np.float32(high))])


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
        return graph.node("Celu", [x], alpha=alpha)
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
        factor = graph.constant(np.float32(beta))
        scaled = graph.node("Mul", [x, factor])
        y = graph.node("Div", [graph.node("Softplus", [scaled]), factor])
    if threshold >= 20:  # from there on, log(1 + exp(x)) is x
        return y
    above = graph.node("Greater", [scaled, graph.constant(np.float32(threshold))])
    return graph.node("Where", [above, x, y])


@writes("threshold")
def _threshold(graph, call, x):
    above = graph.node("Greater", [x, graph.constant(np.float32(call.options["threshold"]))])
    return graph.node("Where", [above, x, graph.constant(np.float32(call.options["value"]))])


@writes("softmax", "log_softmax")
def _softmax(graph, call, x):
    return graph.node("Softmax" if call.op == "softmax" else "LogSoftmax", [x], axis=int(call.options.get("axis", -1)))


@writes("pow")
def _pow(graph, call, x):
    return graph.node("Pow", [x, graph.constant(np.float32(call.options["exponent"]))])


# -- reductions


@writes("sum", "mean", "max", "prod", "logsumexp")
def _reduction(graph, call, x):
    node = {"sum": "Sum", "mean": "Mean", "max": "Max", "prod": "Prod", "logsumexp": "LogSumExp"}[call.op]
    axis, inputs = call.options.get("axis"), [x]
    if axis is not None:
        inputs.append(graph.integers([int(a) for a in (axis if isinstance(axis, (tuple, list)) else [axis])]))
    return graph.node(f"Reduce{node}", inputs, keepdims=int(call.options.get("keepdims", False)))


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
    share = np.divide(n, max(n - call.options.get("correction", 1), 0), dtype=np.float32)
    variance = graph.node("Mul", [mean, graph.constant(share)])
    return graph.node("Sqrt", [variance]) if call.op == "std" else variance


@writes("rsqrt")
def _rsqrt(graph, call, x):
    return graph.node("Reciprocal", [graph.node("Sqrt", [x])])


@writes("logit")
def _logit(graph, call, x):
    eps = call.options.get("eps")
    if eps is not None:
        x = graph.node("Clip", [x, graph.constant(np.float32(eps)), graph.constant(np.float32(1 - eps))])
    return graph.node("Log", [graph.node("Div", [x, graph.node("Sub", [graph.constant(np.float32(1)), x])])])


@writes("hypot")
def _hypot(graph, call, a, b):
    squares = [graph.node("Mul", [one, one]) for one in (a, b)]
    return graph.node("Sqrt", [graph.node("Add", squares)])


@writes("logaddexp")
def _logaddexp(graph, call, a, b):
    apart = graph.node("Neg", [graph.node("Abs", [graph.node("Sub", [a, b])])])
    rest = graph.node("Log", [graph.node("Add", [graph.node("Exp", [apart]), graph.constant(np.float32(1))])])
    return graph.node("Add", [graph.node("Max", [a, b]), rest])


@writes("cumsum")
def _cumsum(graph, call, x):
    return graph.node("CumSum", [x, graph.constant(np.int64(call.options["axis"]))])


# -- arranging


@writes("reshape")
def _reshape(graph, call, x):
    return graph.node("Reshape", [x, graph.integers(_open_shape(call))])


@writes("flatten")
def _flatten(graph, call, x):
    return graph.node("Reshape", [x, graph.integers(_open_shape(call))])


def _open_shape(call):
    """The shape of a result in which 0 keeps a size, and -1 is the one that follows from the others."""
    before, after = call.shapes[0], list(call.shape)
    if after and before and after[0] == before[0] == BATCH:
        after[0] = 0
    after = [-1 if size in (BATCH, GROWING) else size for size in after]
    if after.count(-1) > 1:
        raise ExportError(f"the shape {call.shape} leaves two sizes to the batch")
    return after


@writes("transpose")
def _transpose(graph, call, x):
    axes = call.options.get("axes")
    rank = len(call.shapes[0])
    return graph.node("Transpose", [x], perm=[int(a) % rank for a in (axes or range(rank - 1, -1, -1))])


@writes("concatenate")
def _concatenate(graph, call, *arrays):
    return graph.node("Concat", arrays, axis=int(call.options.get("axis", 0)))


@writes("index")
def _index(graph, call, x):
    """Numbers, slices, None and ... of an index, as one Slice and the axes that come and go."""
    index, shape = call.options["index"], call.shapes[0]
    index = index if isinstance(index, tuple) else (index,)
    if not all(part is None or part is Ellipsis or isinstance(part, (int, slice)) for part in index):
        raise ExportError("an index of arrays or truth values has no node here; take slices")
    given = sum(part is not None and part is not Ellipsis for part in index)
    if Ellipsis not in index:
        index = (*index, Ellipsis)
    starts, ends, axes, steps, dropped, added, axis, place = [], [], [], [], [], [], 0, 0
    for part in index:
        if part is None:
            added.append(place)
            place += 1
        elif part is Ellipsis:
            axis, place = axis + len(shape) - given, place + len(shape) - given
        elif isinstance(part, slice):
            if part != slice(None):
                step = 1 if part.step is None else part.step
                starts.append(part.start if part.start is not None else 0)
                ends.append(part.stop if part.stop is not None else 2**62)
                axes.append(axis)
                steps.append(step)
            axis, place = axis + 1, place + 1
        else:
            starts.append(part)
            ends.append(part + 1 if part != -1 else 2**62)
            axes.append(axis)
            steps.append(1)
            dropped.append(axis)
            axis += 1
    y = x
    if starts:
        y = graph.node("Slice", [y, *(graph.integers(v) for v in (starts, ends, axes, steps))])
    if dropped:
        y = graph.node("Squeeze", [y, graph.integers(dropped)])
    return graph.node("Unsqueeze", [y, graph.integers(added)]) if added else y


@writes("pad")
def _pad(graph, call, x):
    padding, rank = list(call.options["padding"]), len(call.shapes[0])
    before, after = [0] * rank, [0] * rank
    for k in range(len(padding) // 2):  # the last axis first
        before[rank - 1 - k], after[rank - 1 - k] = padding[2 * k], padding[2 * k + 1]
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    mode = modes[call.options.get("mode", "constant")]
    inputs = [x, graph.integers([*before, *after])]
    if mode == "constant":
        inputs.append(graph.constant(np.float32(call.options.get("value", 0.0))))
    return graph.node("Pad", inputs, mode=mode)


@writes("repeat")
def _repeat(graph, call, x):
    repeats = next(iter(call.options.values()))
    return graph.node("Tile", [x, graph.integers([int(n) for n in repeats])])


@writes("dropout", "batchnorm_train", "batchnorm_relu")
def _in_training(graph, call, *names):
    raise ExportError(
        "it acts as in training although the model is in evaluation mode; is it built without running statistics?"
    )
