"""Linear layers without cuBLAS, which refuses to run while a CUDA graph is captured: a 1×1 convolution over images of
one pixel *is* a linear layer, so conv.cu computes it. Outside of a capture cuBLAS is faster and stays in charge."""

from typing import Any

from ..ops import linear as ops_linear
from ..ops.channels import column_sums
from ..types import Array, Gradients, Needs
from . import DropIn, conv
from . import launch as gpu

PIXEL: dict[str, Any] = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Any]:
    """As `ops.linear_forward`."""
    rows = _images(x.reshape(-1, x.shape[-1]))
    y = gpu.empty(x, (len(rows), 1, 1, weight.shape[0]))
    conv.correlate(rows, _kernels(weight), y, start=(0, 0), shift=bias, **PIXEL)
    return y.reshape(*x.shape[:-1], weight.shape[0]), (x, weight, bias is not None)


def linear_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.linear_backward`."""
    x, weight, has_bias = cache
    rows, drows = _images(x.reshape(-1, x.shape[-1])), _images(dy.reshape(-1, dy.shape[-1]))
    dx = dweight = None
    if needs[0]:
        dx = gpu.empty(dy, rows.shape)
        conv.correlate(drows, _kernels(weight.T), dx, start=(0, 0), **PIXEL)
        dx = dx.reshape(x.shape)
    if needs[1]:
        shape = (weight.shape[0], 1, 1, weight.shape[1])
        dweight = conv.weight_gradient(rows, drows, shape, padding=(0, 0), **PIXEL).reshape(weight.shape)
    if not has_bias:
        return dx, dweight
    return dx, dweight, column_sums(drows[:, 0, 0]) if needs[2] else None


def _images(rows):
    """A matrix (N, C) as N images of one pixel, channels-last."""
    return gpu.aligned(rows).reshape(rows.shape[0], 1, 1, rows.shape[1])


def _kernels(weight):
    """weight (O, I), in whatever order its memory is, as 1×1 kernels."""
    return conv.arranged(weight[:, :, None, None])


def _applies(x, weight, bias=None):
    if not gpu.without_cublas() or weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        return False
    if not x.size or not weight.size:
        return False
    N, I, O = x.size // x.shape[-1], conv.whole(x.shape[-1]), conv.whole(len(weight))  # channels are padded
    return gpu.fits((N * I, N * O, O * I)) and (bias is None or tuple(bias.shape) == weight.shape[:1])


DROP_INS = (
    DropIn(
        "linear", (ops_linear.linear_forward, ops_linear.linear_backward), linear_forward, linear_backward, _applies
    ),
)
