"""The convolution kernels, in every variant, against `ops.conv` in float64."""

import re

import numpy as np
import pytest

from tinyvision import precision
from tinyvision.kernels import conv, launch
from tinyvision.kernels.emulator import EmulatorError
from tinyvision.ops import conv2d_backward, conv2d_forward
from tinyvision.ops.conv_inference import conv2d_inference

from .compare import close, run_both

# Float32 sums of up to 10³ products err by a few 1e-7 of the largest result; TF32 rounds each factor to 11 bits (5e-4
# at worst, half of that on average, and the errors of a sum partly cancel).
FP32, TF32 = 3e-6, 1e-3
VARIANTS = [("simple", FP32), ("fp32_64", FP32), ("fp32_128", FP32), ("tf32_64", TF32), ("tf32_128", TF32)]

# N, C, H, W, O, (KH, KW), stride, padding, dilation, groups
SHAPES = {
    "odd everything": (2, 3, 13, 11, 5, (3, 3), (2, 1), (1, 2), (1, 1), 1),
    "more than a tile of channels": (1, 36, 7, 9, 133, (3, 2), (1, 1), (1, 1), (1, 1), 1),
    "stem": (1, 3, 22, 23, 64, (7, 7), (2, 2), (3, 3), (1, 1), 1),
    "left-over windows": (3, 8, 10, 12, 12, (2, 3), (3, 4), (0, 1), (1, 1), 1),
    "dilated": (2, 4, 12, 11, 6, (3, 3), (2, 2), (2, 1), (2, 3), 1),
    "groups": (2, 24, 9, 8, 12, (3, 3), (1, 2), (1, 1), (1, 1), 3),
    "1x1": (2, 20, 6, 7, 9, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    "larger than one split": (4, 4, 19, 17, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "odd everything, several tiles": (2, 19, 13, 11, 17, (3, 3), (2, 1), (1, 2), (1, 1), 1),
}


def reference(shape, rng, positive=False):
    N, C, H, W, O, kernel, stride, padding, dilation, groups = shape
    f = np.float32  # the same rounded numbers for both sides
    x, w = rng.standard_normal((N, C, H, W)).astype(f), rng.standard_normal((O, C // groups, *kernel)).astype(f)
    x, w = (np.abs(x), np.abs(w)) if positive else (x, w)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y, cache = conv2d_forward(x.astype(float), w.astype(float), **options)
    dy = rng.standard_normal(y.shape).astype(f)
    dy = np.abs(dy) if positive else dy
    return x, w, dy, y, *conv2d_backward(dy.astype(float), cache), (stride, padding, dilation, groups)


def run_variant(emulation, x, w, dy, variant, options, splits=None):
    """(y, dx, dw) of one of conv.cu's variants, or of a kernel for each primitive."""
    stride, padding, dilation, groups = options
    if isinstance(variant, str):
        variant = (f"correlate_{variant}", f"weight_gradient_{variant}")
    forward, backward = variant
    weight = emulation.array(w)
    x, dy = (launch.channels_last(emulation.array(a)) for a in (x, dy))
    y, dx = emulation.empty(x, dy.shape), emulation.empty(x, x.shape)
    start, shape = (-padding[0], -padding[1]), tuple(w.shape[i] for i in (0, 2, 3, 1))
    with precision("ieee" if "fp32" in forward or "simple" in forward else "tf32"):
        taps = conv.arranged(weight, groups)
        conv.correlate(x, taps, y, stride, start, dilation, groups, forward)
        conv.image_gradient(dy, weight, dx, stride, padding, dilation, groups, forward)
    dw = conv.weight_gradient(x, dy, shape, stride, padding, dilation, groups, backward, splits)
    return [launch.channels_first(a) for a in (y, dx, dw)]


@pytest.mark.parametrize("name", SHAPES)
def test_every_variant(emulation, rng, name):
    x, w, dy, *expected, options = reference(SHAPES[name], rng)
    for variant, tolerance in VARIANTS:
        results = run_variant(emulation, x, w, dy, variant, options)
        for what, got, right in zip(("y", "dx", "dw"), results, expected, strict=True):
            close(got, right, tolerance, f"{variant} {what}")


@pytest.mark.parametrize("splits", [1, 2, 7])
def test_the_weight_gradient_does_not_depend_on_its_splits(emulation, rng, splits):
    x, w, dy, _, _, right, options = reference(SHAPES["larger than one split"], rng)
    for variant, tolerance in VARIANTS[1:]:
        close(run_variant(emulation, x, w, dy, variant, options, splits)[2], right, tolerance, variant)


def test_the_order_in_which_threads_run_changes_nothing(emulate, rng):
    x, w, dy, *_, options = reference(SHAPES["odd everything"], rng)
    one = run_variant(emulate(), x, w, dy, "tf32_64", options)
    other = run_variant(emulate(order=1), x, w, dy, "tf32_64", options)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a, b)


def test_gpus_without_asynchronous_copies(emulate, rng):
    """The branch for GPUs before Ampere, its functions under other names than the emulator's."""

    def older(text):
        for name in ("mma_tf32", "to_tf32", "copy16_async", "copies_commit", "copies_wait"):
            text = re.sub(rf"\b{name}\b", f"older_{name}", text)
        return text.replace("#if defined(EMULATOR)\n#elif __CUDA_ARCH__ >= 800", "#if 0")

    for order in (0, 2):
        x, w, dy, *expected, options = reference(SHAPES["odd everything"], rng)
        results = run_variant(emulate(change=older, order=order), x, w, dy, "fp32_64", options, splits=2)
        for got, right in zip(results, expected, strict=True):
            close(got, right, FP32)
    with pytest.raises(EmulatorError, match="a trap"):
        run_variant(emulate(change=older), x, w, dy, "tf32_64", options)


@pytest.mark.parametrize(("mode", "tolerance"), [("ieee", FP32), ("tf32", TF32)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_drop_in_has_the_op_s_signature_and_cache(emulation, rng, mode, tolerance, bias):
    arrays = [rng.standard_normal(s) for s in ((2, 5, 9, 8), (7, 5, 3, 3), (7,))]
    arrays[2] = arrays[2] if bias else None
    with precision(mode):
        run_both(emulation, conv.DROP_INS[0], arrays, {"stride": 2, "padding": 1}, rng, tolerance)
    assert any(("tf32" if mode == "tf32" else "fp32") in kernel for kernel in emulation.launched)


ADDING = {"fp32_64": FP32, "fp32_128": FP32, "tf32_64": TF32, "mma_64x64": TF32, "wgmma_128x64": TF32}


@pytest.mark.parametrize("name", ["odd everything", "left-over windows", "groups", "1x1"])
@pytest.mark.parametrize("variant", ADDING)
def test_another_gradient_of_the_image_is_added(emulation, rng, name, variant):
    """Also where no window reads: of the 1x1 kernel at stride 2, three pixels of four."""
    x, w, dy, _, right, _, (stride, padding, dilation, groups) = reference(SHAPES[name], rng)
    other = rng.standard_normal(right.shape).astype(np.float32)
    rows, onto = (launch.channels_last(emulation.array(a)) for a in (dy, other))
    dx = emulation.empty(x, onto.shape)
    with precision("ieee" if "fp32" in variant else "tf32"):
        weight, kernel = emulation.array(w), f"correlate_{variant}"
        conv.image_gradient(rows, weight, dx, stride, padding, dilation, groups, kernel, onto)
    close(launch.channels_first(dx), right + other, ADDING[variant])
    assert np.array_equal(launch.channels_first(onto), other)


@pytest.mark.parametrize("order", ["channels last", "channels first"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_drop_in_adds_what_it_is_handed(emulation, rng, order, dtype):
    x, w, dy, _, right, *_ = reference((2, 8, 6, 7, 8, (3, 3), (1, 1), (0, 0), (1, 1), 1), rng)
    x, w, dy = map(emulation.array, (x, w, dy))
    onto = rng.standard_normal(x.shape).astype(dtype)
    given = (
        onto if order == "channels first" else launch.channels_first(np.ascontiguousarray(onto.transpose(0, 2, 3, 1)))
    )
    before, drop_in = given.copy(), conv.DROP_INS[0]
    assert drop_in.backward.adds
    dx = drop_in.backward(dy, drop_in.forward(x, w)[1], (True, False, False), given)[0]
    close(dx, right + onto, FP32)
    assert np.array_equal(given, before)


def test_only_wanted_gradients_are_computed(emulation, rng):
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((1, 4, 5, 5), (4, 4, 3, 3)))
    y, cache = conv.DROP_INS[0].forward(x, w)
    emulation.launched.clear()
    dx, dw = conv.DROP_INS[0].backward(y, cache, (False, True))
    assert dx is None
    assert dw is not None
    assert not any("correlate" in kernel for kernel in emulation.launched)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "hardswish", "sigmoid"])
@pytest.mark.parametrize("full", [True, False])
def test_inference_finishes_its_sums(emulation, rng, activation, full):
    x, w = rng.standard_normal((2, 6, 7, 9)), 3 * rng.standard_normal((10, 6, 3, 3))
    vectors = [rng.standard_normal(10) if full else None for _ in range(2)]
    skip = rng.standard_normal((2, 10, 4, 5)) if full else None
    arrays = [None if a is None else emulation.array(a.astype(np.float32)) for a in (x, w, *vectors, skip)]
    rest = (activation, (2, 2), (1, 1), (1, 1), 1)
    assert conv.DROP_INS[1].applies(*arrays, *rest)
    got = conv.DROP_INS[1].forward(*arrays, *rest)
    doubles = [None if a is None else a.astype(np.float64) for a in arrays]
    close(got, conv2d_inference(*doubles, *rest), FP32)


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((1, 4, 5, 5), (4, 3, 3, 3), {}),
        ((4, 5, 5), (4, 4, 3, 3), {}),
        ((1, 4, 2, 2), (4, 4, 3, 3), {}),
        ((1, 4, 5, 5), (4, 1, 3, 3), {"groups": 4}),
        ((0, 4, 5, 5), (4, 4, 3, 3), {}),
    ],
)
def test_what_is_left_to_the_op(x, weight, options):
    """Mistakes (whose message the op has), and groups of odd sizes."""
    assert not conv.DROP_INS[0].applies(np.zeros(x, np.float32), np.zeros(weight, np.float32), **options)
