"""2-D convolution (cross-correlation, as every deep-learning library computes it) and its three gradients.

Forward is one primitive, `correlate`: slide a kernel over an image whose memory is channels-last, turn the windows of a
few output rows into the rows of a matrix (im2col) that fits into a core's cache, and multiply that matrix by the
kernels. The matrix for a whole image would be KH·KW times as large as the image; a block of it never leaves the cache.
Backward goes the same way in reverse, product and col2im, block by block, and makes the columns for the weights again
rather than keep them.
"""

import math
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np

from .. import parallel
from ..errors import OptionError
from ..types import Array, Gradients, IntOrPair, Needs, Pair, Shape
from . import winograd
from .channels import column_sums, each_row
from .checks import check_arrays, check_rank, is_integer, output_size, pair, shape_error
from .im2col import image_slab, inside, plane_columns, windows

# Columns of about this many bytes are filled and multiplied at a time (measured on cores with 1 MiB of cache each: half
# or twice as much is 10 to 50 % slower).
COLUMN_BYTES = 2 << 20

# A GPU wants large pieces, but must have room for them.
GPU_COLUMN_BYTES = 1 << 30

# With so few channels (a photograph has 3) a window's row is too short to be copied quickly: columns of planes instead.
FEW_CHANNELS = 4


def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> tuple[Array, Any]:
    """y[n, o, i, j] = bias[o] + Σ_{c, k, l} x[n, c, i·SH + k·DH - PH, j·SW + l·DW - PW] · weight[o, c, k, l]

    x (N, C, H, W), weight (O, C/groups, KH, KW), bias (O,)  ->  y (N, O, OH, OW), cache

    Pixels outside of the image are 0. With groups, output channel o reads only the input channels of its own group.
    OH = floor((H + 2·PH - DH·(KH - 1) - 1) / SH) + 1. Raises ShapeError, DtypeError, DeviceError, OptionError."""
    stride, padding = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    dilation = pair("conv2d", "dilation", dilation, 1)
    N, O, OH, OW = _checked_shape(x, weight, bias, stride, padding, dilation, groups)
    y = np.empty_like(x, shape=(N, OH, OW, O), order="C")
    start = (-padding[0], -padding[1])
    correlate(_image(x, groups), _nhwc(weight), y, stride, start, dilation, groups, bias)
    return y.transpose(0, 3, 1, 2), (x, weight, bias is not None, stride, padding, dilation, groups)


def conv2d_inference(
    x: Array,
    weight: Array,
    scale: Array | None,
    shift: Array | None,
    skip: Array | None,
    activation: str | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    kept: dict[Any, Array] | None = None,
) -> Array:
    """activation(scale · conv2d(x, weight) + shift + skip), finished block by block while it is in the cache.   ->  y

    scale, shift (O,) or None: a bias, or a frozen batch-norm; skip like y, or None; activation None, "relu" or "relu6".
    kept, if given, belongs to this very weight: what has to be computed from it is left there for the next call.
    It has no backward: the layers use it where nothing is recorded, and there it takes the place of up to four ops."""
    N, O, OH, OW = _checked_shape(x, weight, None, stride, padding, dilation, groups)
    y = np.empty_like(x, shape=(N, OH, OW, O), order="C")
    if scale is not None and weight.size < y.size:  # the convolution is linear: scale whichever has fewer numbers
        weight, scale, kept = weight * scale[:, None, None, None], None, None  # what is kept is of the weight alone
    bias, shift = (shift, None) if scale is None else (None, shift)  # a bias comes before a scale, a shift after it
    if skip is not None:
        skip = _nhwc(skip)
        if skip.shape != y.shape:
            axes = "(N, OH, OW, O)"
            raise shape_error("conv2d", "the skip path has another shape", y=(axes, y), skip=(axes, skip))

    def finish(block, images, rows):
        if scale is not None:
            each_row(np.multiply, block, scale)
        if shift is not None:
            each_row(np.add, block, shift)
        if skip is not None:
            block += skip[images, rows]
        if activation is not None:
            np.clip(block, 0, np.inf if activation == "relu" else 6, out=block)

    start = (-padding[0], -padding[1])
    correlate(_image(x, groups), _nhwc(weight), y, stride, start, dilation, groups, bias, finish, kept)
    return y.transpose(0, 3, 1, 2)


