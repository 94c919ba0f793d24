"""im2col and col2im in PyTorch's arrangement: one column for every window, (N, C·KH·KW, OH·OW)."""

from typing import Any

from ..types import Array, Gradients, IntOrPair, Needs
from .checks import check_arrays, check_rank, output_size, pair, shape_error
from .im2col import col2im, im2col_forward


def unfold_forward(
    x: Array, kernel_size: IntOrPair, dilation: IntOrPair = 1, padding: IntOrPair = 0, stride: IntOrPair = 1
) -> tuple[Array, Any]:
    """y[n, :, i·OW + j] = the window of x[n] at (i, j), in the order (c, kh, kw).   x (N, C, H, W)  ->  y, cache

    Raises ShapeError, DtypeError, OptionError."""
    check_arrays("unfold", x=x)
    check_rank("unfold", 4, "(N, C, H, W)", x=x)
    columns, cache = im2col_forward(x, kernel_size, stride, padding, dilation)
    return _arranged(columns, x.shape[0], _window_count(x.shape[2:], *cache[1:])), cache


def unfold_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C·KH·KW, OH·OW)  ->  dx (N, C, H, W): each pixel sums what its windows say."""
    return (col2im(_as_rows(dy), *cache),)


def fold_forward(
    x: Array,
    output_size: IntOrPair,
    kernel_size: IntOrPair,
    dilation: IntOrPair = 1,
    padding: IntOrPair = 0,
    stride: IntOrPair = 1,
) -> tuple[Array, Any]:
    """y = every column of x added into its window.   x (N, C·KH·KW, OH·OW)  ->  y (N, C, *output_size), cache

    Raises ShapeError, DtypeError, OptionError."""
    check_arrays("fold", x=x)
    check_rank("fold", 3, "(N, C·KH·KW, OH·OW)", x=x)
    size, kernel = pair("fold", "output_size", output_size, 1), pair("fold", "kernel_size", kernel_size, 1)
    options = tuple(
        pair("fold", name, value, least)
        for name, value, least in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1))
    )
    windows = _window_count(size, kernel, *options)
    if x.shape[1] % (kernel[0] * kernel[1]) or x.shape[2] != windows:
        wanted = f"{kernel[0] * kernel[1]} numbers for each channel, and {windows} windows in an image {size}"
        raise shape_error("fold", f"a column must hold {wanted}", x=("(N, C·KH·KW, OH·OW)", x))
    C = x.shape[1] // (kernel[0] * kernel[1])
    return col2im(_as_rows(x), (x.shape[0], C, *size), kernel, *options), (x.shape[0], windows, (kernel, *options))


def fold_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, H, W)  ->  dx (N, C·KH·KW, OH·OW): what a column was added to, it reads."""
    N, windows, options = cache
    return (_arranged(im2col_forward(dy, *options)[0], N, windows),)


def _window_count(size, kernel, stride, padding, dilation):
    OH, OW = (output_size(size[a], kernel[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    return OH * OW if OH > 0 and OW > 0 else 0


def _arranged(columns, N, windows):
    """(N·OH·OW, C·KH·KW) as (N, C·KH·KW, OH·OW)"""
    return columns.reshape(N, windows, columns.shape[1]).transpose(0, 2, 1).copy()


def _as_rows(y):
    """(N, C·KH·KW, OH·OW) as (N·OH·OW, C·KH·KW)"""
    return y.transpose(0, 2, 1).reshape(y.shape[0] * y.shape[2], y.shape[1])
