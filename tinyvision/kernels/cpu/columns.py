"""The general way to convolve, im2col and a product as in `ops.convolution.columns`, whose columns are filled, added
back and finished in loops.

The channels of a pixel lie side by side, so under a kernel's row lie KW·C numbers of the image without a gap: a window
is KH runs of memory. For a 1×1 kernel at stride 1 the image is its own matrix. Where channels are few, the runs are too
short, and the op's planes are quicker."""

import math
from typing import Any

import numpy as np

from ... import blocks, threads
from ...ops.convolution.planes import FEW_CHANNELS
from ...ops.convolution.sliding import COLUMN_BYTES
from ...types import Array
from ..ways import ACTIVATIONS, Way, drop_ins
from .activation import finished
from .channels import column_sums
from .compiled import loop, part
from .lines import NO_IMAGE, NO_VECTOR, channels_are_last, done_in_parts


@part
def inside(left: int, run: int, length: int) -> tuple[int, int]:
    """Which of the numbers left ... left + run lie on a line of this length: from the first to before the last."""
    first = min(run, max(0, -left))
    return first, max(first, min(run, length - left))


@loop("void(f4[:,:,:,::1], f4[:,::1], i8[::1], i8, i8, i8)", "columns")
def filled(x: Array, columns: Array, window: Any, start: int, begin: int, end: int) -> None:
    """columns (windows of the lines from `start` on, KH·KW·C) = what those of lines begin ... end see of x, 0 outside.

    window: KH, KW, SH, SW, PH, PW, OH, OW."""
    KH, KW, SH, SW, PH, PW, OH, OW = window
    N, H, W, C = x.shape
    lines, run = x.reshape(N, H, W * C), KW * C
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            row, left = (line - start) * OW + j, (j * SW - PW) * C
            first, last = inside(left, run, W * C)
            for k in range(KH):
                h, place = i * SH + k - PH, k * run
                if h < 0 or h >= H:
                    for t in range(run):
                        columns[row, place + t] = 0
                    continue
                for t in range(first):
                    columns[row, place + t] = 0
                for t in range(first, last):
                    columns[row, place + t] = lines[n, h, left + t]
                for t in range(last, run):
                    columns[row, place + t] = 0


@loop("void(f4[:,::1], f4[:,:,:,::1], i8[::1], i8, i8)", "dx")
def added_back(columns: Array, dx: Array, window: Any, begin: int, end: int) -> None:
    """dx += what the windows of lines begin ... end, the rows of `columns`, say to the pixels that they see."""
    KH, KW, SH, SW, PH, PW, OH, OW = window
    N, H, W, C = dx.shape
    lines, run = dx.reshape(N, H, W * C), KW * C
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            row, left = (line - begin) * OW + j, (j * SW - PW) * C
            first, last = inside(left, run, W * C)
            for k in range(KH):
                h, place = i * SH + k - PH, k * run
                if h < 0 or h >= H:
                    continue
                for t in range(first, last):
                    lines[n, h, left + t] += columns[row, place + t]


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None):
    kernels, (N, OH, OW, O) = _matrix(weight).T, y.shape
    window, rows, width = _window(weight.shape, y.shape, sliding), y.reshape(-1, O), kernels.shape[0]
    vectors = [NO_VECTOR if v is None else np.ascontiguousarray(v) for v in (scale, shift)]
    added, what = NO_IMAGE if skip is None else skip, ACTIVATIONS[activation]
    finishes = scale is not None or shift is not None or skip is not None or what

    if outweighed(y.shape):  # (rows, K) @ (K, some of O)
        columns = _all_columns(x, window, N * OH, width)
        threads.run(lambda some: np.matmul(columns, kernels[:, some], out=rows[:, some]), _some_channels(O))
        if finishes:
            done_in_parts(finished, N * OH, y.nbytes, y, *vectors, added, what)
        return

    def work(lines):
        begin, end = lines.start, lines.stop
        columns = _columns(x, window, begin, end, width)
        np.matmul(columns, kernels, out=rows[begin * OW : end * OW])  # (rows, K) @ (K, O)
        if finishes:
            finished(y, *vectors, added, what, begin, end)

    threads.run(work, _lines(N * OH, OW * width, O * width))


