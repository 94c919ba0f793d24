"""Convolution by 1×1 kernels, for which a batch is no more than its pixels, one after the other.

On few of them, as behind a pooling of whole images, it *is* a fully connected layer, whose loops read the weight where
it lies (see `linear`). More are worth kernels in an order of their own: they are left to `direct`, in long lines."""

import functools
import math

from ...types import Array
from ..ways import ACTIVATIONS, Way, drop_ins
from . import linear
from .activation import finished
from .channels import column_sums
from .lines import NO_IMAGE, NO_VECTOR, done_in_parts, matrix

FEW_PIXELS = 32  # of a batch: up to here a fully connected layer is the quicker (measured)


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None):
    N, OH = y.shape[:2]
    linear.answer(matrix(x), weight[:, :, 0, 0], None if scale is not None else shift, matrix(y))
    what = ACTIVATIONS[activation]
    if what or scale is not None or skip is not None:
        vectors = NO_VECTOR if scale is None else scale, NO_VECTOR if scale is None or shift is None else shift
        done_in_parts(finished, N * OH, y.nbytes, y, *vectors, NO_IMAGE if skip is None else skip, what)


def _image_gradient(dy, weight, dx, sliding):
    linear.image_gradient(matrix(dy), weight[:, :, 0, 0], matrix(dx))


def _weight_gradient(x, dy, shape, sliding):
    return linear.weight_gradient(matrix(x), matrix(dy)).reshape(shape)


def _applies(x, weight, output, sliding, finished):
    """Whether every window is a pixel, every pixel a window, and they are few."""
    single = weight.shape[2:] == (1, 1) and sliding.stride == (1, 1) and sliding.groups == 1
    if not single or output != x.shape[2:] or sliding.padding != (0, 0):
        return False
    few = x.shape[0] * math.prod(output) <= FEW_PIXELS
    return few and linear.fits(len(weight), x.shape[1]) and weight.flags.c_contiguous


def in_long_lines(x: Array, y: Array, most: int, least: int) -> tuple[Array, Array]:
    """x and y (N, H, W, ...) seen as (1, lines, pixels, ...): `most` pixels, if a line has no more already, in at least
    so many lines, or in those that there are. A tile then reaches from one line into the next, and does not end with it
    half empty. Where x does not lie so in memory, both are left as they are."""
    N, H, W, C = x.shape
    if not x.flags.c_contiguous:
        return x, y
    lines = N * H // _joined(N * H, W, most, least)
    return x.reshape(1, lines, -1, C), y.reshape(1, lines, -1, y.shape[3])


@functools.lru_cache(4096)
def _joined(lines, width, most, least):
    """How many lines of this width make a long one."""
    fitting = (k for k in range(2, lines + 1) if lines % k == 0 and k * width <= most and lines // k >= least)
    return max(fitting, default=1)


WAY = Way(_applies, _correlate, _image_gradient, _weight_gradient, in_loops=True, column_sums=column_sums)
DROP_INS = drop_ins(WAY, "pointwise", "pointwise")
