"""One kernel for each channel (groups = C = O), as in MobileNet and EfficientNet: no columns, no product.

As products these would be C with a single row each, so the sum over the taps is left to `einsum`.
"""

from typing import Any

import numpy as np

from ... import threads
from ...types import Array, Shape
from ..channels import column_sums, each_row
from .sliding import (
    Finish,
    Sliding,
    by_images,
    channels_last,
    matrix,
    nothing,
    output_blocks,
    sum_over_blocks,
    taps,
    windows_of,
)


def applies(x: Array, weight_shape: Shape, y_shape: Shape, sliding: Sliding, keeps: bool = False) -> bool:
    """Where every channel has a kernel of its own."""
    return sliding.groups == weight_shape[0] and weight_shape[3] == 1


def correlate(
    x: Array,
    weight: Array,
    y_shape: Shape,
    sliding: Sliding,
    bias: Array | None = None,
    finish: Finish = nothing,
    kept: dict[Any, Array] | None = None,
) -> Array:
    """y (N, OH, OW, C): x (N, H, W, C) correlated with weight (C, KH, KW, 1), plus bias (C,)."""
    (_, KH, KW, _), x = weight.shape, channels_last(x)
    y = np.empty_like(x, shape=y_shape, order="C")
    kernels = weight[..., 0].transpose(1, 2, 0).copy()  # (KH, KW, C)

    def work(block):
        out = y[block]
        view = windows_of(x, block, y_shape[2], (KH, KW), sliding)
        out[...] = np.einsum("nijklc,klc->nijc", view, kernels)
        if bias is not None:
            each_row(np.add, out, bias)
        finish(out, *block)

    threads.run(work, output_blocks(x, y_shape, KH * KW))
    return y


def image_gradient(dy: Array, weight: Array, x_shape: Shape, sliding: Sliding) -> Array:
    """dx (N, H, W, C): at a stride of 1 the turned kernel reads every pixel of dy once; else what each window says is
    added to its pixels, one tap at a time, as in `columns`."""
    _, KH, KW, _ = weight.shape
    if sliding.stride == (1, 1):
        return correlate(dy, weight[:, ::-1, ::-1], x_shape, sliding.turned((KH, KW)))
    dx = np.empty_like(dy, shape=x_shape, order="C")

    def work(same_images):
        dx[same_images[0][0]] = 0
        for block in same_images:
            for (k, l), seen, pixels in taps(block, dy.shape[2], x_shape, (KH, KW), sliding):
                dx[pixels] += dy[block][seen] * weight[:, k, l, 0]

    threads.run(work, by_images(output_blocks(dx, dy.shape, KH * KW * x_shape[3])))
    return dx


def weight_gradient(
    x: Array, dy: Array, weight_shape: Shape, sliding: Sliding, biased: bool = False
) -> tuple[Array, Array | None]:
    """dweight (C, KH, KW, 1), and dbias (C,) if it is `biased`, else None."""
    (C, KH, KW, _), x = weight_shape, channels_last(x)

    def part(block):
        view = windows_of(x, block, dy.shape[2], (KH, KW), sliding)
        return np.einsum("nijklc,nijc->ckl", view, dy[block]), column_sums(matrix(dy[block])) if biased else 0

    pieces = output_blocks(x, dy.shape, KH * KW)
    dweight, dbias = sum_over_blocks(part, pieces, dy, (C, KH, KW), (C,))
    return dweight.reshape(weight_shape), dbias if biased else None
