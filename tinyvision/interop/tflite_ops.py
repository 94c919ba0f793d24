"""From TensorFlow Lite's nodes to ops: one table, kind of node -> what it computes (https://ai.google.dev/edge/litert).

A reader is called with the node and its arguments: Tensors, or NumPy arrays where integers (shapes, axes) are computed.
TensorFlow Lite's pictures have their channels last, ours have them first: between the nodes here a Tensor with four
axes is (N, C, H, W), and a filter (O, KH, KW, I) has become (O, I, KH, KW) by the same change of places. Readers whose
meaning depends on the order of the axes turn to that of the file and back. Integers keep the file's order.

A file says for one picture what shapes are; what it calls 1 in the place of the batch is here the batch's size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError, WeightsError
from ..tape import Variable
from ..tensors import taped as F
from ..tensors.tensor import Tensor
from .keras_layers import axis_here, from_keras_order, padded, same_borders, to_keras
from .onnx_ops import integers, is_number, plain, tensor
from .tables import entering

READERS: dict[str, Callable[..., Any]] = {}
reads = entering(READERS)
LARGEST = 10**9  # numbers of one value: what a file asks for beyond that is no picture


_FUSED: dict[int, Callable[[Any], Any]] = {
    0: lambda x: x,
    1: F.relu,
    2: lambda x: F.hardtanh(x, min_val=-1.0, max_val=1.0),
    3: F.relu6,
    4: F.tanh,
}


def after(node: Any, y: Any) -> Any:
    """y, with the activation that is part of a node."""
    kind = node.get("FusedActivationFunction", 0)
    if kind not in _FUSED:
        raise WeightsError(f"{node.name}: its activation (number {kind}) is not known here")
    return _FUSED[kind](y)


def require_size(node: Any, shape: Any) -> None:
    """Raise ShapeError for a result that is too large for memory, or of no size at all."""
    if np.prod(shape, dtype=float) > LARGEST or min(shape, default=0) < 0:
        raise ShapeError(f"{node.name}: a result of shape {tuple(shape)}")


def takes_part(value: Any) -> bool:
    """Whether a value has its axes in the order that they have here: a Tensor, or floating-point numbers."""
    return isinstance(value, Variable) or is_number(value)


# -- number by number


def _aligned(arguments):
    """Tensors of one rank: TensorFlow adds axes in front in its own order, to (N, H, W, C) and not to (N, C, H, W)."""
    rank = max(len(a.shape) for a in arguments)
    turned = []
    for a in arguments:
        if len(a.shape) != rank:
            a = to_keras(a)
            a = from_keras_order(F.reshape(a, shape=(*[1] * (rank - len(a.shape)), *a.shape)))
        turned.append(a)
    return turned


def _pointwise(op, of_integers=None):
    def compute(node, *arguments):
        if not any(map(takes_part, arguments)):
            if of_integers is None:
                raise WeightsError(f"{node.name}: this is known for floating-point numbers only")
            return of_integers(*map(plain, arguments))
        like = next((a for a in arguments if isinstance(a, Variable)), None)
        return after(node, op(*_aligned([tensor(a, like) for a in arguments])))

    return compute


def _of_one(op, of_integers=None):
    general = _pointwise(op, of_integers)
    return lambda node, x: general(node, x)


def _of_two(op, of_integers=None):
    general = _pointwise(op, of_integers)
    return lambda node, a, b: general(node, a, b)


READERS.update(
    {
        "ADD": _of_two(F.add, np.add),
        "SUB": _of_two(F.sub, np.subtract),
        "MUL": _of_two(F.mul, np.multiply),
        "DIV": _of_two(F.div),
        "FLOOR_DIV": _of_two(lambda a, b: F.steps(F.div(a, b), kind="floor"), np.floor_divide),
        "POW": _of_two(F.power_of, np.power),
        "MAXIMUM": _of_two(F.maximum, np.maximum),
        "MINIMUM": _of_two(F.minimum, np.minimum),
        "SQUARED_DIFFERENCE": _of_two(lambda a, b: F.power(F.sub(a, b), exponent=2)),
        "NEG": _of_one(lambda x: F.mul(x, tensor(-1.0, x)), np.negative),
        "SQUARE": _of_one(lambda x: F.mul(x, x)),
        "SQRT": _of_one(lambda x: F.power(x, exponent=0.5)),
        "RSQRT": _of_one(lambda x: F.power(x, exponent=-0.5)),
        "FLOOR": _of_one(lambda x: F.steps(x, kind="floor")),
        "CEIL": _of_one(lambda x: F.steps(x, kind="ceil")),
        "ROUND": _of_one(lambda x: F.steps(x, kind="round")),
        "SIGN": _of_one(lambda x: F.steps(x, kind="sign"), np.sign),
        "FLOOR_MOD": _of_two(F.remainder, np.mod),
        "LOGISTIC": _of_one(F.sigmoid),
        "HARD_SWISH": _of_one(F.hardswish),
        "RELU_N1_TO_1": _of_one(_FUSED[2]),
        "RELU_0_TO_1": _of_one(lambda x: F.clamp(x, low=0.0, high=1.0)),
    }
)
for _name in ("relu", "relu6", "tanh", "elu", "exp", "log", "abs", "sin", "cos"):
    READERS[_name.upper()] = _of_one(getattr(F, _name))


@reads("ADD_N")
def _sum(node, first, *others):
    for other in others:
        first = READERS["ADD"](node, first, other)
    return first


def _here(value):
    """A Tensor, its axes in the order that they have here; numbers in the file have been turned when they were read."""
    if takes_part(value):
        return tensor(value)
    return from_keras_order(Tensor.of(plain(value)))


def _compared(compare):
    def reader(node, a, b):
        if not (takes_part(a) or takes_part(b)):
            return compare(plain(a), plain(b))
        a, b = _aligned([_here(a), _here(b)])
        return Tensor.of(compare(a.array, b.array))

    return reader


for _name, _compare in {
    "EQUAL": np.equal, "NOT_EQUAL": np.not_equal, "LESS": np.less, "LESS_EQUAL": np.less_equal,
    "GREATER": np.greater, "GREATER_EQUAL": np.greater_equal, "LOGICAL_AND": np.logical_and,
    "LOGICAL_OR": np.logical_or,
}.items():  # fmt: skip
    READERS[_name] = _compared(_compare)
READERS["LOGICAL_NOT"] = lambda node, x: READERS["EQUAL"](node, x, np.array(False))


@reads("SELECT", "SELECT_V2")
def _select(node, condition, a, b):
    if not any(map(takes_part, (condition, a, b))):
        return np.where(plain(condition), plain(a), plain(b))
    condition, a, b = map(_here, (condition, a, b))
    if node.kind == "SELECT" and tuple(condition.shape) != tuple(a.shape):  # it would choose whole rows
        raise WeightsError(f"{node.name}: a condition for every row is not known here")
    condition, a, b = _aligned([condition, a, b])
    return F.where(a, b, condition=condition.array)


@reads("LEAKY_RELU")
def _leaky_relu(node, x):
    return F.leaky_relu(x, negative_slope=node.get("Alpha", 0.0))


@reads("GELU")
def _gelu(node, x):
    return F.gelu(x, approximate="tanh" if node.get("Approximate") else "none")


@reads("PRELU")
def _prelu(node, x, alpha):
    """alpha (1, 1, C) or (H, W, C): for every channel or every place."""
    x, alpha = _aligned([tensor(x), tensor(alpha, x)])
    if alpha.shape[0] == 1 and alpha.array.size == alpha.shape[1] == x.shape[1]:
        return F.prelu(x, F.reshape(alpha, shape=(-1,)))
    return F.add(F.relu(x), F.mul(alpha, F.minimum(x, tensor(0.0, x))))


@reads("SOFTMAX", "LOG_SOFTMAX")
def _softmax(node, x):
    axis, beta = axis_here(-1, len(x.shape)), node.get("Beta", 1.0)
    x = F.mul(x, tensor(beta, x)) if node.kind == "SOFTMAX" and beta != 1.0 else x
    return (F.softmax if node.kind == "SOFTMAX" else F.log_softmax)(x, axis=axis)


@reads("L2_NORMALIZATION")
def _l2(node, x):
    squares = F.sum(F.mul(x, x), axis=axis_here(-1, len(x.shape)), keepdims=True)
    return after(node, F.div(x, F.power(F.maximum(squares, tensor(1e-6, x)), exponent=0.5)))


@reads("DEQUANTIZE", "CAST")
def _cast(node, x):
    """To what the file says of the result: numbers are float32 here also where it has float16."""
    if node.get("dtype", "").startswith("FLOAT"):
        return x if isinstance(x, Variable) and is_number(x) else Tensor.of(plain(x).astype(np.float32))
    if isinstance(x, Variable):
        raise WeightsError(f"{node.name}: numbers of a network to integers are not known here")
    return plain(x).astype(bool if node.get("dtype") == "BOOL" else np.int64)


@reads("DENSIFY")
def _densify(node, x):
    return x  # the file's arrays are whole when they are read


# -- windows


def _two(node, high, wide):
    pair = node.get(high, 0), node.get(wide, 0)
    if not all(0 < n < 1 << 16 for n in pair):
        raise WeightsError(f"{node.name}: {high} and {wide} must be positive, not {pair}")
    return pair


def _same(node):
    padding = node.get("Padding", 0)
    if padding not in (0, 1):
        raise WeightsError(f"{node.name}: its padding (number {padding}) is not known here")
    return padding == 0


def _picture(node, x):
    if len(x.shape) != 4:
        raise ShapeError(f"{node.name}: pictures (N, C, H, W) are needed, got {tuple(x.shape)}")
    return x


def convolution_options(node: Any, x: Any, weight: Any) -> tuple[dict[str, Any], tuple[int, int, int, int]]:
    """(the options of the convolution that a node is, the zeros around x: top, left, bottom, right)

    weight (O, I, KH, KW); a depthwise one (O, 1, KH, KW), where O is a multiple of the channels. Raises ShapeError."""
    stride = _two(node, "StrideH", "StrideW")
    dilation = _two(node, "DilationHFactor", "DilationWFactor")
    O, I, *kernel = _picture(node, weight).shape
    C = _picture(node, x).shape[1]
    if I == 0 or C % I or O % (C // I):
        raise ShapeError(f"{node.name}: {C} channels for filters {tuple(weight.shape)}")
    borders = same_borders(x, kernel, stride, dilation) if _same(node) else (0, 0, 0, 0)
    return {"stride": stride, "dilation": dilation, "groups": C // I}, borders


@reads("CONV_2D", "DEPTHWISE_CONV_2D")
def _convolution(node, x, weight, bias=None):
    options, (top, left, bottom, right) = convolution_options(node, x, weight)
    if (top, left) == (bottom, right):
        return after(node, F.conv2d(x, weight, bias, padding=(top, left), **options))
    return after(node, F.conv2d(F.pad(x, padding=(left, right, top, bottom)), weight, bias, **options))


@reads("TRANSPOSE_CONV")
def _transpose_conv(node, size, weight, x, bias=None):
    """The gradient of a convolution: its padding says how many rows in front are cut off."""
    return _spread(node, x, weight, bias, integers(size)[1:3])


@reads("CUSTOM Convolution2DTransposeBias")
def _transpose_conv_of_mediapipe(node, x, weight, bias=None):
    """MediaPipe's own, of which the file has the same options as three integers; the size follows from the input's."""
    if len(node.options["bytes"]) < 12:
        raise WeightsError(f"{node.name}: its options are not as MediaPipe writes them")
    padding, wide, high = struct.unpack("<3i", node.options["bytes"][:12])
    node.options.update(Padding=padding - 1, StrideH=high, StrideW=wide)
    stride, kernel = _two(node, "StrideH", "StrideW"), weight.shape[2:]
    size = [n * s if _same(node) else (n - 1) * s + k for n, s, k in zip(x.shape[2:], stride, kernel, strict=True)]
    return _spread(node, x, weight, bias, size)


def _spread(node, x, weight, bias, size):
    stride = _two(node, "StrideH", "StrideW")
    require_size(node, (x.shape[0], weight.shape[0], *size))
    y = F.conv_transpose2d(_picture(node, x), F.transpose(_picture(node, weight), axes=(1, 0, 2, 3)), stride=stride)
    borders = []
    for axis in (3, 2):
        n, kernel, s, here = size[axis - 2], weight.shape[axis], stride[axis - 2], x.shape[axis]
        if here != (-(-n // s) if _same(node) else -(-(n - kernel + 1) // s)):
            raise ShapeError(f"{node.name}: {tuple(x.shape)} does not come from pictures of {size[0]}x{size[1]}")
        before = max((here - 1) * s + kernel - n, 0) // 2 if _same(node) else 0
        borders += [-before, n - (y.shape[axis] - before)]
    y = F.pad(y, padding=tuple(borders)) if any(borders) else y
    return after(node, y if bias is None else F.add(y, F.reshape(tensor(bias, y), shape=(1, -1, 1, 1))))


@reads("MAX_POOL_2D", "AVERAGE_POOL_2D")
def _pool(node, x):
    kernel, stride = _two(node, "FilterHeight", "FilterWidth"), _two(node, "StrideH", "StrideW")
    x, same, options = _picture(node, x), _same(node), {"kernel_size": kernel, "stride": stride}
    if node.kind == "MAX_POOL_2D":
        return after(node, F.max_pool2d(padded(x, kernel, stride, value=-np.inf) if same else x, **options))
    y = F.avg_pool2d(padded(x, kernel, stride) if same else x, **options)
    if same:  # a mean is over what lies inside of the picture
        inside = padded(Tensor.of(np.ones((1, 1, *x.shape[2:]), x.dtype)).to(x.device), kernel, stride)
        y = F.div(y, F.avg_pool2d(inside, **options))
    return after(node, y)


@reads("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(node, x, size):
    """Every axis by itself: a product with a fixed matrix where our own resizing has other rules for places."""
    size = tuple(integers(size))
    require_size(node, (*_picture(node, x).shape[:2], *size))
    corners, half, linear = node.get("AlignCorners"), node.get("HalfPixelCenters"), node.kind == "RESIZE_BILINEAR"
    if len(size) != 2 or min(size) < 1:
        raise ShapeError(f"{node.name}: a picture of size {size}")
    if half and not corners:
        return F.resize(x, size=size, mode="linear" if linear else "nearest-exact")
    if linear and corners and min(size) > 1:
        return F.resize(x, size=size, mode="linear", align_corners=True)
    if not linear and not corners:
        return F.resize(x, size=size, mode="nearest")
    rows, columns = (tensor(_shares(n, m, corners, linear), x) for n, m in zip(x.shape[2:], size, strict=True))
    return F.matmul(F.matmul(rows, x), F.transpose(columns))


def _shares(size, count, corners, linear):
    """(count, size): the shares of the places of an axis in each of `count` places, the first of both at 0."""
    step = (size - 1) / (count - 1) if corners and count > 1 else size / count
    place = np.minimum(np.arange(count) * step, size - 1)
    shares, row = np.zeros((count, size)), np.arange(count)
    if not linear:
        shares[row, np.floor(place + 0.5).astype(int)] = 1
        return shares
    before = np.floor(place).astype(int)
    shares[row, before] += 1 - (place - before)
    shares[row, np.minimum(before + 1, size - 1)] += place - before
    return shares


@reads("FULLY_CONNECTED")
def _fully_connected(node, x, weight, bias=None):
    """weight (O, I)."""
    if node.get("WeightsFormat", 0):
        raise WeightsError(f"{node.name}: shuffled weights are for quantised networks, which are not known here")
    x = to_keras(x)
    kept = node.get("KeepNumDims")
    y = F.linear(x if kept else F.reshape(x, shape=(-1, weight.shape[-1])), weight, bias)
    return after(node, from_keras_order(y))


@reads("BATCH_MATMUL")
def _batch_matmul(node, a, b):
    a, b = to_keras(tensor(a)), to_keras(tensor(b))
    turned = [
        F.transpose(m, axes=(*range(len(m.shape) - 2), len(m.shape) - 1, len(m.shape) - 2)) if node.get(option) else m
        for m, option in ((a, "AdjX"), (b, "AdjY"))
    ]
    return from_keras_order(F.matmul(*turned))
