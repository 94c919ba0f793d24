"""The depthwise kernels, in every version, against `ops.conv` in float64."""

import numpy as np
import pytest

from tinyvision import models
from tinyvision.kernels import depthwise, launch
from tinyvision.ops import conv2d_backward, conv2d_forward
from tinyvision.ops.conv_inference import conv2d_inference

from .compare import close, run_both

TOLERANCE = 3e-6  # as for other convolutions: float32 sums of up to 10³ products
CONV, INFERENCE = depthwise.DROP_INS

# N, C, H, W, (KH, KW), stride, padding, dilation; the first four have fast versions
SHAPES = {
    "3×3": (2, 37, 6, 11, (3, 3), (1, 1), (1, 1), (1, 1)),
    "3×3/2": (3, 5, 9, 8, (3, 3), (2, 2), (1, 0), (1, 1)),
    "5×5": (2, 3, 7, 9, (5, 5), (1, 1), (2, 1), (1, 1)),
    "5×5/2": (2, 33, 10, 13, (5, 5), (2, 2), (2, 2), (1, 1)),
    "padded more than a strip": (1, 2, 3, 2, (5, 5), (2, 2), (3, 6), (1, 1)),
    "one pixel": (1, 1, 1, 1, (3, 3), (1, 1), (1, 1), (1, 1)),
    "more output rows than lanes": (3, 4, 20, 5, (3, 3), (1, 1), (1, 1), (1, 1)),
    "odd everything": (2, 3, 13, 11, (3, 2), (2, 3), (1, 2), (2, 1)),
    "left-over windows": (2, 6, 11, 12, (2, 2), (3, 4), (0, 1), (1, 1)),
}


def reference(shape, rng):
    N, C, H, W, size, *pairs = shape
    f = np.float32  # the same rounded numbers for both sides
    x, w = rng.standard_normal((N, C, H, W)).astype(f), rng.standard_normal((C, 1, *size)).astype(f)
    options = dict(zip(("stride", "padding", "dilation"), pairs, strict=True))
    y, cache = conv2d_forward(x.astype(float), w.astype(float), groups=C, **options)
    dy = rng.standard_normal(y.shape).astype(f)
    return x, w, dy, y, *conv2d_backward(dy.astype(float), cache), pairs


def run_version(emulation, x, w, dy, pairs, kernel=None):
    """(y, dx, dw) of one of depthwise.cu's versions."""
    rows, drows = (launch.channels_last(emulation.array(a)) for a in (x, dy))
    taps = depthwise._by_taps(emulation.array(w))
    y, dx = emulation.empty(x, drows.shape), emulation.empty(x, rows.shape)
    depthwise.forward(rows, taps, y, *pairs, kernel)
    depthwise.image_gradient(drows, taps, dx, *pairs, kernel)
    dw = depthwise.weight_gradient(rows, drows, w.shape[2:], *pairs, kernel)
    return launch.channels_first(y), launch.channels_first(dx), dw.reshape(w.shape)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("kernel", ["simple", None])
def test_every_version(emulation, rng, name, kernel):
    x, w, dy, *expected, pairs = reference(SHAPES[name], rng)
    results = run_version(emulation, x, w, dy, pairs, kernel)
    for what, got, right in zip(("y", "dx", "dw"), results, expected, strict=True):
        close(got, right, TOLERANCE, what)
    simple = [k for k in emulation.launched if k.endswith("simple")]
    if kernel:
        assert len(simple) == 3
    else:  # without a fast version, the simple ones take the image, and one tap a block the weights
        fast = SHAPES[name][4] in ((3, 3), (5, 5))
        assert len(simple) == (0 if fast else 2)
        assert ("depthwise_weight_gradient_any" in emulation.launched) != fast


def test_one_tap_per_block_where_there_is_a_faster_version(emulation, rng):
    x, w, dy, _, _, right, pairs = reference(SHAPES["5×5/2"], rng)
    rows, drows = (launch.channels_last(emulation.array(a)) for a in (x, dy))
    close(depthwise.weight_gradient(rows, drows, (5, 5), *pairs, "any").reshape(w.shape), right, TOLERANCE)


