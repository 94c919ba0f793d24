"""Convolution by 1×1 kernels in full FP32: on channels-last images it *is* a matrix product, which cuBLAS does.

Three plain products, one for each direction, written to where their results belong. On tensor cores, and where cuBLAS
refuses to run, conv.py computes the same layers; it also leaves a batch-norm its moments."""

import numpy as np

from ..device import get_precision
from ..ops.convolution.sliding import Sliding
from ..types import Array, Pair, Shape
from . import launch as gpu
from .ways import Way, drop_ins, outputs


def applies(x: Array, weight: Array, output: Pair, sliding: Sliding, finished: bool) -> bool:
    """Whether this is a product and no more: outside of captures, and of what else is done to its sums."""
    if finished or get_precision() != "ieee" or gpu.without_cublas() or sliding.groups != 1:
        return False
    if tuple(weight.shape[2:]) != (1, 1) or sliding.stride != (1, 1) or sliding.padding != (0, 0):
        return False
    return gpu.fits((x.size, outputs(x, output) * weight.shape[0], weight.size))


def _rows(images):
    """(N, H, W, C) as (N·H·W, C)."""
    return images.reshape(-1, images.shape[3])


def _correlate(x, weight, y, sliding, shift=None):
    np.matmul(_rows(x), weight[:, :, 0, 0].T, out=_rows(y))
    if shift is not None:
        np.add(y, shift, out=y)


def _image_gradient(dy, weight, dx, sliding, onto=None):
    np.matmul(_rows(dy), weight[:, :, 0, 0], out=_rows(dx))
    if onto is not None:
        np.add(dx, onto, out=dx)


def _weight_gradient(x: Array, dy: Array, shape: Shape, sliding: Sliding) -> Array:
    return (_rows(dy).T @ _rows(x)).reshape(shape)


DROP_INS = drop_ins(Way(applies, _correlate, _image_gradient, _weight_gradient, adds=True), "conv2d", "conv2d")[:1]
