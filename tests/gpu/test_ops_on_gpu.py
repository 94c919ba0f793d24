"""Every op on the GPU against the same op on the CPU in float64: the readable bodies, and the drop-ins where they
apply."""

from contextlib import nullcontext

import numpy as np
import pytest
from ops.op_cases import CASES

from tinyvision import kernels, ops, precision
from tinyvision.device import to_device, to_numpy
from tinyvision.errors import DeviceError
from tinyvision.kernels import depthwise
from tinyvision.tape import Variable
from tinyvision.tensors import taped as F

# float64: sums in another order; float32: the same, at 1.2e-7 a rounding, through logarithms and divisions.
TOLERANCES = {np.float64: 1e-10, np.float32: 2e-4}


def moved(value, dtype, where):
    if not hasattr(value, "dtype"):
        return value
    return to_device(value.astype(dtype) if value.dtype.kind == "f" else value, where)


def results(case, arrays, dy, dtype, where):
    """y and all gradients of a case, computed on a device through the tape's choice of kernels."""
    given = [moved(a, dtype, where) for a in arrays]
    options = {key: moved(value, dtype, where) for key, value in case.options.items()}
    forward, backward = case.forward, case.backward
    if where != "cpu":
        forward, backward = kernels.choose(forward, backward, given, options)
    y, cache = forward(*given, **options)
    dy = np.random.default_rng(1).standard_normal(y.shape) if dy is None else dy
    needs = tuple(hasattr(a, "dtype") and a.dtype.kind == "f" for a in arrays)
    gradients = backward(moved(dy, dtype, where), cache, needs)
    return [y, *(g for g, need in zip(gradients, needs, strict=False) if need and g is not None)], dy


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("with_kernels", [True, False], ids=["kernels", "plain"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_as_on_the_cpu(case, dtype, with_kernels, rng):
    arrays = case.make(rng)
    expected, dy = results(case, arrays, None, np.float64, "cpu")
    with nullcontext() if with_kernels else kernels.only():
        got, _ = results(case, arrays, dy, dtype, "cuda")
    for mine, right in zip(got, expected, strict=True):
        mine = to_numpy(mine)
        assert mine.shape == right.shape
        scale = max(1.0, float(np.abs(right).max(initial=0)))
        assert np.abs(mine - right).max(initial=0) <= TOLERANCES[dtype] * scale


# Layers of ResNet-18, whose tiles are full and whose sums are long: N, C, H, O, kernel, stride, padding.
LAYERS = [(4, 3, 224, 64, 7, 2, 3), (4, 64, 56, 64, 3, 1, 1), (4, 64, 56, 128, 3, 2, 1), (4, 64, 56, 128, 1, 2, 0),
          (4, 128, 28, 128, 3, 1, 1), (4, 256, 14, 256, 3, 1, 1), (4, 512, 7, 512, 3, 1, 1)]  # fmt: skip


@pytest.mark.parametrize(("mode", "tolerance"), [("ieee", 2e-5), ("tf32", 2e-3), ("bf16", 1.5e-2), ("fp16", 2e-3)])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_convolutions_of_a_real_network(layer, mode, tolerance, rng):
    N, C, H, O, kernel, stride, padding = layer
    x, weight = rng.standard_normal((N, C, H, H)), rng.standard_normal((O, C, kernel, kernel))
    y, cache = ops.conv2d_forward(x, weight, stride=stride, padding=padding)
    dy = rng.standard_normal(y.shape)
    expected = (y, *ops.conv2d_backward(dy, cache))
    x, weight, dy = (moved(a, np.float32, "cuda") for a in (x, weight, dy))
    with precision(mode):
        for names in ((), ("conv2d",), ("conv2d", "winograd")):
            with kernels.only(*names):
                pair = kernels.choose(
                    ops.conv2d_forward, ops.conv2d_backward, (x, weight), {"stride": stride, "padding": padding}
                )
            y, cache = pair[0](x, weight, stride=stride, padding=padding)
            for got, right in zip((y, *pair[1](dy, cache)), expected, strict=True):
                assert np.abs(to_numpy(got) - right).max() <= tolerance * np.abs(right).max()


# Depthwise layers of EfficientNet-Lite0: C, size, kernel, stride.
@pytest.mark.parametrize("layer", [(32, 112, 3, 1), (96, 112, 3, 2), (240, 28, 5, 1), (144, 56, 5, 2)], ids=str)
def test_depthwise_convolutions_of_a_real_network(layer, rng):
    C, size, kernel, stride = layer
    options = {"stride": stride, "padding": kernel // 2, "groups": C}
    x, weight = rng.standard_normal((4, C, size, size)), rng.standard_normal((C, 1, kernel, kernel))
    y, cache = ops.conv2d_forward(x, weight, **options)
    dy = rng.standard_normal(y.shape)
    expected = (y, *ops.conv2d_backward(dy, cache))
    x, weight, dy = (moved(a, np.float32, "cuda") for a in (x, weight, dy))
    pair = kernels.choose(ops.conv2d_forward, ops.conv2d_backward, (x, weight), options)
    assert pair[0] is depthwise.DROP_INS[0].forward
    y, cache = pair[0](x, weight, **options)
    for got, right in zip((y, *pair[1](dy, cache)), expected, strict=True):
        # float32 sums of up to 5·10⁴ products
        assert np.abs(to_numpy(got) - right).max() <= 2e-5 * np.abs(right).max()


def test_arrays_on_two_devices_are_refused_by_name():
    x, weight = np.ones((2, 3), np.float32), to_device(np.ones((4, 3), np.float32), "cuda")
    with pytest.raises(DeviceError, match="x is on cpu but weight is on cuda"):
        F.linear(Variable(x), Variable(weight))
