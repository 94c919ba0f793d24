"""What is handed to kernels: types, sizes, alignment. A real launch checks none of it; the emulator and CuPy's own code
do."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinyvision import kernels, ops
from tinyvision.kernels import conv, depthwise, launch, linear, loss, norm, pool, sgd, winograd
from tinyvision.kernels.emulator import EmulatorError, kernel_names, signatures
from tinyvision.kernels.emulator.building import TYPES

from .compare import close
from .test_choose import CONV, GpuArray, all_on  # noqa: F401
from .test_compile import TEXTS


@pytest.mark.parametrize("name", TEXTS)
def test_signatures_are_read_from_the_text(name):
    text = launch.text(name)
    found = signatures(text)
    assert set(found) == set(kernel_names(text))
    for kernel, types in found.items():
        for type_ in types:
            assert f"struct {type_} " in text or type_.rstrip("*") in TYPES, kernel


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((np.ones(4, np.float64), None, *[np.int32(1)] * 3), r"float\* was given"),
        ((np.ones(4, np.float32), None, np.int64(1), *[np.int32(1)] * 2), "int was given"),
        ((np.ones(4, np.float32), None, 1, *[np.int32(1)] * 2), "int was given"),
        ((np.ones(4, np.float32), None, *[np.int32(1)] * 2), "5 parameters, but 4 arguments"),
    ],
)
def test_the_emulator_refuses_wrong_arguments(emulation, arguments, problem):
    with pytest.raises(EmulatorError, match=problem):
        launch.launch("depthwise", "depthwise_add_parts", (1, 1, 1), *arguments)


def test_the_emulator_refuses_wrong_structures_and_grids(emulation):
    x = emulation.array(np.ones(4, np.float32))
    with pytest.raises(EmulatorError, match="Pool was given"):
        launch.launch("pool", "avg_pool_backward", (1, 1, 1), x, x, launch.structure(N=1, H=1))
    with pytest.raises(EmulatorError, match="no GPU has a grid"):
        launch.launch("depthwise", "depthwise_add_parts", (1, 1 << 16, 1), x, x, *[np.int32(1)] * 3)


def test_cupy_takes_these_kinds_of_arguments():
    """CuPy turns arguments into bytes before it asks the driver, so it can be asked without one."""
    pytest.importorskip("cupy", reason="needs CuPy (no GPU): pip install cupy-cuda13x")
    from cupy.cuda.function import Function

    def takes(argument):
        try:
            Function.__new__(Function)((1, 1, 1), (1, 1, 1), (argument,), stream=SimpleNamespace(ptr=0))
        except TypeError:
            return False
        except Exception:  # no driver, or no such kernel: the arguments were good
            return True
        raise AssertionError("a kernel that is none was launched")

    kinds = (None, np.int32(1), np.int64(1), np.float32(1), launch.structure(N=1, H=2), np.zeros((), sgd.PARAMETERS),
             sgd.rule({"lr": 1, "momentum": 0, "weight_decay": 0, "dampening": 0, "maximize": 0, "nesterov": 0}, True),
             winograd._matrix(0))  # fmt: skip
    assert all(takes(kind) for kind in kinds)
    assert not takes("text")
    assert not takes(np.zeros(3))


def of_shape(*shape, dtype=np.float32):
    """An array of any size that takes no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)


