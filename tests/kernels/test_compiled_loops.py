"""The CPU's loops against their ops in float64: as plain Python, and compiled where numba is installed."""

import ast
import importlib
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyvision import kernels, ops, threads
from tinyvision.errors import DeviceError
from tinyvision.kernels import DropIn
from tinyvision.kernels.cpu import along, channels, columns, compiled, depthwise, lines, winograd
from tinyvision.kernels.cpu.lines import TURNED
from tinyvision.kernels.cpu.registers import WIDTH as W
from tinyvision.kernels.ways import ACTIVATIONS
from tinyvision.ops.conv_inference import conv2d_inference
from tinyvision.ops.norm import running_moments

from .ahead import AHEAD, in_a_process, needs_numba

DROP_INS = [
    drop_in
    for module in compiled.MODULES
    for drop_in in importlib.import_module(f"tinyvision.kernels.cpu.{module}").DROP_INS
]
BY_OP = {drop_in.op[0].__name__: drop_in for drop_in in DROP_INS}  # of several, the last
READY = "from tinyvision.kernels.cpu import compiled; print(compiled.ready())"
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}  # float32: sums of a few hundred terms of size about 1


@pytest.fixture(autouse=True)
def small_images_as_well(monkeypatch):
    """Where an image is so small that a loop, or another thread, does not pay, it computes the same."""
    monkeypatch.setattr(lines, "LEAST_PRODUCTS", 0)
    monkeypatch.setattr(lines, "LEAST_BYTES", 0)
    monkeypatch.setattr(winograd, "pays", lambda *sizes: True)
    monkeypatch.setattr(along, "LEAST", 1)


def stand_in(name, *arrays, **options):
    """The drop-in that is chosen for these arrays."""
    chosen = [d for d in DROP_INS if d.op[0].__name__ == name and d.applies(*arrays, **options)]
    assert chosen, f"no loop for {name}"
    return chosen[0]