def _image_gradient(dy, weight, dx, sliding):
    """Back through the product, and what a window's columns say is added to its pixels, image by image."""
    kernels, (N, OH, OW, O) = _matrix(weight), dy.shape
    window, rows, width = _window(weight.shape, dy.shape, sliding), dy.reshape(-1, O), kernels.shape[1]
    if _is_own_matrix(window):
        blocks.product(rows, kernels, out=dx.reshape(rows.shape[0], width))
        return

    def work(images):
        dx[images] = 0
        for lines in _lines((images.stop - images.start) * OH, OW * width, O * width, at_once=1):
            begin, end = images.start * OH + lines.start, images.start * OH + lines.stop
            columns = blocks.scratch("columns", ((end - begin) * OW, width), dy)
            blocks.product(rows[begin * OW : end * OW], kernels, out=columns)  # (rows, O) @ (O, K)
            added_back(columns, dx, window, begin, end)

    threads.run(work, blocks.cut(N, min(N, threads.get_num_threads())))


def _weight_gradient(x, dy, shape, sliding):
    (O, C, KH, KW), (N, OH, OW, _) = shape, dy.shape
    window, rows, width = _window(shape, dy.shape, sliding), dy.reshape(-1, O), KH * KW * C
    if outweighed(dy.shape):
        columns, dweight = _all_columns(x, window, N * OH, width), np.empty((O, width), np.float32)
        threads.run(lambda some: np.matmul(rows[:, some].T, columns, out=dweight[some]), _some_channels(O))
    else:
        pieces = _lines(N * OH, OW * width, O * width)
        share = math.ceil(len(pieces) / threads.get_num_threads())

        def sum_of(several):
            total = np.zeros((O, width), np.float32)
            for lines in several:
                columns = _columns(x, window, lines.start, lines.stop, width)
                total += np.matmul(rows[lines.start * OW : lines.stop * OW].T, columns)  # (O, rows) @ (rows, K)
            return total

        totals = threads.run(sum_of, [pieces[i : i + share] for i in range(0, len(pieces), share)])
        dweight = sum(totals[1:], totals[0])
    return dweight.reshape(O, KH, KW, C).transpose(0, 3, 1, 2)


def _matrix(weight):
    """weight (O, C, KH, KW) as (O, KH·KW·C): a view, if it lies channels-last in memory."""
    return np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(len(weight), -1)


def _window(weight_shape, y_shape, sliding):
    return np.array([*weight_shape[2:], *sliding.stride, *sliding.padding, *y_shape[1:3]])


def _is_own_matrix(window):
    """Whether every window is one pixel, and every pixel a window."""
    return window[:6].tolist() == [1, 1, 1, 1, 0, 0]


def _columns(x, window, begin, end, width):
    """The windows of some lines as rows of `width` numbers, in scratch memory."""
    OW = int(window[7])
    if _is_own_matrix(window):
        return x.reshape(-1, width)[begin * OW : end * OW]
    columns = blocks.scratch("columns", ((end - begin) * OW, width), x)
    filled(x, columns, window, begin, begin, end)
    return columns


def _all_columns(x, window, lines, width):
    """The same for a whole batch, filled by several threads."""
    OW = int(window[7])
    if _is_own_matrix(window):
        return x.reshape(-1, width)
    columns = np.empty((lines * OW, width), np.float32)
    done_in_parts(filled, lines, columns.nbytes, x, columns, window, 0)
    return columns


def _lines(lines, numbers, kernels, at_once=None):
    """range(lines) in slices whose columns, `numbers` for a line, fit the cache; large kernels want more of them."""
    budget = max(COLUMN_BYTES, 4 * kernels)
    count = max(1, math.ceil(4 * lines * numbers / budget))
    if at_once == 1 or 4 * lines * numbers <= blocks.SMALL_BYTES:
        return blocks.cut(lines, min(count, lines))
    return blocks.fair(lines, count)


def _some_channels(O):
    return blocks.cut(O, min(O, threads.get_num_threads()))


def outweighed(y_shape: tuple[int, ...]) -> bool:
    """Whether the kernels outweigh the windows: each thread then reads its own part of the kernels alone."""
    return math.prod(y_shape[:3]) < y_shape[3]


def _applies(x, weight, output, sliding, finished):
    """Whether it is a single group of enough channels, and the pixels under a kernel's row lie side by side."""
    return sliding.groups == 1 and sliding.dilation == (1, 1) and x.shape[1] > FEW_CHANNELS and channels_are_last(x)


WAY = Way(_applies, _correlate, _image_gradient, _weight_gradient, in_loops=True, column_sums=column_sums)
DROP_INS = drop_ins(WAY, "conv2d", "conv2d_inference")
