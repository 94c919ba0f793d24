"""The moments that a convolution leaves for the batch-norm behind it: right, exact, and only where they are meant."""

import re

import numpy as np
import pytest

from tinyvision import nn, precision
from tinyvision.device import precision_of
from tinyvision.kernels import conv, conv_halves, depthwise, launch, moments, norm, tensor_cores, winograd
from tinyvision.ops import conv2d_forward
from tinyvision.ops.convolution.sliding import Sliding
from tinyvision.ops.norm import batch_moments

from . import test_depthwise, test_winograd
from .compare import close
from .test_conv import FP32, SHAPES, TF32
from .test_halves import only
from .test_planted_bugs import notices, plant

KERNELS = [kernel for kernel in tensor_cores.TILES if kernel.startswith("correlate")]
KERNELS += ["correlate_fp32_64", "correlate_fp32_128"]
SINGLE = 2e-6  # float32, joined in pairs: a few roundings, whatever the number of pixels


def convolved(emulation, shape, kernel, rng, images=None, bias=None):
    """y (N, OH, OW, O) of a convolution that is measured by this kernel, and what it leaves."""
    N, C, H, W, O, taps, stride, padding, dilation, groups = shape
    x = rng.standard_normal((N, H, W, C)) if images is None else images
    weight = emulation.array((rng.standard_normal((O, C // groups, *taps)) / 8).astype(np.float32))
    sides = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip((H, W), padding, dilation, taps, stride, strict=True)
    ]
    x = emulation.array(x.astype(np.float32))
    y = emulation.empty(x, (N, *sides, O))
    sliding = Sliding(stride, padding, dilation, groups)
    with precision("ieee" if "fp32" in kernel else "tf32"), moments.measured():
        taps = conv.arranged(weight, groups)
        shift = None if bias is None else emulation.array(bias)
        conv.correlate(x, taps, y, stride, sliding.start, dilation, groups, kernel, shift=shift, measured=True)
        left = moments.taken(y)
    bias = None if bias is None else bias.astype(float)
    about = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    right, _ = conv2d_forward(x.transpose(0, 3, 1, 2).astype(float), weight.astype(float), bias, **about)
    tolerance = FP32 if "fp32" in kernel else TF32
    assert np.abs(launch.channels_first(y) - right).max() <= tolerance * np.abs(right).max()
    return y, left


def by_winograd(emulation, shape, rng, bias):
    N, C, H, W, O, padding = shape
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((N, H, W, C), (O, C, 3, 3)))
    y = emulation.empty(x, (N, H + 2 * padding[0] - 2, W + 2 * padding[1] - 2, O))
    with moments.measured():
        about = {"shift": emulation.array(bias), "measured": True}
        winograd.correlate(x, winograd.transformed(w), y, (-padding[0], -padding[1]), **about)
        left = moments.taken(y)
    right, _ = conv2d_forward(
        x.transpose(0, 3, 1, 2).astype(float), w.astype(float), bias.astype(float), padding=padding
    )
    assert np.abs(launch.channels_first(y) - right).max() <= test_winograd.TOLERANCE * np.abs(right).max()
    return y, left


def by_depthwise(emulation, shape, rng, bias):
    N, C, H, W, size, *pairs = shape
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((N, H, W, C), (C, 1, *size)))
    options = dict(zip(("stride", "padding", "dilation"), pairs, strict=True))
    first = x.transpose(0, 3, 1, 2)
    right, _ = conv2d_forward(first.astype(float), w.astype(float), bias.astype(float), groups=C, **options)
    with moments.measured():
        y, _ = depthwise.DROP_INS[0].forward(first, w, emulation.array(bias), groups=C, **options)
        rows = launch.channels_last(y)
        left = moments.taken(rows)
    assert np.abs(y - right).max() <= test_depthwise.TOLERANCE * np.abs(right).max()
    return rows, left


def agree(y, left, tolerance=SINGLE):
    rows = y.reshape(-1, y.shape[3]).astype(float)
    assert left.partial.shape == (-(-len(rows) // left.rows), 2, y.shape[3])
    for got, right in zip(of_channels(left, len(rows)), (rows.mean(0), rows.var(0)), strict=True):
        assert np.abs(got - right).max() <= 2 * tolerance * np.abs(right).max()


def biased(channels, rng):
    return (3 + rng.standard_normal(channels)).astype(np.float32)


@pytest.mark.parametrize("name", [*test_winograd.SHAPES, "chunks of tiles", "chunks of images"])
def test_winograd_measures_what_it_computes(emulation, rng, name):
    more = {"chunks of tiles": (7, 2, 8, 9, 34, (1, 1)), "chunks of images": (7, 2, 6, 7, 5, (1, 1))}
    shape = {**test_winograd.SHAPES, **more}[name]
    agree(*by_winograd(emulation, shape, rng, biased(shape[4], rng)))


def test_winograd_in_several_passes_leaves_none(emulation, rng, monkeypatch):
    monkeypatch.setattr(winograd, "WORKSPACE", 1)
    assert by_winograd(emulation, test_winograd.SHAPES["odd everything"], rng, biased(37, rng))[1] is None


FAST = [name for name, shape in test_depthwise.SHAPES.items() if depthwise._fast(shape[4], shape[5], shape[7])]


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("blocks", [1, 3, 1056])
def test_depthwise_measures_what_it_computes(emulation, rng, monkeypatch, name, blocks):
    monkeypatch.setattr(depthwise, "MEASURED_BLOCKS", blocks)
    shape = test_depthwise.SHAPES[name]
    agree(*by_depthwise(emulation, shape, rng, biased(shape[1], rng)))
    assert not any(kernel.startswith("depthwise_forward") for kernel in emulation.launched)


def test_depthwise_without_a_fast_version_leaves_none(emulation, rng):
    shape = test_depthwise.SHAPES["odd everything"]
    assert by_depthwise(emulation, shape, rng, biased(shape[1], rng))[1] is None


def of_channels(left, M):
    """(mean, biased variance) from the tiles' moments, joined in float64."""
    means, squares = left.partial.astype(float).transpose(1, 0, 2)
    counts = np.full(len(means), left.rows)
    counts[-1] = M - left.rows * (len(means) - 1)
    mean = counts @ means / M
    var = (squares.sum(0) + counts @ (means - mean) ** 2) / M
    return mean.astype(np.float32), var.astype(np.float32)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_kernel_measures_what_it_computes(emulation, rng, name, kernel):
    bias = rng.standard_normal(SHAPES[name][4]).astype(np.float32)
    for shift in (None, bias):
        y, left = convolved(emulation, SHAPES[name], kernel, rng, bias=shift)
        rows = y.reshape(-1, y.shape[3]).astype(float)
        assert left.partial.shape == (-(-len(rows) // left.rows), 2, y.shape[3])
        mean, var = of_channels(left, len(rows))
        close(mean, rows.mean(0), SINGLE)
        close(var, rows.var(0), 2 * SINGLE)


@pytest.mark.parametrize("kernel", ["correlate_mma_64x64", "correlate_wgmma_128x128"])
def test_a_mean_that_is_a_thousand_times_the_deviation(emulation, rng, kernel):
    """As good as the two passes that they replace: E[y²] - E[y]² would keep no digit of the variance."""
    shape = (3, 8, 19, 17, 12, (1, 1), (1, 1), (0, 0), (1, 1), 1)
    images = np.abs(rng.standard_normal((1, 1, 1, 8))) * 1e3 + rng.standard_normal((3, 19, 17, 8))
    y, left = convolved(emulation, shape, kernel, rng, images)
    doubles = y.reshape(-1, 12).astype(float)
    spread = np.abs(doubles.mean(0)) / doubles.std(0)
    assert spread.max() > 1e3
    here = []
    for with_left in (True, False):
        with moments.measured():
            if with_left:
                moments.leave(*left)
            here.append(norm.batch_moments(launch.channels_first(y)))
    assert emulation.launched.count("moments_of_chunks_four") == 1
    for mean, var in here:
        close(mean, doubles.mean(0), SINGLE)
        assert (np.abs(var - doubles.var(0)) <= 2e-5 * doubles.var(0) * np.maximum(1, spread / 1e2)).all()
    naive = (y.reshape(-1, 12) ** 2).mean(0) - y.reshape(-1, 12).mean(0) ** 2
    assert (np.abs(naive - doubles.var(0)) > 0.1 * doubles.var(0)).any()


@pytest.mark.parametrize("count", [2, 97, 129, 700])
def test_chunks_are_joined_by_fours_and_by_ones(emulation, rng, count):
    partial, rows, last, C = rng.standard_normal((count, 2, 9)), 64, 5, 9
    partial[:, 0] += 1e3
    partial[:, 1] = np.abs(partial[:, 1]) * rows
    left = moments.Left(None, partial.astype(np.float32), rows)
    M = rows * (count - 1) + last
    x = launch.channels_first(emulation.array(np.zeros((M, 1, 1, C), np.float32)))
    with moments.measured():
        moments.leave(launch.channels_last(x), emulation.array(left.partial), rows)
        mean, var = norm.batch_moments(x)
    right = of_channels(left, M)
    close(mean, right[0], SINGLE)
    close(var, right[1], 5e-5)


@pytest.mark.parametrize("mode", ["tf32", "bf16"])
def test_the_drop_ins_leave_them_where_a_batch_norm_follows(emulate, rng, monkeypatch, mode):
    emulation = emulate(generation="ampere")
    monkeypatch.setattr(precision_of, "cuda", mode)
    drop_in = (conv if mode == "tf32" else conv_halves).DROP_INS[0]
    x, w, b = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((2, 5, 9, 8), (8, 5, 3, 3), (8,)))

    def moments_of(y):
        emulation.launched.clear()
        got = norm.batch_moments(y)
        for a, right in zip(got, batch_moments(y.astype(float)), strict=True):
            close(a, right, SINGLE * 2)
        return emulation.launched

    with moments.measured():
        y = drop_in.forward(x, w, b)[0]
        assert moments_of(y) == ["moments_joined"]
        assert moments_of(y) == ["moments_of_chunks_four", "moments_joined"], "they are taken once"
    assert moments_of(drop_in.forward(x, w)[0]) == ["moments_of_chunks_four", "moments_joined"], "nobody asked"
    with moments.measured():
        y = drop_in.forward(x, w)[0]
        assert moments_of(y * 2)[0] == "moments_of_chunks_four", "of other memory"
    assert moments.taken(launch.channels_last(y)) is None, "nothing is kept when the block ends"


@pytest.mark.parametrize("way", [conv, winograd, depthwise])
def test_and_in_full_precision(emulation, rng, monkeypatch, way):
    monkeypatch.setattr(winograd, "pays", lambda *shapes: True)
    groups, weight = (8, (8, 1, 3, 3)) if way is depthwise else (1, (8, 8, 3, 3))
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((2, 8, 9, 8), weight))
    assert way.DROP_INS[0].applies(x, w, groups=groups)
    with moments.measured():
        y = way.DROP_INS[0].forward(x, w, groups=groups)[0]
        emulation.launched.clear()
        got = norm.batch_moments(y)
    assert emulation.launched == ["moments_joined"]
    for a, right in zip(got, batch_moments(y.astype(float)), strict=True):
        close(a, right, SINGLE * 2)


def test_a_hook_that_changes_what_the_convolution_gives_is_heeded(monkeypatch):
    """It may write into the very memory: what has hooks is not measured."""
    seen = []
    monkeypatch.setattr(moments.measured, "__enter__", lambda self: seen.append(self))
    layers = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    x = nn.functional.pad(nn.Parameter(np.ones((2, 2, 2, 2), np.float32)), (1, 1))
    layers(x)
    assert len(seen) == 1
    layers[0].register_forward_hook(lambda module, given, y: y.add_(1))
    layers(x)
    assert len(seen) == 1


MISTAKES = {
    "a row too many": ("own += product.row_of(r) < rows", "own += product.row_of(r) <= rows"),
    "distances of rows beyond the last": ("? distance * distance : 0.f", "|| true ? distance * distance : 0.f"),
    "the pull between two groups forgotten": ("4 << step) + delta * delta * weight[step];", "4 << step);"),
    "lanes of other columns": ("__shfl_xor_sync(~0u, mean, 4 << step)", "__shfl_xor_sync(~0u, mean, 2 << step)"),
    "every warp as full as the first": ("int left = rows - warp * (TM / ABREAST);", "int left = rows;"),
    "warps in one place": ("(product.abreast() * TN + product.column_of(c))", "product.column_of(c)"),
    "barrier before the ring is reused": ("    __syncthreads();  // nobody's product reads", "    // nobody's"),
    "barrier before the warps are joined": ("    __syncthreads();\n    for (int column", "    for (int column"),
    "the bias forgotten": ("shift ? mean + shift[first_o + column] : mean", "mean"),
    "columns beyond the last kernel": ("column < TN && first_o + column < channels;", "column < TN;"),
    "another tile's place": ("blockIdx.x * 2 * g.groups * g.O", "blockIdx.x * g.groups * g.O"),
    "another group's place": (" + group * g.O;\n        leave", ";\n        leave"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_noticed(emulate, rng, name):
    (old, new), planted = MISTAKES[name], []

    def run(kernel, order):
        def change(text):
            planted.append(old in text)
            return only(kernel)(text).replace(old, new)

        for shape in (SHAPES["odd everything"], SHAPES["groups"], (1, 4, 19, 11, 40, (1, 1), *3 * [(1, 1)], 1)):
            bias = 3 + rng.standard_normal(shape[4]).astype(np.float32)
            y, left = convolved(emulate(change=change, order=order), shape, kernel, rng, bias=bias)
            rows = y.reshape(-1, y.shape[3]).astype(float)
            for got, right in zip(of_channels(left, len(rows)), (rows.mean(0), rows.var(0)), strict=True):
                assert np.abs(got - right).max() <= 2 * SINGLE * np.abs(right).max()

    tried = [(kernel, order) for order in (0, 1, 2) for kernel in ("correlate_wgmma_128x64", "correlate_mma_64x64")]
    assert any(notices(lambda pair=pair: run(*pair), planted) for pair in tried)
    assert all(re.search(re.escape(old), launch.text("tensor_cores")) for old, _ in MISTAKES.values())


def test_the_same_check_passes_without_a_mistake(emulate, rng):
    for order in (0, 1, 2):
        for kernel in ("correlate_wgmma_128x64", "correlate_mma_64x64"):
            shape, bias = SHAPES["odd everything"], np.full(5, 3, np.float32)
            y, left = convolved(emulate(order=order), shape, kernel, rng, bias=bias)
            rows = y.reshape(-1, y.shape[3]).astype(float)
            for got, right in zip(of_channels(left, len(rows)), (rows.mean(0), rows.var(0)), strict=True):
                assert np.abs(got - right).max() <= 2 * SINGLE * np.abs(right).max()


ELSEWHERE = {  # text: mistake
    "conv: a row too many": ("own += product.ty + 16 * i < rows", "own += product.ty + 16 * i <= rows"),
    "conv: distances of rows beyond the last": (
        "16 * i < rows ? distance * distance",
        "16 * i < 999 ? distance * distance",
    ),
    "conv: the pull between two threads forgotten": (" + delta * delta * weight;", ";"),
    "conv: threads of other columns": ("__shfl_xor_sync(~0u, mean, 16)", "__shfl_xor_sync(~0u, mean, 8)"),
    "conv: every warp as full as the first": ("rows % 16 - 2 * warp;", "rows % 16;"),
    "conv: barrier before the ring is reused": ("    __syncthreads();  // nobody's product reads", "    // nobody's"),
    "conv: barrier before the warps are joined": ("    __syncthreads();\n    for (int column", "    for (int column"),
    "conv: the bias forgotten": ("shift ? mean + shift[first_o + column] : mean", "mean"),
    "conv: another tile's place": ("blockIdx.x * 2 * g.groups * g.O", "blockIdx.x * g.groups * g.O"),
    "winograd: pixels beyond the edge": ("squares += k < down && l < across ?", "squares += k < down || l < across ?"),
    "winograd: a tile as full as a whole one": ("own = joined(own, {float(down * across),", "own = joined(own, {16.f,"),
    "winograd: the bias forgotten": ("m[k][l] += bias;", ""),
    "winograd: barrier before the lanes are joined": (
        "    __syncthreads();\n    if (threadIdx.x >= CHANNELS",
        "    if (threadIdx.x >= CHANNELS",
    ),
    "winograd: a lane forgotten": ("int lane = 1; lane < LANES", "int lane = 2; lane < LANES"),
    "winograd: tiles of the next chunk": ("begin + tiles < T ? begin + tiles : T;", "T;"),
    "depthwise: pixels beyond the row": ("squares += s < count ?", "squares += s < 9 ?"),
    "depthwise: a strip as full as a whole one": ("own = joined(own, {count,", "own = joined(own, {4.f,"),
    "depthwise: the bias forgotten": ("sum[s] += bias;", ""),
    "depthwise: rows of the next chunk": ("at < end * strips &&", "at < g.N * g.OH * strips &&"),
    "depthwise: a lane forgotten": (
        "int lane = 1; lane < LANES; lane++) own",
        "int lane = 2; lane < LANES; lane++) own",
    ),
}


def elsewhere(emulation, text, rng):
    """Moments of one of the texts besides tensor_cores.cu, compared."""
    if text == "conv":
        for shape in (SHAPES["odd everything"], SHAPES["groups"], (1, 4, 19, 11, 40, (1, 1), *3 * [(1, 1)], 1)):
            agree(*convolved(emulation, shape, "correlate_fp32_64", rng, bias=biased(shape[4], rng)))
    elif text == "winograd":
        for shape in ((7, 2, 6, 7, 5, (1, 1)), (7, 2, 8, 9, 34, (1, 1))):
            agree(*by_winograd(emulation, shape, rng, biased(shape[4], rng)))
    else:
        shape = test_depthwise.SHAPES["more output rows than lanes"]
        agree(*by_depthwise(emulation, shape, rng, biased(shape[1], rng)))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_planted_mistakes_are_noticed_elsewhere(emulate, rng, name):
    change, planted = plant(ELSEWHERE[name])
    text = name.partition(":")[0]
    assert any(
        notices(lambda order=order: elsewhere(emulate(change=change, order=order), text, rng), planted)
        for order in (0, 1, 2)
    )


@pytest.mark.parametrize("text", ["conv", "winograd", "depthwise"])
def test_elsewhere_the_same_check_passes_without_a_mistake(emulate, rng, text):
    for order in (0, 1, 2):
        elsewhere(emulate(order=order), text, rng)