def conv2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy (N, O, OH, OW)  ->  dx (N, C, H, W), dweight (O, C/groups, KH, KW), dbias (O,)

    dweight correlates the image with dy; for dx see `image_gradient` (tutorial 11)."""
    x, weight, has_bias, stride, padding, dilation, groups = cache
    dx = dweight = dbias = None
    rows = _nhwc(dy)
    if needs[0]:
        (N, C, H, W), planes = x.shape, _by_planes(x.transpose(0, 2, 3, 1), groups)
        dx = np.empty_like(dy, shape=(N, C, H, W) if planes else (N, H, W, C), order="C")
        dx = dx if planes else dx.transpose(0, 3, 1, 2)
        image_gradient(rows, _nhwc(weight), dx.transpose(0, 2, 3, 1), stride, padding, dilation, groups)
    biased = has_bias and needs[2]
    if needs[1]:
        image, shape = _image(x, groups), _nhwc(weight).shape
        dweight, dbias = weight_gradient(image, rows, shape, stride, padding, dilation, groups, biased)
        dweight = dweight.transpose(0, 3, 1, 2)
    elif biased:
        sums = parallel.over_rows(lambda some: column_sums(_matrix(rows[some])), rows)
        dbias = sum(sums, np.zeros_like(rows, shape=rows.shape[-1]))
    return (dx, dweight, dbias) if has_bias else (dx, dweight)


def _leave(block, images, rows):
    """Nothing is left to be done to a block."""


def correlate(
    x: Array,
    weight: Array,
    y: Array,
    stride: Pair,
    start: Pair,
    dilation: Pair,
    groups: int,
    bias: Array | None = None,
    finish: Callable[[Array, slice, slice], None] = _leave,
    kept: dict[Any, Array] | None = None,
) -> None:
    """Fill y (N, OH, OW, O) with x (N, H, W, C) correlated with weight (O, KH, KW, C/groups), plus bias (O,).

    Outside of x all is 0. The window of y[:, 0, 0] begins at pixel `start` of x, which is negative where there is
    padding. `finish(block, images, rows)` may change each block of y in place while it is still in the cache."""
    tile = winograd.tile_size(x, y.shape, weight.shape, stride, dilation, groups, kept is not None)
    if tile:
        winograd.correlate(x, weight, y, start, tile, bias, finish, kept)
        return
    O, KH, KW, _ = weight.shape
    depthwise = groups == x.shape[3] == O
    planes = _by_planes(x, groups)
    kernels = weight.reshape(groups, O // groups, -1)  # (G, O/G, KH·KW·C/G), a view
    if planes:
        bias = np.zeros_like(weight, shape=O) if bias is None else bias
        kernels = np.vstack([kernels[0].T, bias])  # (KH·KW·C + 1, O)
    elif depthwise:
        kernels = weight[..., 0].transpose(1, 2, 0).copy()  # (KH, KW, C)

    def work(block):
        images, rows = block
        out = y[images, rows]
        if planes:
            columns = plane_columns(x, images, rows, y.shape[2], (KH, KW), stride, start, dilation)
            _product(columns.T, kernels, out)  # (rows, KH·KW·C + 1) @ (KH·KW·C + 1, O)
            finish(out, images, rows)
            return
        slab = _slab(x, images, rows, y.shape[2], (KH, KW), stride, start, dilation)
        view = windows(slab, (KH, KW), stride, dilation)  # (n, r, OW, KH, KW, C)
        if depthwise:
            _depthwise(view, kernels, out)
        else:
            for part, kernel, some in zip(_split(view, groups), kernels, _split(out, groups), strict=True):
                _product(_columns(part), kernel.T, some)
        if bias is not None:
            each_row(np.add, out, bias)
        finish(out, images, rows)

    parallel.run(work, _blocks(x, y, KH * KW * weight.shape[3]))


def image_gradient(
    dy: Array, weight: Array, dx: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """Fill dx (N, H, W, C) with the gradient of `correlate` for its image, given dy (N, OH, OW, O).

    Back through the product, dcolumns = dy @ kernels, and back through im2col: what a window's columns were copied
    from, it adds to (col2im). One tap of the kernel at a time: there, no two windows meet. Winograd's way is another
    view of the same sum, a correlation of dy with the turned kernel (tutorial 11)."""
    O, KH, KW, CG = weight.shape
    tile = winograd.tile_size(dy, dx.shape, weight.shape, stride, dilation, groups)
    if tile:
        winograd.image_gradient(dy, weight, dx, (padding[0] - 2, padding[1] - 2), tile)
        return
    planes, depthwise = _by_planes(dx, groups), groups == O == dx.shape[3]
    if depthwise and stride == (1, 1):  # the turned kernel reads every pixel once, where col2im adds up KH·KW times
        start = (padding[0] - dilation[0] * (KH - 1), padding[1] - dilation[1] * (KW - 1))
        correlate(dy, weight[:, ::-1, ::-1], dx, stride, start, dilation, groups)
        return
    dx = dx.reshape(*dx.shape[:3], groups, CG)

    def work(blocks):
        dx[blocks[0][0]] = 0
        for images, rows in blocks:
            some = dy[images, rows]
            said = None if depthwise else _dcolumns(some, weight, groups, planes)
            for k in range(KH):
                for l in range(KW):
                    top = rows.start * stride[0] + k * dilation[0] - padding[0]
                    rows_y, rows_x = inside(top, stride[0], some.shape[1], dx.shape[1])
                    cols_y, cols_x = inside(l * dilation[1] - padding[1], stride[1], some.shape[2], dx.shape[2])
                    pixels = dx[images, rows_x, cols_x]
                    if depthwise:
                        pixels += some[:, rows_y, cols_y, :, None] * weight[:, k, l]
                    else:
                        pixels += said[k, l][:, rows_y, cols_y]

    parallel.run(work, _blocks_by_images(dy, dx, KH * KW * dx.shape[-1] * groups))


def weight_gradient(
    x: Array, dy: Array, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int, biased: bool
) -> tuple[Array, Array | None]:
    """dweight (O, KH, KW, C/groups): for every tap, the sum over all windows of dy times the pixel under that tap.

    With it dbias (O,), the sum of dy, if it is `biased`, else None."""
    O, KH, KW, CG = shape
    start = (-padding[0], -padding[1])
    tile = winograd.tile_size(x, dy.shape, shape, stride, dilation, groups)
    if tile:
        return winograd.weight_gradient(x, dy, start, tile, biased)

    planes = _by_planes(x, groups)

    def work(blocks):
        total = np.zeros_like(dy, shape=(groups, O // groups, KH * KW * CG), order="C")
        sums = np.zeros_like(dy, shape=O)
        for images, rows in blocks:
            some = dy[images, rows]
            if planes:
                columns = plane_columns(x, images, rows, dy.shape[2], (KH, KW), stride, start, dilation)
                grown = parallel.product(columns, _matrix(some))  # (KH·KW·C + 1, rows) @ (rows, O)
                total[0] += grown[:-1].T
                sums += grown[-1]
                continue
            if biased:
                sums += column_sums(_matrix(some))
            slab = _slab(x, images, rows, dy.shape[2], (KH, KW), stride, start, dilation)
            view = windows(slab, (KH, KW), stride, dilation)  # (n, r, OW, KH, KW, C)
            if groups == x.shape[3] == O:
                total += np.einsum("nijklc,nijc->ckl", view, some).reshape(total.shape)
                continue
            for g, (part, grown) in enumerate(zip(_split(view, groups), _split(some, groups), strict=True)):
                total[g] += parallel.product(_matrix(grown).T, _columns(part))  # (O/G, rows) @ (rows, KH·KW·C/G)
        return total, sums

    blocks = _blocks(x, dy, KH * KW * CG)
    share = math.ceil(len(blocks) / parallel.get_num_threads())
    totals = parallel.run(work, [blocks[i : i + share] for i in range(0, len(blocks), share)])
    dweight, dbias = (sum(parts[1:], parts[0]) for parts in zip(*totals, strict=True))
    return dweight.reshape(shape), dbias if biased else None


def _checked_shape(x, weight, bias, stride, padding, dilation, groups):
    """(N, O, OH, OW), or the error that says why these arguments do not fit."""
    check_arrays("conv2d", x=x, weight=weight, bias=bias)
    check_rank("conv2d", 4, "(N, C, H, W)", x=x)
    check_rank("conv2d", 4, "(O, C/groups, KH, KW)", weight=weight)
    N, C, H, W = x.shape
    O, CG, KH, KW = weight.shape
    shown = {"x": ("(N, C, H, W)", x), "weight": ("(O, C/groups, KH, KW)" if groups != 1 else "(O, C, KH, KW)", weight)}
    if not is_integer(groups) or groups < 1 or O % groups or C % groups:
        raise OptionError(f"conv2d: groups must divide both {C} input and {O} output channels, got {groups!r}")
    if CG * groups != C:
        wanted = f"weight expects {CG}" if groups == 1 else f"weight expects {CG} in each of {groups} groups"
        raise shape_error("conv2d", f"x has {C} channels but {wanted}", **shown)
    if not O or not C:
        raise shape_error("conv2d", f"there are {C} input and {O} output channels, but at least 1 is needed", **shown)
    if bias is not None and tuple(bias.shape) != (O,):
        problem = f"bias must have one number for each of {O} output channels"
        raise shape_error("conv2d", problem, **shown, bias=("(O,)", bias))
    OH = output_size(H, KH, stride[0], padding[0], dilation[0])
    OW = output_size(W, KW, stride[1], padding[1], dilation[1])
    if OH < 1 or OW < 1 or KH < 1 or KW < 1:
        size = f"{dilation[0] * (KH - 1) + 1}x{dilation[1] * (KW - 1) + 1}"
        padded = f"{H + 2 * padding[0]}x{W + 2 * padding[1]}"
        raise shape_error("conv2d", f"the kernel spans {size} but the padded image is only {padded}", **shown)
    return N, O, OH, OW


def _nhwc(a):
    """(N, C, H, W) seen as (N, H, W, C); copied only if its memory is not already in that order."""
    view = a.transpose(0, 2, 3, 1)
    return view if view.flags.c_contiguous else view.copy()


def _image(x, groups):
    """The image (N, C, H, W) seen as (N, H, W, C), for `correlate` and `weight_gradient`: planes stay as they are."""
    view = x.transpose(0, 2, 3, 1)
    return view if _by_planes(view, groups) else _nhwc(x)


def _by_planes(x, groups):
    """True if the columns of x (N, H, W, C) are to be made by `plane_columns`."""
    return groups == 1 and x.shape[3] <= FEW_CHANNELS and parallel.on_cpu(x)


def _blocks(x, y, row_length):
    """Cut y (N, OH, OW, O) into blocks (images, rows) whose columns, `row_length` numbers each, fit the cache."""
    N, OH, OW, O = y.shape
    line = OW * row_length * x.dtype.itemsize  # bytes of columns for one row of output pixels
    if not parallel.on_cpu(x):
        count = min(N, math.ceil(N * OH * line / GPU_COLUMN_BYTES))
        return [(images, slice(0, OH)) for images in parallel.cut(N, max(1, count))]
    if N * OH * line <= parallel.SMALL_BYTES:
        return [(slice(0, N), slice(0, OH))]
    budget = max(COLUMN_BYTES, O * row_length * x.dtype.itemsize)  # large kernels want more rows to meet at a time
    threads = parallel.get_num_threads()
    if OH * line <= budget and threads <= N:
        return [(images, slice(0, OH)) for images in parallel.fair(N, math.ceil(N * OH * line / budget))]
    rows = max(1, min(OH, budget // line))
    return [(slice(n, n + 1), slice(r, min(r + rows, OH))) for n in range(N) for r in range(0, OH, rows)]


def _dcolumns(dy, weight, groups, planes):
    """dy @ kernels: what each window says to the pixels under it.   dy (n, r, OW, O)  ->  (KH, KW, n, r, OW, G, C/G)"""
    (n, r, OW, O), (_, KH, KW, CG) = dy.shape, weight.shape
    kernels = weight.reshape(groups, O // groups, KH * KW * CG)
    dcolumns = parallel.scratch("columns", (groups, n * r * OW, KH * KW * CG), dy)
    if planes:
        parallel.product(kernels[0].T, _matrix(dy).T, out=dcolumns.reshape(KH * KW * CG, -1))
        return dcolumns.reshape(KH, KW, CG, 1, n, r, OW).transpose(0, 1, 4, 5, 6, 3, 2)
    for some, kernel, out in zip(_split(dy, groups), kernels, dcolumns, strict=True):
        parallel.product(_matrix(some), kernel, out=out)  # (rows, O/G) @ (O/G, KH·KW·C/G)
    return dcolumns.reshape(groups, n, r, OW, KH, KW, CG).transpose(4, 5, 1, 2, 3, 0, 6)


def _blocks_by_images(dy, dx, row_length):
    """`_blocks` of dy in lists that share no image, for work on dx, where the blocks of an image overlap."""
    blocks = _blocks(dx, dy, row_length)
    return [list(same) for _, same in groupby(blocks, key=lambda block: block[0].start)]


def _slab(x, images, rows, OW, kernel, stride, start, dilation):
    """The part of x (N, H, W, C) under a block of windows, with zeros where that part lies outside of the image."""
    top = start[0] + rows.start * stride[0]
    bottom = start[0] + (rows.stop - 1) * stride[0] + dilation[0] * (kernel[0] - 1) + 1
    left, right = start[1], start[1] + (OW - 1) * stride[1] + dilation[1] * (kernel[1] - 1) + 1
    return image_slab(x, images, (top, bottom), (left, right))


def _split(a, groups):
    """The channels (last axis) of each group, as views."""
    size = a.shape[-1] // groups
    return [a[..., g * size : (g + 1) * size] for g in range(groups)]


def _columns(view):
    """Windows (n, r, OW, KH, KW, C) as a matrix (n·r·OW, KH·KW·C): im2col into scratch memory."""
    n, r, OW, KH, KW, C = view.shape
    if KH == KW == 1 and view.flags.c_contiguous:  # a 1x1 kernel: the image is its own matrix
        return view.reshape(n * r * OW, C)
    columns = parallel.scratch("columns", view.shape, view)
    columns[...] = view
    return columns.reshape(n * r * OW, KH * KW * C)


def _matrix(block):
    """(n, r, OW, C) as (n·r·OW, C), without a copy if the memory allows."""
    return block.reshape(-1, block.shape[-1])


def _product(columns, kernels, out):
    """out (n, r, OW, O) = columns (n·r·OW, K) @ kernels (K, O)"""
    if out.flags.c_contiguous:
        parallel.product(columns, kernels, out=_matrix(out))
    else:
        result = parallel.scratch("product", (columns.shape[0], kernels.shape[1]), columns)
        parallel.product(columns, kernels, out=result)
        out[...] = result.reshape(out.shape)


def _depthwise(view, taps, out):
    """out (n, r, OW, C) = Σ over taps of view (n, r, OW, KH, KW, C) · taps (KH, KW, C): no columns needed."""
    out[...] = np.einsum("nijklc,klc->nijc", view, taps)
