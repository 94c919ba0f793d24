"""From ONNX's nodes to ops: one table, kind of node -> what it computes (https://onnx.ai/onnx/operators, opset 7 on).

A reader is called with the node and its arguments: Tensors, or NumPy arrays where integers (shapes, axes, indices) are
computed. It returns one result, or a tuple.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import WeightsError
from ..tape import Variable
from ..tensors import taped as F
from ..tensors.tensor import Tensor
from . import onnx_integers
from .tables import entering

READERS: dict[str, Callable[..., Any]] = {}
reads = entering(READERS)
MOST_NUMBERS = 1 << 28  # in one result whose size is a number in the file


def plain(value: Any) -> np.ndarray:
    """The array in a Tensor, or the array that was given."""
    return value.array if isinstance(value, Variable) else np.asarray(value)


def integers(value: Any) -> list[int]:
    """An array of integers as a list."""
    return [int(v) for v in np.asarray(plain(value)).reshape(-1)]


def is_number(value: Any) -> bool:
    """Whether a value takes part in the calculus: floating-point numbers do."""
    return plain(value).dtype.kind == "f"


def tensor(value: Any, like: Any = None) -> Any:
    """A value as a Tensor, in the dtype of another one."""
    if isinstance(value, Variable):
        return value
    array = np.asarray(value)
    return Tensor.of(array if like is None else array.astype(like.array.dtype))


def require_size(node: Any, shape: Any) -> None:
    """Raise WeightsError before an array is made that a file asks for and nobody can mean."""
    if math.prod(int(n) for n in shape) > MOST_NUMBERS:
        raise WeightsError(f"{node.name[:60]}: a result of shape {tuple(map(int, shape))} is larger than any picture")


def _pointwise(op, integers=None):
    def compute(*arguments):
        if not any(map(is_number, arguments)) and integers is not None:
            return integers(*map(plain, arguments))
        like = next((a for a in arguments if isinstance(a, Variable)), None)
        return op(*(tensor(a, like) for a in arguments))

    return compute


def _of_one(op, integers=None):
    compute = _pointwise(op, integers)
    return lambda node, x: compute(x)


def _of_two(op, integers=None):
    compute = _pointwise(op, integers)
    return lambda node, a, b: compute(a, b)


def _of_any(op, integers=None):
    compute = _pointwise(_folded(op), _folded(integers))
    return lambda node, first, *others: compute(first, *others)


def _folded(op):
    """Max, Min and Sum take any number of arguments."""

    def fold(first, *others):
        for other in others:
            first = op(first, other)
        return first

    return fold


def _product(a, b):
    """a · b, where one or both may be vectors, as in NumPy."""
    row, column = len(a.shape) == 1, len(b.shape) == 1
    y = F.matmul(F.reshape(a, shape=(1, -1)) if row else a, F.reshape(b, shape=(-1, 1)) if column else b)
    shape = (*y.shape[:-2], *y.shape[-2:-1][row:], *y.shape[-1:][column:])  # without the axes of size 1 that were added
    return F.reshape(y, shape=shape) if row or column else y


READERS.update(
    {
        "Add": _of_two(F.add, np.add),
        "Sub": _of_two(F.sub, np.subtract),
        "Mul": _of_two(F.mul, np.multiply),
        "Div": _of_two(F.div, onnx_integers.divided),
        "Max": _of_any(F.maximum, np.maximum),
        "Min": _of_any(F.minimum, np.minimum),
        "Sum": _of_any(F.add, np.add),
        "MatMul": _of_two(_product, np.matmul),
        "Neg": _of_one(lambda x: F.mul(x, tensor(-1.0, x)), np.negative),
        "Sqrt": _of_one(lambda x: F.power(x, exponent=0.5)),
        "Reciprocal": _of_one(lambda x: F.power(x, exponent=-1)),
        "Softsign": _of_one(lambda x: F.div(x, F.add(F.abs(x), tensor(1.0, x)))),
        "Floor": _of_one(lambda x: F.steps(x, kind="floor")),
        "Ceil": _of_one(lambda x: F.steps(x, kind="ceil")),
        "Round": _of_one(lambda x: F.steps(x, kind="round")),
        "Sign": _of_one(lambda x: F.steps(x, kind="sign"), np.sign),
        "Abs": _of_one(F.abs, np.abs),
        "Relu": _of_one(F.relu, onnx_integers.rectified),
    }
)
for _kind in [
    "Sigmoid",
    "Tanh",
    "Exp",
    "Log",
    "Erf",
    "Sin",
    "Cos",
    "Tan",
    "Asin",
    "Acos",
    "Atan",
    "Sinh",
    "Cosh",
    "Asinh",
    "Acosh",
    "Atanh",
    "Softplus",
    "Mish",
]:
    READERS[_kind] = _of_one(getattr(F, _kind.lower()))
READERS["HardSwish"] = _of_one(F.hardswish)


@reads("Mod")
def _mod(node, a, b):
    """What is left has the sign of the divisor, or, with the option `fmod`, that of the number, as in C."""
    return (_of_two(F.fmod, np.fmod) if node.get("fmod") else _of_two(F.remainder, np.mod))(node, a, b)


@reads("Pow")
def _power(node, a, b):
    """The result is of the kind of a, whatever that of b."""
    if not is_number(a):
        return onnx_integers.to_power(plain(a), plain(b))
    a = tensor(a)
    return F.power_of(a, tensor(b, a))


@reads("Mean")
def _mean(node, first, *others):
    total = READERS["Sum"](node, first, *others)
    return F.div(total, tensor(1.0 + len(others), total))


@reads("Identity")
def _identity(node, x):
    return x


@reads("Dropout")
def _dropout(node, x, ratio=None, mode=None, *, training):
    """In training, and only then, whatever the file says of it. The second result tells what is left."""
    share = float(node.get("ratio", 0.5) if ratio is None else plain(ratio))
    from ..nn.functional import dropout

    left = dropout(tensor(np.ones(x.shape), x), share, training)
    return F.mul(x, left) if training else x, left.array > 0


# -- convolution, pooling, normalisation


def _symmetric(node, size, kernel, stride, dilation):
    """(padding as a pair, what has to be padded first): pads of ONNX may differ between the two sides."""
    pads, auto = node.get("pads"), node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = [*small, *large] if auto == "SAME_UPPER" else [*large, *small]
    pads = pads or [0, 0, 0, 0]
    top, left, bottom, right = pads
    require_size(node, [n + p for n, p in zip(size, (top + bottom, left + right), strict=True)])
    if (top, left) == (bottom, right):
        return (top, left), None
    return (0, 0), (left, right, top, bottom)


def _two(value, name):
    if len(value) != 2:
        raise WeightsError(f"{name}: only pictures, with two axes, are known here, this has {len(value)}")
    return tuple(value)


def convolution_options(node: Any, x: Any, weight: Any) -> tuple[dict[str, Any], Any]:
    """(the options of the convolution that a node is, what has to be padded before it or None)"""
    kernel = _two(weight.shape[2:], node.name)
    stride, dilation = _two(node.get("strides", [1, 1]), node.name), _two(node.get("dilations", [1, 1]), node.name)
    padding, first = _symmetric(node, x.shape[2:], kernel, stride, dilation)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": node.get("group", 1)}, first


@reads("Conv")
def _conv(node, x, weight, bias=None):
    options, first = convolution_options(node, x, weight)
    return F.conv2d(F.pad(x, padding=first) if first else x, weight, bias, **options)


@reads("ConvTranspose")
def _conv_transpose(node, x, weight, bias=None):
    stride, dilation = _two(node.get("strides", [1, 1]), node.name), _two(node.get("dilations", [1, 1]), node.name)
    more, pads = list(node.get("output_padding", [0, 0])), node.get("pads", [0, 0, 0, 0])
    kernel = weight.shape[2:]
    wanted = node.get("output_shape")
    if wanted or node.get("auto_pad", "NOTSET").startswith("SAME"):
        wanted = wanted or [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
        total = [
            s * (n - 1) + m + (k - 1) * d + 1 - w
            for s, n, m, k, d, w in zip(stride, x.shape[2:], more, kernel, dilation, wanted[-2:], strict=True)
        ]
        more = [m + max(-t, 0) for m, t in zip(more, total, strict=True)]  # what is missing is added at the end
        total = [max(t, 0) for t in total]
        lower = node.get("auto_pad", "NOTSET") == "SAME_LOWER"
        begin = [t - t // 2 if lower else t // 2 for t in total]
        pads = [*begin, *(t - b for t, b in zip(total, begin, strict=True))]
    padding = (min(pads[0], pads[2]), min(pads[1], pads[3]))
    options = {"stride": stride, "padding": padding, "output_padding": tuple(more), "dilation": dilation}
    y = F.conv_transpose2d(x, weight, bias, groups=node.get("group", 1), **options)
    cut = [p - padding[i % 2] for i, p in enumerate(pads)]
    if any(cut):
        H, W = y.shape[2:]
        y = F.index(y, index=(..., slice(cut[0], H - cut[2]), slice(cut[1], W - cut[3])))
    return y


@reads("Gemm")
def _gemm(node, a, b, c=None):
    a = F.transpose(a, axes=(1, 0)) if node.get("transA") else a
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if node.get("transB") and alpha == beta == 1.0 and (c is None or len(c.shape) == 1):
        return F.linear(a, b, c)
    y = F.matmul(a, F.transpose(b, axes=(1, 0)) if node.get("transB") else b)
    y = y if alpha == 1.0 else F.mul(y, tensor(alpha, y))
    if c is None:
        return y
    return F.add(y, c if beta == 1.0 else F.mul(c, tensor(beta, y)))


@reads("BatchNormalization")
def _batchnorm(node, x, weight, bias, mean, var, *, training):
    if not node.get("spatial", 1):
        raise WeightsError(f"{node.name}: statistics of every place (spatial = 0) are not known here")
    from ..nn.functional import batch_norm  # the layer's function: it also keeps the running statistics

    momentum = 1 - node.get("momentum", 0.9)
    return batch_norm(x, mean, var, weight, bias, training, momentum, node.get("epsilon", 1e-5))


@reads("InstanceNormalization")
def _instancenorm(node, x, weight, bias):
    return F.group_norm(x, weight, bias, groups=x.shape[1], eps=node.get("epsilon", 1e-5))


@reads("GroupNormalization")
def _groupnorm(node, x, weight, bias):
    groups = node.get("num_groups")
    if weight.shape[0] != x.shape[1]:
        raise WeightsError(f"{node.name}: a scale for each group (opset 18) is not known here; export with opset 21")
    return F.group_norm(x, weight, bias, groups=groups, eps=node.get("epsilon", 1e-5))


@reads("LayerNormalization")
def _layernorm(node, x, weight, bias=None):
    axis, eps = node.get("axis", -1) % len(x.shape), node.get("epsilon", 1e-5)
    y = F.layer_norm(x, weight, bias, shape=tuple(x.shape[axis:]), eps=eps)
    if len(node.outputs) == 1:
        return y
    over = {"axis": tuple(range(axis, len(x.shape))), "keepdims": True}
    mean = F.mean(x, **over)
    squares = F.mean(F.power(F.sub(x, mean), exponent=2), **over)
    return y, mean, F.power(F.add(squares, tensor(eps, x)), exponent=-0.5)


@reads("RMSNormalization")
def _rmsnorm(node, x, weight):
    """x / √(mean of x² + eps) · weight, over the axes from `axis` on."""
    axes = tuple(range(node.get("axis", -1) % len(x.shape), len(x.shape)))
    squares = F.mean(F.mul(x, x), axis=axes, keepdims=True)
    return F.mul(F.mul(x, F.power(F.add(squares, tensor(node.get("epsilon", 1e-5), x)), exponent=-0.5)), weight)


@reads("LRN")
def _local_response(node, x):
    from ..nn.functional import local_response_norm

    size = node.get("size")
    if size % 2 == 0:
        raise WeightsError(f"{node.name}: a mean over an even number of channels, {size}, is not known here")
    return local_response_norm(x, size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))


@reads("LpNormalization")
def _normalised(node, x):
    size = F.norm(x, p=node.get("p", 2), axis=node.get("axis", -1), keepdims=True)
    return F.div(x, F.maximum(size, tensor(np.finfo(x.array.dtype).tiny, x)))  # nothing stays nothing


@reads("MaxPool", "AveragePool")
def _pool(node, x):
    kernel = _two(node.get("kernel_shape"), node.name)
    stride, dilation = _two(node.get("strides", [1, 1]), node.name), _two(node.get("dilations", [1, 1]), node.name)
    padding, first = _symmetric(node, x.shape[2:], kernel, stride, dilation)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):  # more than pooling itself takes
        padding, first = (0, 0), (padding[1], padding[1], padding[0], padding[0])
    options = {"stride": stride, "padding": padding, "ceil_mode": bool(node.get("ceil_mode", 0))}
    if node.kind == "MaxPool":
        x = F.pad(x, padding=first, value=-np.inf) if first else x
        return F.max_pool2d(x, kernel_size=kernel, dilation=dilation, **options)
    if dilation != (1, 1):
        raise WeightsError(f"{node.name}: means with dilations, {list(dilation)}, are not known here")
    if not first:
        return F.avg_pool2d(x, kernel_size=kernel, count_include_pad=bool(node.get("count_include_pad", 0)), **options)
    y = F.avg_pool2d(F.pad(x, padding=first), kernel_size=kernel, **options)
    if node.get("count_include_pad", 0):
        return y
    inside = F.pad(tensor(np.ones((1, 1, *x.shape[2:])), x), padding=first)
    return F.div(y, F.avg_pool2d(inside, kernel_size=kernel, **options))  # by the share that is no padding


@reads("GlobalAveragePool")
def _global_average(node, x):
    return F.mean(x, axis=tuple(range(2, len(x.shape))), keepdims=True)


@reads("GlobalMaxPool")
def _global_max(node, x):
    return F.max(x, axis=tuple(range(2, len(x.shape))), keepdims=True)


# -- non-linearities with options


@reads("Clip")
def _clip(node, x, low=None, high=None):
    low = node.get("min") if low is None else plain(low)
    high = node.get("max") if high is None else plain(high)
    if not is_number(x):
        return onnx_integers.clipped(plain(x), low, high)
    return F.clamp(x, low=-np.inf if low is None else float(low), high=np.inf if high is None else float(high))


@reads("LeakyRelu")
def _leaky_relu(node, x):
    return F.leaky_relu(x, negative_slope=node.get("alpha", 0.01))


@reads("PRelu")
def _prelu(node, x, slope):
    slope = tensor(slope, x)
    if slope.array.size in (1, x.shape[1]):
        return F.prelu(x, F.reshape(slope, shape=(-1,)))
    return F.add(F.relu(x), F.mul(slope, F.minimum(x, tensor(0.0, x))))


@reads("ThresholdedRelu")
def _thresholded_relu(node, x):
    return F.threshold(x, threshold=node.get("alpha", 1.0), value=0.0)


@reads("Swish")
def _swish(node, x):
    return F.mul(x, F.sigmoid(F.mul(x, tensor(node.get("alpha", 1.0), x))))


@reads("Elu")
def _elu(node, x):
    return F.elu(x, alpha=node.get("alpha", 1.0))


@reads("Selu")
def _selu(node, x):
    return F.elu(x, alpha=node.get("alpha", 1.6732632), scale=node.get("gamma", 1.0507010))


@reads("Celu")
def _celu(node, x):
    alpha = node.get("alpha", 1.0)
    return F.elu(x, alpha=alpha, input_scale=1 / alpha)


@reads("Gelu")
def _gelu(node, x):
    return F.gelu(x, approximate=node.get("approximate", "none"))


@reads("HardSigmoid")
def _hardsigmoid(node, x):
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(x)
    return F.hardtanh(F.add(F.mul(x, tensor(alpha, x)), tensor(beta, x)), min_val=0.0, max_val=1.0)


@reads("Softmax", "LogSoftmax")
def _softmax(node, x):
    function = F.softmax if node.kind == "Softmax" else F.log_softmax
    if node.get("opset", 13) >= 13:
        return function(x, axis=node.get("axis", -1))
    # Before opset 13 all axes from `axis` on were one.
    rows = int(np.prod(x.shape[: node.get("axis", 1) % len(x.shape)], dtype=np.int64))
    return F.reshape(function(F.reshape(x, shape=(rows, -1)), axis=1), shape=tuple(x.shape))


@reads("Where")
def _where(node, condition, a, b):
    like = next((v for v in (a, b) if isinstance(v, Variable)), None)
    if like is None:
        return np.where(plain(condition), plain(a), plain(b))
    return F.where(tensor(a, like), tensor(b, like), condition=plain(condition))


for _kind, _compare in {
    "Equal": np.equal, "Greater": np.greater, "Less": np.less, "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal, "And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor,
}.items():  # fmt: skip
    READERS[_kind] = lambda node, a, b, *, compare=_compare: compare(plain(a), plain(b))
READERS["Not"] = lambda node, x: np.logical_not(plain(x))


# -- reductions


_SUMS = {
    "ReduceMean": F.mean,
    "ReduceSum": F.sum,
    "ReduceMax": F.max,
    "ReduceProd": F.prod,
    "ReduceLogSumExp": F.logsumexp,
    "ReduceMin": lambda x, **axes: F.mul(F.max(F.mul(x, tensor(-1.0, x)), **axes), tensor(-1.0, x)),
    "ReduceL1": lambda x, **axes: F.sum(F.abs(x), **axes),
    "ReduceL2": lambda x, **axes: F.power(F.sum(F.mul(x, x), **axes), exponent=0.5),
    "ReduceSumSquare": lambda x, **axes: F.sum(F.mul(x, x), **axes),
    "ReduceLogSum": lambda x, **axes: F.log(F.sum(x, **axes)),
}


@reads(*_SUMS)
def _reduction(node, x, axes=None):
    axes = node.get("axes") if axes is None else integers(axes)
    over = tuple(axes) if axes else () if node.get("noop_with_empty_axes") else None  # over none: of each number alone
    options = {"axis": over, "keepdims": bool(node.get("keepdims", 1))}
    if is_number(x):
        return _SUMS[node.kind](tensor(x), **options)
    if node.kind not in onnx_integers.REDUCTIONS:
        raise WeightsError(
            f"{node.name}: {node.kind} of whole numbers is not known here; put a Cast to float before it"
        )
    return np.asarray(onnx_integers.REDUCTIONS[node.kind](plain(x), **options))


@reads("ArgMax", "ArgMin")
def _extreme(node, x):
    x, axis = plain(x), node.get("axis", 0)
    last = bool(node.get("select_last_index", 0))  # of several that are equal
    x = np.flip(x, axis) if last else x
    place = (np.argmax if node.kind == "ArgMax" else np.argmin)(x, axis=axis, keepdims=bool(node.get("keepdims", 1)))
    return x.shape[axis] - 1 - place if last else place