def last(a):
    """The same numbers with the channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 2 else a


def images(*shapes):
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def with_nan(rng):
    x = rng.standard_normal((2, 3, 5, 6))
    x[0, 1, 2, 3], x[1, 0, 0, 0], x[1, 2, 4, 5] = np.nan, np.inf, -np.inf
    return [x]


def two_with_nan(rng):
    """They meet nan, infinities and their like, also where they are the same."""
    x, target = *with_nan(rng), rng.standard_normal((2, 3, 5, 6))
    target[0, 0, 1, 2], target[1, 0, 0, 0], target[1, 1, 1, 1], x[1, 1, 1, 2] = (
        np.nan,
        np.inf,
        -np.inf,
        target[1, 1, 1, 2],
    )
    return [x, target]


def scores_and_targets(rng):
    return [np.tile(*far_out(rng), (2, 1)), rng.random((2, 13))]


def far_out(rng):
    return [np.array([-200, -104, -103.5, -90, -87.5, -17, -3, -0.0, 0, 3, 17, 88, 200.0])]


def six_channels_with_nan(rng):
    return [np.tile(*with_nan(rng), (1, 2, 1, 1)), rng.standard_normal((4, 6, 2, 2))]


def groups_with_nan(rng):
    """In one image, or one group of it, and the zeros of other groups meet it."""
    x = rng.standard_normal((3, 8, 5, 6))
    x[0, 1, 2, 3], x[1, 5, 0, 0], x[1, 2, 4, 5] = np.nan, np.inf, -np.inf
    return [x, rng.standard_normal((W + 4, 2, 2, 2))]


def all_the_same(rng):
    return [np.full((1, 2, 4, 5), -np.inf)]


FAMILIES = [
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("mish", {}),
    ("elu", {}),
    ("elu", {"alpha": -1.5, "scale": 1.25, "input_scale": 0.75}),
    ("softplus", {}),
    ("softplus", {"beta": -0.5, "threshold": 1.5}),
    ("leaky_relu", {"negative_slope": 0.25}),
    ("hardtanh", {"min_val": -3, "max_val": 3}),  # which are among the numbers
    ("clamp", {"low": -3.0}),
    ("clamp", {"low": 3, "high": -3}),
    ("clamp", {"low": -3, "high": 3}),
    ("threshold", {"threshold": 3, "value": -2}),
]
LOSSES = [
    ("smooth_l1", {}),
    ("smooth_l1", {"beta": 0.25}),
    ("smooth_l1", {"beta": 0}),
    ("huber", {}),
    ("huber", {"delta": 0.25}),
    ("bce_with_logits", {}),
]
CASES = [
    ("relu", images((2, 3, 5, 4)), {}),
    ("relu", images((7,)), {}),
    ("relu", with_nan, {}),
    ("relu6", lambda rng: [rng.standard_normal((2, 3, 5, 4)) * 8], {}),
    ("relu6", with_nan, {}),
    *[
        (name, make, {})
        for name in ("hardswish", "hardsigmoid", "silu", "sigmoid")
        for make in (lambda rng: [rng.standard_normal((2, 3, 5, 4)) * 4], far_out, with_nan)
    ],
    *[
        (name, make, options)
        for name, options in FAMILIES
        for make in (lambda rng: [rng.standard_normal((2, 3, 5, 4)) * 4], far_out, with_nan)
    ],
    ("prelu", images((2, 3, 5, 4), (3,)), {}),
    ("prelu", images((2, 3, 4, 8), (1,)), {}),  # some pixels make a row
    ("prelu", images((7, 5), (5,)), {}),
    ("prelu", images((7,), (1,)), {}),
    ("prelu", lambda rng: [*with_nan(rng), np.array([0.25, 0, -2])], {}),
    *[
        (name, make, options)
        for name, options in LOSSES
        for make in (images((2, 3, 5, 4), (2, 3, 5, 4)), scores_and_targets, two_with_nan)
    ],
    ("max_pool2d", images((2, 3, 6, 4)), {"kernel_size": 2}),
    ("max_pool2d", images((1, 5, 8, 7)), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool2d", images((2, 1, 7, 9)), {"kernel_size": (2, 3), "stride": (3, 1), "padding": (1, 0)}),
    ("max_pool2d", with_nan, {"kernel_size": 2, "stride": 1}),
    ("max_pool2d", all_the_same, {"kernel_size": 2, "padding": 1}),
    ("max_pool2d", lambda rng: [rng.integers(0, 3, (2, 2, 6, 6)).astype(float)], {"kernel_size": 3, "stride": 2}),
    ("avg_pool2d", images((2, 3, 6, 4)), {"kernel_size": 2}),
    ("avg_pool2d", images((1, 5, 8, 7)), {"kernel_size": (3, 2), "stride": 2, "padding": 1}),
    ("avg_pool2d", images((2, 3, 7, 8)), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("avg_pool2d", with_nan, {"kernel_size": 2}),
    ("resize", images((2, 3, 5, 4)), {"size": (9, 7), "mode": "linear"}),
    ("resize", images((1, 3, 9, 8)), {"size": (4, 5), "mode": "cubic", "align_corners": True}),
    ("resize", images((2, 1, 6, 5)), {"size": (12, 4), "mode": "nearest"}),
    ("resize", images((2, 3, 7)), {"size": (4,), "mode": "area"}),
    ("resize", with_nan, {"size": (7, 3), "mode": "linear", "antialias": True}),
    ("pad", images((2, 3, 5, 4)), {"padding": (2, 1, 0, 3), "mode": "reflect"}),
    ("pad", images((2, 3, 5, 4)), {"padding": (-1, 2, 3, -2), "mode": "replicate"}),
    ("pad", images((3, 4)), {"padding": (4, 3), "mode": "circular"}),
    ("adaptive_avg_pool2d", images((2, 3, 7, 5)), {"output_size": (3, 2)}),
    ("adaptive_avg_pool2d", images((2, 4, 6, 5)), {"output_size": 1}),
    ("adaptive_avg_pool2d", with_nan, {"output_size": (2, 7)}),
    ("batchnorm_train", images((3, 5, 4, 3), (5,), (5,)), {}),
    ("batchnorm_train", images((7, 3), (3,), (3,)), {"eps": 1e-2}),
    ("batchnorm_relu", images((3, 5, 4, 3), (5,), (5,)), {}),
    ("batchnorm_relu", images((2, 3, 5, 1), (3,), (3,), (2, 3, 5, 1)), {"eps": 1e-3}),
    ("batchnorm_relu", images((2, 3, 4, 8), (3,), (3,), (2, 3, 4, 8)), {}),  # some pixels make a row
    ("batchnorm_relu", images((3, 5, 4, 3), (5,), (5,), (3, 5, 4, 3)), {"top": 0.75}),
    ("batchnorm_frozen", lambda rng: [*images((3, 4, 2, 5), (4,), (4,), (4,))(rng), rng.random(4) + 0.5], {}),
    ("group_norm", images((3, 6, 4, 3), (6,), (6,)), {"groups": 3}),
    ("group_norm", images((2, 4, 5), (4,)), {"groups": 1, "eps": 1e-2}),
    ("group_norm", images((2, 4, 3, 2)), {"groups": 4}),
    ("group_norm", with_nan, {"groups": 1}),
    ("layer_norm", images((3, 5, 7), (7,), (7,)), {}),
    ("layer_norm", images((2, 3, 6, 9), (3, 6, 9)), {"shape": (3, 6, 9), "eps": 1e-2}),
    ("layer_norm", images((4, 70)), {"shape": (70,)}),
    ("layer_norm", lambda rng: [rng.standard_normal((2, 3, 40)) * 0.1 + 50, rng.standard_normal(40)], {}),
    ("layer_norm", with_nan, {}),
    ("conv2d", images((2, 3, 6, 5), (3, 1, 3, 3), (3,)), {"padding": 1, "groups": 3}),
    ("conv2d", images((1, 4, 9, 7), (4, 1, 3, 2)), {"stride": (2, 3), "padding": (2, 1), "groups": 4}),
    ("conv2d", images((2, 2, 8, 9), (2, 1, 2, 3), (2,)), {"stride": (1, 2), "dilation": (3, 2), "groups": 2}),
    ("conv2d", images((1, 2, 4, 4), (2, 1, 5, 5)), {"stride": 5, "padding": 7, "groups": 2}),
    ("conv2d", images((2, W + 3, 5, 7), (W + 3, 1, 3, 3), (W + 3,)), {"padding": 1, "groups": W + 3}),
    ("conv2d", images((1, W, 6, 9), (W, 1, 5, 6)), {"stride": 2, "padding": (3, 1), "groups": W}),
    ("conv2d", images((2, 5, 8, 12), (7, 5, 3, 3), (7,)), {"padding": 1}),
    ("conv2d", images((3, 4, 7, 6), (5, 4, 3, 3)), {"padding": (0, 2)}),
    ("conv2d", images((1, 3, 3, 4), (2, 3, 3, 3), (2,)), {}),
    ("conv2d", images((1, 2, 1, 1), (3, 2, 3, 3)), {"padding": (1, 2)}),
    ("conv2d", images((2, 5, 9, 7), (4, 5, 3, 3), (4,)), {"stride": 2, "padding": 1}),
    ("conv2d", images((3, 6, 5, 8), (7, 6, 1, 1)), {"stride": (2, 3)}),
    ("conv2d", images((2, 5, 4, 3), (6, 5, 1, 1), (6,)), {}),
    ("conv2d", images((2, 6, 5, 4), (3, 6, 2, 4), (3,)), {"stride": (1, 2), "padding": (4, 5)}),  # windows of zeros
    ("conv2d", images((1, 5, 2, 3), (11, 5, 2, 2), (11,)), {}),  # the kernels outweigh the image
    ("conv2d", six_channels_with_nan, {"stride": 2}),
    ("conv2d", images((2, 6, 5, 4), (9, 2, 3, 3), (9,)), {"groups": 3, "padding": 1}),
    ("conv2d", images((1, 6, 7, 5), (W + 6, 3, 3, 1), (W + 6,)), {"groups": 2, "stride": 2, "padding": (1, 0)}),
    ("conv2d", images((1, 4, 6, 7), (4, 2, 2, 3)), {"groups": 2, "dilation": 2}),
    ("conv2d", images((1, 4, 9, 8), (4, 2, 2, 2)), {"groups": 2, "dilation": 2, "stride": 2}),
    ("conv2d", images((1, 6, 3, 4), (3 * W, 2, 1, 2)), {"groups": 3}),
    ("conv2d", images((1, 8, 3, 4), (2 * W + 4, 2, 2, 1)), {"groups": 4}),  # blocks reach into several groups
    ("conv2d", groups_with_nan, {"groups": 4, "padding": 1}),
]
DEPTHWISE = [case for case in CASES if case[0] == "conv2d" and "groups" in case[2]]


NOT_FINITE = (with_nan, two_with_nan, six_channels_with_nan, groups_with_nan)


def small(a):
    return last(a).astype(np.float32)


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize(("name", "make", "options"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NaN and infinities, where NumPy's scalars compute
def test_like_the_op_both_ways(name, make, options, layout, rng, loops):
    arrays = make(rng)
    ours = [small(a) for a in arrays]
    drop_in = stand_in(name + "_forward", *ours, **options)
    forward, backward = drop_in.op
    before = [a.copy() for a in ours]
    expected, its_cache = forward(*[small(a).astype(float) for a in arrays], **options)
    y, cache = drop_in.forward(*ours, **options)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    upstream = (last(dy) if layout == "last" else dy).astype(np.float32)
    needs = (True,) * len(arrays)
    wanted = backward(upstream.astype(float), its_cache, needs)
    for _ in range(2):  # the second call gives the same
        got = (drop_in.backward or backward)(upstream, cache, needs)
        assert len(got) == len(wanted)
        for a, b in zip(got, wanted, strict=True):
            if b is not None:
                assert a.shape == b.shape
                assert a.dtype == np.float32
                np.testing.assert_allclose(a, b, **TOLERANCE)
    for a, b in zip(ours, before, strict=True):
        np.testing.assert_array_equal(a, b, "no input is changed")


@pytest.mark.parametrize(("name", "make", "options"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_only_read_may_be_read_only(name, make, options, rng, loops):
    ours = [small(a) for a in make(rng)]
    for a in ours:
        a.flags.writeable = False
    drop_in = stand_in(name + "_forward", *ours, **options)
    y, cache = drop_in.forward(*ours, **options)
    dy = small(rng.standard_normal(y.shape))
    dy.flags.writeable = False
    (drop_in.backward or drop_in.op[1])(dy, cache, (True,) * len(ours))


@pytest.mark.parametrize(
    ("name", "shape", "weight", "groups"),
    [("winograd", (4, 32, 8, 8), (32, 32, 3, 3), 1), ("depthwise", (2, 16, 8, 7), (16, 1, 3, 3), 16)],
)
def test_pictures_in_reading_order_go_the_same_way(name, shape, weight, groups, rng, loops):
    """As group-norm or `view` lays them out; by any other way they take a multiple of the time."""
    x, kernels, dy = (rng.standard_normal(s).astype(np.float32) for s in (shape, weight, shape))
    found = []
    for given in (x, last(x)):
        drop_in = stand_in("conv2d_forward", given, kernels, padding=1, groups=groups)
        assert drop_in.name == name
        y, cache = drop_in.forward(given, kernels, padding=1, groups=groups)
        found.append((y, *drop_in.backward(dy, cache, (True, True, False))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "options", "vectors"),
    [
        ("batchnorm_train", {}, 2),
        ("batchnorm_relu", {}, 2),
        ("max_pool2d", {"kernel_size": 2}, 0),
        ("avg_pool2d", {"kernel_size": 2}, 0),
        ("prelu", {}, 1),
    ],
)
def test_pictures_in_reading_order_are_turned_where_they_have_channels_enough(name, options, vectors, rng, loops):
    assert TURNED == 8
    x, dy = (rng.standard_normal((2, 9, 6, 5)).astype(np.float32) for _ in range(2))
    arrays, found = [rng.standard_normal(9).astype(np.float32) for _ in range(vectors)], []
    for given in (x, last(x), x[:, :, ::-1].copy()[:, :, ::-1]):
        drop_in = stand_in(name + "_forward", given, *arrays, **options)
        y, cache = drop_in.forward(given, *arrays, **options)
        upstream = np.ascontiguousarray(dy[:, :, : y.shape[2], : y.shape[3]])
        found.append((y, *(g for g in drop_in.backward(upstream, cache) if g is not None)))
    for several in zip(*found, strict=True):
        for other in several[1:]:
            np.testing.assert_array_equal(several[0], other)
    few = x[:, :3].copy(), *(a[:3] for a in arrays)
    assert BY_OP[name + "_forward"].applies(*few, **options) == name.startswith("batchnorm")


@pytest.mark.parametrize("module", ["winograd", "depthwise", "columns"])
def test_a_bias_gradient_is_added_up_in_a_loop(module):
    way = importlib.import_module(f"tinyvision.kernels.cpu.{module}").WAY
    assert way.column_sums is channels.column_sums
    assert way.any_order is False


@pytest.mark.parametrize("needs", [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("name", ["batchnorm_train", "conv2d"])
def test_only_what_is_needed_is_computed(name, needs, rng, loops):
    make, options = next((make, options) for op, make, options in CASES if op == name)
    ours = [small(a) for a in make(rng)]
    drop_in = stand_in(name + "_forward", *ours, **options)
    y, cache = drop_in.forward(*ours, **options)
    got = drop_in.backward(np.ones_like(y), cache, needs)
    assert tuple(g is not None for g in got) == needs


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("given", ["", "scale", "shift", "skip", "scale shift skip"])
@pytest.mark.parametrize("way", ["winograd", "depthwise", "columns", "columns outweighed"])
def test_inference_finishes_its_sums(given, activation, way, rng, loops, monkeypatch):
    if way == "columns outweighed":
        monkeypatch.setattr(columns, "outweighed", lambda shape: True)
    groups, stride = (5, (2, 2)) if way == "depthwise" else (1, (1, 1) if way == "winograd" else (2, 2))
    x, weight, skip = rng.standard_normal((2, 5, 5, 6)), rng.standard_normal((5, 5 // groups, 3, 3)), None
    scale, shift = (rng.standard_normal(5) if word in given else None for word in ("scale", "shift"))
    if "skip" in given:
        skip = rng.standard_normal((2, 5, 5, 6) if stride == (1, 1) else (2, 5, 3, 3)) * 4
    arrays = [None if a is None else small(a) for a in (x, weight, scale, shift, skip)]
    arrays[1].flags.writeable = False  # as a folded layer's is
    kept, rest = {}, (activation, stride, (1, 1), (1, 1), groups)
    drop_in = stand_in("conv2d_inference", *arrays, *rest, kept)
    doubles = [None if a is None else a.astype(float) for a in arrays]
    expected = conv2d_inference(*doubles, *rest)
    for _ in range(2):  # with what the first call has kept, and without
        np.testing.assert_allclose(drop_in.forward(*arrays, *rest, kept), expected, **TOLERANCE)
    np.testing.assert_allclose(drop_in.forward(*arrays, *rest, None), expected, **TOLERANCE)
    assert (kept != {}) == (way == "winograd")


@pytest.mark.parametrize("given", ["", "scale shift skip"])
def test_inference_in_groups(given, rng, loops):
    x, weight, skip = rng.standard_normal((2, 6, 5, 6)), rng.standard_normal((W + 4, 3, 3, 3)), None
    scale, shift = (rng.standard_normal(W + 4) if word in given else None for word in ("scale", "shift"))
    if given:
        skip = rng.standard_normal((2, W + 4, 5, 6))
    arrays = [None if a is None else small(a) for a in (x, weight, scale, shift, skip)]
    kept, rest = {}, ("silu", (1, 1), (1, 1), (1, 1), 2)
    drop_in = stand_in("conv2d_inference", *arrays, *rest, kept)
    expected = conv2d_inference(*[None if a is None else a.astype(float) for a in arrays], *rest)
    for memory in (kept, kept, None):  # with what the first call has kept, and without
        np.testing.assert_allclose(drop_in.forward(*arrays, *rest, memory), expected, **TOLERANCE)
    assert list(kept) == [("grouped", 2)]


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "sigmoid"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_stays_in_its_group(activation, rng, loops):
    x, weight = map(small, groups_with_nan(rng))
    scale, shift = (rng.standard_normal(len(weight)).astype(np.float32) for _ in range(2))
    skip = small(rng.standard_normal((3, len(weight), 4, 5)))
    given = (x, weight, scale, shift, skip, activation, (1, 1), (0, 0), (1, 1), 4)
    drop_in = stand_in("conv2d_inference", *given)
    wide = [a.astype(float) if hasattr(a, "astype") else a for a in given]
    np.testing.assert_allclose(drop_in.forward(*given), conv2d_inference(*wide), **TOLERANCE)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 2}, {"dilation": 2, "stride": 2}], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_gradient_that_is_not_finite_stays_in_its_group(options, rng, loops):
    x, weight = rng.standard_normal((2, 8, 7, 6)), rng.standard_normal((W + 4, 2, 2, 2))
    drop_in = stand_in("conv2d_forward", small(x), small(weight), groups=4, **options)
    y, cache = drop_in.forward(small(x), small(weight), groups=4, **options)
    dy = rng.standard_normal(y.shape)
    dy[0, 1, 1, 1], dy[1, 9, 0, 1], dy[1, 0, 1, 0] = np.nan, np.inf, -np.inf
    _, its_cache = ops.conv2d_forward(x, weight, groups=4, **options)
    wanted = ops.conv2d_backward(dy, its_cache)
    for a, b in zip(drop_in.backward(small(dy), cache), wanted, strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE)


@pytest.mark.parametrize("budget", [1, 20000, 1 << 20])
@pytest.mark.parametrize("outweighed", [True, False])
def test_winograd_in_pieces_of_any_size(outweighed, budget, rng, loops, monkeypatch):
    monkeypatch.setattr(winograd, "outweighed", lambda tiles, C, O: outweighed)
    for name, value in (("BLOCK_BYTES", budget), ("SUM_BYTES", budget), ("SLICED_BYTES", 0)):
        monkeypatch.setattr(winograd, name, value)
    for name, value in (("SOME_BLOCKS", 1), ("SOME_CHANNELS", 3)):
        monkeypatch.setattr(winograd, name, value)
    O = winograd.WIDTH + 1  # more than a block
    x, weight, bias = images((3, 4, 9, 5), (O, 4, 3, 3), (O,))(rng)
    weight /= 4
    drop_in = stand_in("conv2d_forward", small(x), small(weight), bias.astype(np.float32), padding=1)
    y, cache = drop_in.forward(small(x), small(weight), bias.astype(np.float32), padding=1)
    expected, its_cache = ops.conv2d_forward(x, weight, bias, padding=1)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    for a, b in zip(drop_in.backward(small(dy), cache), ops.conv2d_backward(dy, its_cache), strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE)


@needs_numba
def test_winograd_of_more_channels_than_a_slice_has(rng, machine_code, monkeypatch):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    monkeypatch.setattr(winograd, "outweighed", lambda tiles, C, O: True)
    monkeypatch.setattr(winograd, "SLICED_BYTES", 0)
    x, weight = images((5, 2 * winograd.SOME_CHANNELS + 3, 6, 5), (35, 2 * winograd.SOME_CHANNELS + 3, 3, 3))(rng)
    y, cache = winograd.DROP_INS[0].forward(small(x), small(weight), padding=1)
    expected, its_cache = ops.conv2d_forward(x, weight, padding=1)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=3e-4)  # sums of 1,179 terms
    dy = rng.standard_normal(y.shape)
    for a, b in zip(winograd.DROP_INS[0].backward(small(dy), cache), ops.conv2d_backward(dy, its_cache), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=3e-4)


@pytest.mark.parametrize("case", DEPTHWISE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_depthwise_with_few_lines_in_use_at_a_time(case, rng, loops, monkeypatch):
    monkeypatch.setattr(depthwise, "COPY_BYTES", 0)
    monkeypatch.setattr(depthwise, "SUM_PIXELS", 1)
    threads.set_num_threads(1)
    test_like_the_op_both_ways(*case, "last", rng, loops)


@pytest.mark.parametrize("budget", [1, 3000, 1 << 20])
@pytest.mark.parametrize("outweighed", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_columns_in_pieces_of_any_size(kernel, outweighed, budget, rng, loops, monkeypatch):
    monkeypatch.setattr(columns, "outweighed", lambda shape: outweighed)
    monkeypatch.setattr(columns, "COLUMN_BYTES", budget)
    monkeypatch.setattr("tinyvision.blocks.SMALL_BYTES", 0)
    x, weight, bias = images((3, 6, 9, 5), (5, 6, kernel, kernel), (5,))(rng)
    stride = 1 if kernel == 1 else 2
    y, cache = columns.DROP_INS[0].forward(small(x), small(weight), bias.astype(np.float32), stride, kernel // 2)
    expected, its_cache = ops.conv2d_forward(x, weight, bias, stride, kernel // 2)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    gradients = columns.DROP_INS[0].backward(small(dy), cache), ops.conv2d_backward(dy, its_cache)
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE)


@needs_numba
def test_winograd_is_as_exact_as_the_op(rng, machine_code, monkeypatch):
    monkeypatch.setattr("tinyvision.ops.convolution.winograd._cheapest", lambda *sizes: 4)  # of its two, F(4×4, 3×3)
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    x, dy = (small(rng.standard_normal((2, 64, 16, 16))) for _ in range(2))
    weight = small(rng.standard_normal((64, 64, 3, 3)) / 24)
    drop_in = stand_in("conv2d_forward", x, weight, padding=1)
    exact, cache = ops.conv2d_forward(x.astype(float), weight.astype(float), padding=1)
    exact = [exact, *ops.conv2d_backward(dy.astype(float), cache)]

    def errors(forward, backward):
        y, cache = forward(x, weight, padding=1)
        got = [y, *backward(dy, cache)]
        return [np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)) for a, b in zip(got, exact, strict=True)]

    of_loop, of_op = errors(drop_in.forward, drop_in.backward), errors(ops.conv2d_forward, ops.conv2d_backward)
    assert all(a < 1.25 * b for a, b in zip(of_loop, of_op, strict=True)), (of_loop, of_op)


@pytest.mark.parametrize("offset", [0, 30, 3000])
def test_statistics_are_as_good_as_the_ops(offset, rng, loops):
    x = last(rng.standard_normal((3, 2, 9, 11)) + offset).astype(np.float32)
    mean, var = BY_OP["batch_moments"].forward(x)
    exact = x.astype(float)
    np.testing.assert_allclose(mean, exact.mean(axis=(0, 2, 3)), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(var, exact.var(axis=(0, 2, 3)), rtol=1e-6)


def test_running_averages_take_the_statistics_up(rng, loops):
    x, kept = last(rng.standard_normal((3, 2, 9, 11))).astype(np.float32), rng.standard_normal((2, 2))
    own, counter = small(kept), np.array(4)
    moments = BY_OP["running_moments"].forward(x, *own, counter=counter, momentum=0.3)
    right = running_moments(x.astype(float), *kept, momentum=0.3)
    np.testing.assert_allclose([*moments, *own], [*right, *kept], rtol=1e-5)
    assert counter == 5


@needs_numba
@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_change_only_last_bits(count, rng, machine_code, monkeypatch):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    monkeypatch.setattr("tinyvision.blocks.SMALL_BYTES", 0)
    cases = [(name, [small(a) for a in make(rng)], options) for name, make, options in CASES if make not in NOT_FINITE]

    def run():
        results = []
        for name, arrays, options in cases:
            drop_in = stand_in(name + "_forward", *arrays, **options)
            y, cache = drop_in.forward(*arrays, **options)
            gradients = (drop_in.backward or drop_in.op[1])(y, cache, (True,) * len(arrays))
            results += [y, *[g for g in gradients if g is not None]]
        return results

    threads.set_num_threads(1)
    alone = run()
    threads.set_num_threads(count)
    for one, two, three in zip(run(), run(), alone, strict=True):
        np.testing.assert_array_equal(one, two)
        largest = np.abs(three[np.isfinite(three)]).max(
            initial=1
        )  # Winograd's sums cancel: their last bits are those of the largest
        np.testing.assert_allclose(one, three, rtol=1e-5, atol=1e-6 * largest)


@pytest.mark.parametrize(
    ("name", "arrays", "options"),
    [
        ("max_pool2d", [np.zeros((1, 2, 6, 6), np.float32)], {"kernel_size": 2}),  # the channels are not last
        ("max_pool2d", [small(np.zeros((1, 2, 6, 6)))], {"kernel_size": 2, "dilation": 2}),
        ("max_pool2d", [small(np.zeros((1, 2, 6, 6)))], {"kernel_size": 2, "ceil_mode": True}),
        ("max_pool2d", [small(np.zeros((1, 2, 6, 6)))], {"kernel_size": 2, "padding": 2}),
        ("max_pool2d", [small(np.zeros((1, 2, 6, 6)))], {"kernel_size": 7}),
        ("max_pool2d", [small(np.zeros((1, 2, 6, 6)))], {"kernel_size": "two"}),
        ("max_pool2d", [small(np.zeros((1, 1, 20, 20)))], {"kernel_size": 17}),  # a tap must fit a byte
        ("max_pool2d", [small(np.zeros((0, 2, 6, 6)))], {"kernel_size": 2}),
        ("avg_pool2d", [small(np.zeros((1, 2, 6, 6)))], {"kernel_size": 2, "divisor_override": 3}),
        ("batchnorm_train", [np.zeros((1, 3), np.float32), *[np.zeros(3, np.float32)] * 2], {}),  # no variance
        ("batchnorm_train", [small(np.zeros((2, 3, 4, 4))), *[np.zeros(2, np.float32)] * 2], {}),
        ("conv2d", [small(np.zeros((1, 4, 5, 5))), np.zeros((4, 2, 3, 3), np.float32)], {"groups": 2}),  # of columns
        ("conv2d", [small(np.zeros((1, 4, 5, 5))), np.zeros((4, 1, 9, 9), np.float32)], {"groups": 4}),
        ("relu", [np.zeros((4, 6), np.float32)[:, ::2]], {}),
        ("group_norm", [np.zeros((2, 9, 5, 6), np.float32)], {"groups": 3}),  # the channels are not last
        ("cross_entropy", [np.zeros((2, 9, 5, 6), np.float32), np.zeros((2, 5, 6), np.int64)], {}),
        ("group_norm", [small(np.zeros((2, 4, 5, 6)))], {"groups": 3}),
        ("group_norm", [small(np.zeros((2, 4, 5, 6))), np.zeros(2, np.float32)], {"groups": 2}),
        ("layer_norm", [np.zeros((2, 4, 5), np.float32)], {"shape": (4,)}),
        ("layer_norm", [np.zeros((2, 4, 5), np.float32), np.zeros(4, np.float32)], {}),
        ("layer_norm", [np.zeros((0, 5), np.float32)], {}),
        ("pad", [np.zeros((2, 3), np.float32)], {"padding": (1, 1)}),
        ("adaptive_avg_pool2d", [np.zeros((2, 4, 5, 6), np.float32)], {"output_size": 1}),
        ("pad", [np.zeros((2, 3), np.float32)], {"padding": (), "mode": "reflect"}),
        ("gelu", [np.zeros(3, np.float32)], {"approximate": "sigmoid"}),
        ("elu", [np.zeros(3, np.float32)], {"input_scale": -1.0}),
        ("softplus", [np.zeros(3, np.float32)], {"beta": 0}),
        ("mish", [np.zeros((4, 6), np.float32)[:, ::2]], {}),
        ("hardtanh", [np.zeros(3, np.float32)], {"min_val": 1, "max_val": 0}),
        ("clamp", [np.zeros(3, np.float32)], {"low": np.zeros(3, np.float32)}),
        ("clamp", [np.zeros(3, np.float32)], {"high": np.nan}),
        ("conv_transpose2d", [small(np.zeros((2, 32, 5, 6))), small(np.zeros((32, 4, 2, 2)))], {"groups": 2}),
        ("conv_transpose2d", [small(np.zeros((2, 32, 5, 6))), small(np.zeros((32, 4, 2, 2)))], {"output_padding": 1}),
        ("conv_transpose2d", [small(np.zeros((2, 32, 1, 6))), small(np.zeros((32, 4, 2, 2)))], {"padding": 1}),
        ("conv_transpose2d", [small(np.zeros((2, 3, 5, 6))), small(np.zeros((3, 4, 2, 2)))], {}),  # unfilled tiles
    ],
)  # fmt: skip
def test_the_rest_is_left_to_the_op(name, arrays, options):
    assert not BY_OP[name + "_forward"].applies(*arrays, **options)


def test_the_switch_and_float64(monkeypatch):
    pair = (ops.relu_forward, ops.relu_backward)
    marker = DropIn("activation", pair, lambda x: "forward", lambda *a: "backward")
    monkeypatch.setattr(kernels, "_on_cpu", {pair: [marker]})
    monkeypatch.setattr(kernels, "_choices", {})  # what was chosen before is remembered
    x = np.zeros(3, np.float32)
    assert kernels.choose_on_cpu(*pair, [x], {}) == (marker.forward, marker.backward)
    assert kernels.choose_on_cpu(*pair, [x.astype(float)], {}) == pair
    with kernels.only("pooling"):
        assert kernels.choose_on_cpu(*pair, [x], {}) == pair
    with kernels.only("activation"):
        assert kernels.choose_on_cpu(*pair, [x], {})[0] is marker.forward


def test_a_run_has_compiled_beside_itself_what_the_next_one_uses(monkeypatch):
    started = []
    monkeypatch.setattr(compiled.subprocess, "Popen", lambda command, **options: started.append((command, options)))
    monkeypatch.setattr(compiled, "installed", lambda: True)
    monkeypatch.setattr(compiled, "is_complete", lambda: False)
    monkeypatch.setattr(compiled, "_ready", None)
    monkeypatch.delenv("TINYVISION_COMPILE", raising=False)
    monkeypatch.delenv("TINYVISION_KERNELS", raising=False)
    assert compiled.compile_beside()
    monkeypatch.setattr(compiled, "is_complete", lambda: True)
    assert not compiled.ready()  # as it was when the run began
    ((command, options),) = started
    assert "compile_quietly" in command[-1]
    assert options["start_new_session"]
    for name, complete in (("COMPILE", False), ("KERNELS", False), ("NOTHING", True)):
        with monkeypatch.context() as patch:
            patch.setenv(f"TINYVISION_{name}", "off")
            patch.setattr(compiled, "is_complete", lambda complete=complete: complete)
            assert not compiled.compile_beside()
    assert len(started) == 1


@needs_numba
def test_the_process_beside_a_run_keeps_what_it_compiles(tmp_path):
    first = (
        "from tinyvision.kernels.cpu import compiled as it; loops = list(it._loops())[:1]; it._loops = lambda: loops;"
    )
    in_a_process(f"{first} it.compile_quietly()", TINYVISION_HOME=str(tmp_path))
    assert list(tmp_path.glob("compiled/*/*/*.nbi"))


@needs_numba
@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this system does not weigh sessions")
def test_the_process_beside_a_run_gives_way_to_other_sessions(tmp_path):
    code = "from tinyvision.kernels.cpu import compiled as it; it.compile_all = lambda: None; it.compile_quietly();"
    code += "print(open('/proc/self/autogroup').read())"
    environment = {**os.environ, "TINYVISION_HOME": str(tmp_path)}
    command, options = [sys.executable, "-c", code], {"capture_output": True, "text": True, "env": environment}
    result = subprocess.run(command, start_new_session=True, check=True, **options)
    assert result.stdout.split()[-2:] == ["nice", "19"]


@needs_numba
def test_eight_runs_at_once_have_the_loops_compiled_once(tmp_path, monkeypatch):
    """And when the one that did it has ended, however it ended, the next may."""
    pytest.importorskip("fcntl", reason="this system has no locks of this kind")
    monkeypatch.setattr(compiled, "folder", lambda: tmp_path / "loops")
    monkeypatch.setattr(compiled.os, "nice", lambda by: None)
    began = []
    monkeypatch.setattr(compiled, "compile_all", lambda: began.append(len(began)))
    waiting = f"import fcntl, os, time; fcntl.flock(os.open({str(tmp_path / 'loops')!r}, 0), fcntl.LOCK_EX); print()"
    (tmp_path / "loops").mkdir()
    other = [sys.executable, "-c", f"{waiting}; import sys; sys.stdout.flush(); time.sleep(600)"]
    with subprocess.Popen(other, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        compiled.compile_quietly()
        assert began == []
        process.kill()
    compiled.compile_quietly()
    compiled.compile_quietly()
    assert began == [0, 1]


def test_a_run_that_began_without_loops_goes_on_without(monkeypatch):
    monkeypatch.setattr(compiled, "_ready", None)
    monkeypatch.setattr(compiled, "_load", lambda: True)
    compiled.forgo()
    assert not compiled.ready()


USE = (
    "import sys, numpy as np, tinyvision as tv; from tinyvision import nn;"
    "tv.relu(tv.zeros(3)); print('numba' in sys.modules)"
)


def test_without_compiled_loops_nothing_is_imported(tmp_path):
    assert in_a_process(USE, TINYVISION_HOME=str(tmp_path)) == ["False"]
    assert not list(tmp_path.iterdir())


COLOURS = """
import os, sys, types
class Names:
    __getattr__ = lambda self, name: ""