C64 = of_shape(64)
CONV_APPLIES, DEPTHWISE, WINOGRAD = (module.DROP_INS[0].applies for module in (conv, depthwise, winograd))
TOO_LARGE = {
    "conv": (CONV_APPLIES, (of_shape(2, 32, 1 << 13, 1 << 12), of_shape(4, 32, 3, 3)), {}),
    "conv, channels padded": (CONV_APPLIES, (of_shape(1, 1, 1 << 15, 1 << 14), of_shape(4, 1, 3, 3)), {}),
    "conv, outputs padded": (CONV_APPLIES, (of_shape(1, 1, 1 << 15, 1 << 14), of_shape(1, 1, 3, 3)), {"padding": 1}),
    "conv, one long row": (CONV_APPLIES, (of_shape(1, 4, 1, 1 << 26), of_shape(4, 4, 1, 3)), {}),
    "conv, stride": (CONV_APPLIES, (of_shape(1, 4, 9, 9), of_shape(4, 4, 3, 3)), {"stride": 1 << 31}),
    "conv, padding": (CONV_APPLIES, (of_shape(1, 4, 9, 9), of_shape(4, 4, 3, 3)),
                      {"stride": 1 << 29, "padding": 1 << 30}),
    "conv, more channels than a grid has tiles": (CONV_APPLIES, (of_shape(2, 4, 1, 1), of_shape(1 << 23, 4, 1, 1)), {}),
    "conv, more phases than a grid has blocks": (CONV_APPLIES, (of_shape(1, 4, 300, 300), of_shape(4, 4, 3, 3)),
                                                 {"stride": 256}),
    "conv, more phases of groups": (CONV_APPLIES, (of_shape(1, 2048, 16, 16), of_shape(2048, 4, 3, 3)),
                                    {"stride": 16, "groups": 512}),
    "conv, windows far outside": (CONV_APPLIES, (of_shape(2, 1024, 1014, 1024), of_shape(4, 1024, 3, 3)),
                                  {"padding": 24, "dilation": 24}),
    "depthwise": (DEPTHWISE, (of_shape(2, 32, 1 << 13, 1 << 12), of_shape(32, 1, 3, 3)), {"groups": 32}),
    "depthwise, dilation": (DEPTHWISE, (of_shape(1, 4, 9, 9), of_shape(4, 1, 1, 1)),
                            {"groups": 4, "dilation": 1 << 31}),
    "winograd": (WINOGRAD, (of_shape(1, 64, 1 << 13, 1 << 12), of_shape(64, 64, 3, 3)), {}),
    "max pooling": (pool.DROP_INS[0].applies, (of_shape(2, 32, 1 << 13, 1 << 12),), {"kernel_size": 2}),
    "max pooling, stride": (pool.DROP_INS[0].applies, (of_shape(2, 3, 9, 9),), {"kernel_size": 2, "stride": 1 << 31}),
    "average": (pool.DROP_INS[1].applies, (of_shape(2, 32, 1 << 13, 1 << 12),), {"kernel_size": 2}),
    "col2im": (pool.DROP_INS[2].applies, (of_shape(2, 32, 1 << 10, 1 << 10),), {"kernel_size": 6}),
    "col2im, image": (pool.DROP_INS[2].applies, (of_shape(2, 32, 1 << 13, 1 << 12),), {"kernel_size": 1, "stride": 9}),
    "batch norm": (norm.DROP_INS[1].applies, (of_shape(32, 64, 1 << 10, 1 << 10), C64, C64), {}),
    "cross-entropy": (loss.DROP_INS[0].applies, (of_shape(1 << 21, 1 << 10), of_shape(1 << 21, dtype=np.int64)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_does_not_fit_32_bits_is_left_to_the_op(name):
    applies, arrays, options = TOO_LARGE[name]
    assert not applies(*arrays, **options)


@pytest.mark.parametrize(
    ("applies", "arrays", "options"),
    [
        (CONV_APPLIES, (of_shape(1, 1, 1 << 14, 1 << 14), of_shape(4, 1, 3, 3)), {}),
        (CONV_APPLIES, (of_shape(2, 4, 1, 1), of_shape(1 << 21, 4, 1, 1)), {}),
        (CONV_APPLIES, (of_shape(1, 4, 300, 300), of_shape(4, 4, 3, 3)), {"stride": 255}),
        (CONV_APPLIES, (of_shape(2, 1024, 1014, 1024), of_shape(4, 1024, 3, 3)), {"padding": 1}),
        (DEPTHWISE, (of_shape(2, 16, 1 << 13, 1 << 12), of_shape(16, 1, 3, 3)), {"groups": 16}),
        (pool.DROP_INS[0].applies, (of_shape(2, 16, 1 << 13, 1 << 12),), {"kernel_size": 2}),
        (norm.DROP_INS[1].applies, (of_shape(16, 64, 1 << 10, 1 << 10), C64, C64), {}),
    ],
)
def test_what_just_fits_is_taken(applies, arrays, options):
    assert applies(*arrays, **options)


def test_large_layers_of_a_capture(monkeypatch):
    monkeypatch.setattr(launch, "capturing", lambda: True)
    (drop_in,) = linear.DROP_INS
    assert drop_in.applies(of_shape(1 << 20, 1024), of_shape(64, 1024))
    assert not drop_in.applies(of_shape(1 << 21, 1024), of_shape(64, 1024))
    assert not drop_in.applies(of_shape(1 << 29, 1), of_shape(1, 1))  # one channel becomes four


def test_no_kernel_reads_integers_as_floats():
    image, weight = GpuArray(2, 8, 9, 9, dtype=np.int32), GpuArray(4, 8, 3, 3)
    assert kernels.choose(*CONV, (image, weight), {}) == CONV
    pair = (ops.max_pool2d_forward, ops.max_pool2d_backward)
    assert kernels.choose(*pair, (image,), {"kernel_size": 2}) == pair
    pair = (ops.cross_entropy_forward, ops.cross_entropy_backward)
    labels = GpuArray(4, dtype=np.int64)
    assert kernels.choose(*pair, (GpuArray(4, 3), labels), {})[0] is loss.cross_entropy_forward
    assert kernels.choose(*pair, (GpuArray(4, 3), GpuArray(4)), {}) == pair
    assert kernels.choose(*pair, (GpuArray(4, 3, dtype=np.int64), labels), {}) == pair


def test_a_gradient_in_float64_is_converted(emulation, rng):
    """As it comes out of the backward of somebody's own op."""
    x, weight = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((1, 4, 6, 5), (4, 4, 3, 3)))
    y, cache = conv.DROP_INS[0].forward(x, weight)
    dy = rng.standard_normal(y.shape)
    right = ops.conv2d_backward(dy, (x.astype(float), weight.astype(float), *cache[2:]))
    for got, wanted in zip(conv.DROP_INS[0].backward(dy, cache), right, strict=True):
        close(got, wanted, 3e-6)


def test_arrays_are_aligned_for_copies_of_16_bytes(emulation):
    """A view that begins anywhere is copied: x[1:] of three channels begins at a multiple of 4 bytes."""
    x = emulation.array(np.arange(60, dtype=np.float32))
    for first in range(4):
        view = launch.aligned(x[first : first + 40])
        assert launch.address(view) % 16 == 0
        assert np.array_equal(view, x[first : first + 40])
    assert launch.aligned(x) is x
    assert launch.aligned(x[::2]).flags.c_contiguous


@pytest.mark.parametrize("name", TEXTS)
def test_shared_memory_is_static_and_fits_every_gpu(name):
    """48 KiB can be had without asking the driver for more; one text asks, and says for how much."""
    assert ("extern __shared__" in launch.text(name)) == (name == "tensor_cores")