@pytest.mark.parametrize("blocks", [1, 2, 1024])
def test_the_weight_gradient_does_not_depend_on_its_parts(emulation, rng, monkeypatch, blocks):
    monkeypatch.setattr(depthwise, "WANTED_BLOCKS", blocks)
    x, w, dy, _, _, right, pairs = reference(SHAPES["more output rows than lanes"], rng)
    for kernel in (None, "any"):
        rows, drows = (launch.channels_last(emulation.array(a)) for a in (x, dy))
        got = depthwise.weight_gradient(rows, drows, (3, 3), *pairs, kernel)
        close(got.reshape(w.shape), right, TOLERANCE)


def test_the_order_in_which_threads_run_changes_nothing(emulate, rng):
    x, w, dy, *_, pairs = reference(SHAPES["5×5/2"], rng)
    one = run_version(emulate(), x, w, dy, pairs)
    for order in (1, 2):
        for a, b in zip(one, run_version(emulate(order=order), x, w, dy, pairs), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("options", [{"stride": 2, "padding": 1}, {"padding": (2, 1), "dilation": 2}], ids=str)
def test_the_drop_in_has_the_op_s_signature_and_cache(emulation, rng, bias, options):
    arrays = [rng.standard_normal(s) for s in ((2, 5, 9, 8), (5, 1, 3, 3), (5,))]
    arrays[2] = arrays[2] if bias else None
    run_both(emulation, CONV, arrays, {**options, "groups": 5}, rng, TOLERANCE)


def test_only_wanted_gradients_are_computed(emulation, rng):
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((1, 4, 5, 5), (4, 1, 3, 3)))
    y, cache = depthwise.DROP_INS[0].forward(x, w, groups=4)
    emulation.launched.clear()
    dx, dw = depthwise.DROP_INS[0].backward(y, cache, (False, True))
    assert dx is None
    assert dw.flags.c_contiguous  # laid out as its weight
    assert not any("image" in kernel for kernel in emulation.launched)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "hardswish", "sigmoid"])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("size", [3, 2])
def test_inference_finishes_its_sums(emulation, rng, activation, full, size):
    x, w = rng.standard_normal((2, 6, 7, 9)), 3 * rng.standard_normal((6, 1, size, size))
    vectors = [rng.standard_normal(6) if full else None for _ in range(2)]
    rest = (activation, (2, 2), (1, 1), (1, 1), 6)
    shape = conv2d_inference(x, w, None, None, None, *rest).shape
    skip = rng.standard_normal(shape) if full else None
    arrays = [None if a is None else emulation.array(a.astype(np.float32)) for a in (x, w, *vectors, skip)]
    assert depthwise.DROP_INS[1].applies(*arrays, *rest)
    got = depthwise.DROP_INS[1].forward(*arrays, *rest)
    doubles = [None if a is None else a.astype(np.float64) for a in arrays]
    close(got, conv2d_inference(*doubles, *rest), TOLERANCE)


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((1, 4, 5, 5), (4, 4, 3, 3), {}),
        ((1, 4, 5, 5), (8, 1, 3, 3), {"groups": 4}),
        ((1, 4, 5, 5), (4, 2, 3, 3), {"groups": 2}),
        ((1, 4, 5, 5), (4, 2, 3, 3), {"groups": 4}),
        ((1, 4, 2, 2), (4, 1, 3, 3), {"groups": 4}),
        ((0, 4, 5, 5), (4, 1, 3, 3), {"groups": 4}),
        ((1, 4, 5, 5), (4, 1, 3, 3), {"groups": 4.0}),
        ((4, 5, 5), (4, 1, 3, 3), {"groups": 4}),
    ],
)
def test_what_is_left_to_the_op(x, weight, options):
    """Mistakes (whose message the op has), empty batches, and every other kind of groups."""
    assert not depthwise.DROP_INS[0].applies(np.zeros(x, np.float32), np.zeros(weight, np.float32), **options)


def test_efficientnet_makes_no_columns_for_its_depthwise_convolutions():
    """Every one of them is taken by this drop-in, in a fast version."""
    found = [m for m in models.efficientnet_lite0().modules() if getattr(m, "groups", 1) > 1]
    assert len(found) == 16
    for m in found:
        x = np.zeros((1, m.in_channels, 7, 7), np.float32)
        assert depthwise.DROP_INS[0].applies(x, m.weight.array, None, m.stride, m.padding, m.dilation, m.groups)
        assert depthwise._fast(m.weight.shape[2:], m.stride, m.dilation)