def refuse(*arguments):
    raise SystemExit("the terminal was to be set up for colours")
sys.modules["colorama"] = types.SimpleNamespace(__version__="0.4.6", init=refuse, reinit=refuse, deinit=refuse,
                                                Fore=Names(), Style=Names())
from tinyvision.kernels.cpu import compiled
before = dict(os.environ)
compiled._numba().core.errors.termcolor().errmsg("a message")
print(dict(os.environ) == before)
"""


@needs_numba
def test_no_terminal_is_set_up_for_colours():
    """With colorama, numba writes ESC [0m to it at exit, whatever terminal it is."""
    assert in_a_process(COLOURS) == ["True"]


def test_compiling_needs_numba(monkeypatch):
    monkeypatch.setattr(compiled, "installed", lambda: False)
    with pytest.raises(DeviceError, match=r"numba, which is not installed: pip install"):
        compiled.compile_all()


@needs_numba
def test_compiled_ahead_they_are_used_from_then_on(compiled_home, tmp_path):
    home = {"TINYVISION_HOME": str(shutil.copytree(compiled_home, tmp_path / "home"))}
    assert in_a_process(READY, **home) == ["True"]
    assert in_a_process(USE, **home) == ["True"]
    assert in_a_process(USE, **home, TINYVISION_KERNELS="off") == ["False"]
    (marker,) = tmp_path.glob(f"home/compiled/*/{compiled.COMPLETE}")
    marker.write_text("another processor", encoding="utf-8")
    assert in_a_process(READY, **home) == ["False"]


@needs_numba
def test_broken_files_are_said_and_made_again(compiled_home, tmp_path):
    home = {"TINYVISION_HOME": str(shutil.copytree(compiled_home, tmp_path / "home"))}
    for path in tmp_path.glob("home/compiled/*/*/*.nb?"):
        path.write_bytes(path.read_bytes()[:100])
    assert in_a_process("import warnings; warnings.simplefilter('ignore');" + READY, **home) == ["False"]
    with pytest.raises(subprocess.CalledProcessError):
        in_a_process("import warnings; warnings.simplefilter('error');" + READY, **home)
    assert in_a_process(AHEAD, **home) == ["True", "True"]
    assert in_a_process(READY, **home) == ["True"]


@needs_numba
def test_every_loop_is_kept_where_a_later_process_looks(compiled_home, monkeypatch):
    monkeypatch.setenv("TINYVISION_HOME", str(compiled_home))
    kept = {path.name.partition("-")[0] for path in compiled.folder().glob("*/*.nbi")}
    for name, one in compiled._loops():
        module, function = name.split(": ")
        assert f"{module}.{function}" in kept
        in_pieces = "begin" in one.function.__code__.co_varnames[: one.function.__code__.co_argcount]
        assert (f"crew.shared_{module}_{function}" in kept) == in_pieces


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_uses_them_too(machine_code, monkeypatch, rng):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    x = small(rng.standard_normal((2, 3, 8, 8)))
    y, _ = BY_OP["max_pool2d_forward"].forward(x, 2)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        again = pool.apply_async(_pooled, (x,)).get(timeout=600)
    np.testing.assert_array_equal(again, y)


def _pooled(x):
    return BY_OP["max_pool2d_forward"].forward(x, 2)[0]


@pytest.mark.parametrize("error", [MemoryError(), OSError("no libllvm.so")], ids=repr)
def test_numpy_does_the_work_where_loops_cannot_be_loaded(error, tmp_path, monkeypatch):
    """A process may have less memory than they need, or not the library they stand on: also for the first look."""

    def refused():
        raise error

    (tmp_path / compiled.COMPLETE).touch()
    monkeypatch.setattr(compiled, "is_complete", lambda: True)
    monkeypatch.setattr(compiled, "folder", lambda: tmp_path)
    monkeypatch.setattr(compiled, "_processor", refused)
    with pytest.warns(UserWarning, match="NumPy does all the work"):
        assert compiled._load() is False


def test_loops_are_compiled_anew_when_anything_that_they_are_made_of_has_changed():
    """A part of a loop stands in another file, and so does a constant: numba looks at a loop's own file alone."""
    sources = compiled.sources()
    room = [path for path in sources if path.parent.name == "cpu"]
    assert {"registers.py", "lines.py", "direct.py", "compiled.py"} <= {path.name for path in room}
    for path in room:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and any(alias.name.isupper() for alias in node.names):
                package = "tinyvision.kernels.cpu".rsplit(".", node.level - 1)[0] if node.level else ""
                module = importlib.import_module(f"{package}.{node.module}".strip("."))
                if package:
                    assert Path(module.__file__) in sources, (path.name, node.module)
