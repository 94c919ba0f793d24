"""Which drop-in stands in for which call: by the arrays' device and numbers, the options, and the switch."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tinyvision import kernels, ops, precision
from tinyvision.errors import OptionError
from tinyvision.kernels import activation, conv, depthwise, norm, pointwise, pool, winograd
from tinyvision.kernels.cpu import winograd as cpu_winograd
from tinyvision.ops.conv_inference import conv2d_inference
from tinyvision.ops.convolution.sliding import Sliding
from tinyvision.tape import Variable
from tinyvision.tensors import taped as F
from tinyvision.tensors.tensor import Tensor


class GpuArray:
    """An array that says it lives on a GPU; nobody may look at its numbers."""

    def __init__(self, *shape, dtype=np.float32):
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(dtype)
        self.size = int(np.prod(shape))
        self.strides = np.broadcast_to(np.zeros((), dtype), shape).strides
        self.device = type("Device", (), {"id": 0})


GpuArray.__module__ = "cupy"
CONV = (ops.conv2d_forward, ops.conv2d_backward)
X, W = GpuArray(2, 8, 9, 9), GpuArray(4, 8, 3, 3)
DEEP = GpuArray(8, 64, 56, 56)


@pytest.fixture(autouse=True)
def all_on(monkeypatch):
    kernels.names()
    monkeypatch.setattr(kernels, "_wanted", None)


@pytest.mark.parametrize(
    ("pair", "arrays", "options", "chosen"),
    [
        (CONV, (X, W), {"padding": 1}, conv.DROP_INS[0].forward),
        (CONV, (X, W, None), {}, conv.DROP_INS[0].forward),
        (CONV, (X, GpuArray(4, 8, 1, 1)), {"stride": 2}, conv.DROP_INS[0].forward),
        (CONV, (X, GpuArray(4, 8, 1, 1)), {}, pointwise.DROP_INS[0].forward),
        (CONV, (X, GpuArray(4, 8, 1, 1)), {"padding": 1}, conv.DROP_INS[0].forward),
        (CONV, (DEEP, GpuArray(64, 64, 3, 3)), {"padding": 1}, winograd.DROP_INS[0].forward),
        (CONV, (DEEP, GpuArray(64, 64, 3, 3)), {"padding": 1, "stride": 2}, conv.DROP_INS[0].forward),
        (CONV, (X, GpuArray(8, 1, 3, 3)), {"groups": 8, "stride": 2}, depthwise.DROP_INS[0].forward),
        (CONV, (X, GpuArray(16, 1, 3, 3)), {"groups": 8}, None),
        (CONV, (X, GpuArray(8, 4, 3, 3)), {"groups": 2}, conv.DROP_INS[0].forward),
        (CONV, (GpuArray(2, 8, 9, 9, dtype=np.float64), GpuArray(4, 8, 3, 3, dtype=np.float64)), {}, None),
        (CONV, (X, np.zeros((4, 8, 3, 3), np.float32)), {}, None),
        (CONV, (np.zeros((2, 8, 9, 9), np.float32), np.zeros((4, 8, 3, 3), np.float32)), {}, None),
        (CONV, (X, GpuArray(4, 7, 3, 3)), {}, None),
        ((ops.max_pool2d_forward, ops.max_pool2d_backward), (X,), {"kernel_size": 3}, pool.max_pool2d_forward),
        (
            (ops.batchnorm_train_forward, ops.batchnorm_train_backward),
            (X, GpuArray(8), GpuArray(8)), {}, norm.batchnorm_train_forward,
        ),
        ((ops.relu_forward, ops.relu_backward), (X,), {}, activation.relu_forward),
        ((ops.sigmoid_forward, ops.sigmoid_backward), (X,), {}, None),
    ],
)  # fmt: skip
def test_the_right_one_is_chosen(pair, arrays, options, chosen):
    forward, backward = kernels.choose(*pair, arrays, options)
    assert forward is (chosen or pair[0])
    assert chosen is not None or backward is pair[1]


def test_tf32_has_tensor_cores_for_what_winograd_does_in_full_precision():
    with precision("tf32"):
        assert kernels.choose(*CONV, (DEEP, GpuArray(64, 64, 3, 3)), {"padding": 1})[0] is conv.DROP_INS[0].forward


def test_all_drop_ins_stand_in_for_something_that_is_there():
    for module in kernels.MODULES:
        found = __import__(f"tinyvision.kernels.{module}", fromlist=["DROP_INS"]).DROP_INS
        assert found
        for drop_in in found:
            assert callable(drop_in.op[0])
            assert drop_in.op[0].__name__ == drop_in.forward.__name__
            assert drop_in.forward.__doc__ or drop_in.forward is drop_in.op[0]


def test_a_backward_of_one_s_own_is_never_replaced():
    def own(dy, cache, needs):
        raise AssertionError

    assert kernels.choose(ops.conv2d_forward, own, (X, W), {}) == (ops.conv2d_forward, own)


def test_the_switch():
    with kernels.only():
        assert kernels.choose(*CONV, (X, W), {}) == CONV
        with kernels.only("conv2d"):
            assert kernels.choose(*CONV, (X, W), {})[0] is conv.DROP_INS[0].forward
    with kernels.only("batchnorm", "pooling"):
        assert kernels.choose(*CONV, (X, W), {}) == CONV
    assert kernels.choose(*CONV, (X, W), {})[0] is conv.DROP_INS[0].forward
    with pytest.raises(OptionError, match=r"no drop-in 'convolution'.*conv2d"), kernels.only("convolution"):
        pass


@pytest.mark.parametrize(
    ("value", "expected"), [("off", "False False"), ("on", "True True"), ("pooling", "False True")]
)
def test_the_environment_variable(value, expected):
    code = "from tinyvision import kernels; print(kernels.is_on('conv2d'), kernels.is_on('pooling'))"
    environment = {**os.environ, "TINYVISION_KERNELS": value}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=600)
    assert done.stdout.strip() == expected, done.stderr


def test_the_first_block_of_all_switches_them_off_too():
    """The modules of the drop-ins are loaded at first use, and with them the environment variable is read."""
    code = (
        "from tinyvision import kernels\n"
        "with kernels.only(): inside = kernels.is_on('conv2d')\n"
        "print(inside, kernels.is_on('conv2d'), kernels.is_on('pooling'))"
    )
    environment = {**os.environ, "TINYVISION_KERNELS": "pooling"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=600)
    assert done.stdout.strip() == "False False True", done.stderr


def test_the_one_registered_last_is_asked_first(monkeypatch):
    monkeypatch.setattr(kernels, "_drop_ins", {CONV: list(kernels._drop_ins[CONV])})
    marker = kernels.DropIn("conv2d", CONV, lambda *a, **o: "y", applies=lambda x, weight, **options: x.shape[0] == 1)
    kernels.register(marker)
    assert kernels.choose(*CONV, (GpuArray(1, 8, 9, 9), W), {})[0] is marker.forward
    assert kernels.choose(*CONV, (X, W), {})[0] is conv.DROP_INS[0].forward


def test_the_tape_records_the_drop_in_s_own_backward(monkeypatch):
    """The op is called on a NumPy scalar, which is no np.ndarray, so the tape asks; what it is told, it does."""
    told = (lambda x: (np.asarray(x * 2), "cache"), lambda dy, cache, needs: (np.asarray(dy * 3, np.float32),))
    monkeypatch.setattr("tinyvision.tape.choose", lambda *asked: told)
    x = Variable(np.float32(5), requires_grad=True)
    y = F.relu(x)
    y.backward(np.ones((), np.float32))
    assert y.array == 10
    assert x.grad.array == 3


def test_numpy_arrays_never_ask(monkeypatch):
    monkeypatch.setattr("tinyvision.tape.choose", lambda *a: pytest.fail("asked"))
    x = Tensor.of(np.ones((1, 1, 3, 3), np.float32), requires_grad=True)
    F.conv2d(x, Tensor.of(np.ones((1, 1, 2, 2), np.float32))).sum().backward()
    assert kernels.dispatched(conv2d_inference).__wrapped__ is conv2d_inference


def test_every_drop_in_has_a_name_that_switches_it():
    """Those of the compiled loops too, and where they cannot be used."""
    from tinyvision.kernels.cpu import compiled

    rooms = [(kernels.__name__, kernels.MODULES), (compiled.__package__, compiled.MODULES)]
    loaded = [importlib.import_module(f"{room}.{module}").DROP_INS for room, modules in rooms for module in modules]
    there = {drop_in.name for several in loaded for drop_in in several}
    assert there <= set(kernels.names())
    for name in there:
        with kernels.only(name):
            assert [other for other in there if kernels.is_on(other)] == [name]


def test_winograd_is_weighed_against_the_way_that_would_be_taken_instead():
    x, output, sliding = np.zeros((1, 8, 12, 12), np.float32), (12, 12), Sliding((1, 1), (1, 1))
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    weight = np.zeros((32, 8, 3, 3), np.float32)
    with kernels.only("winograd", "direct", "conv2d"):
        assert not cpu_winograd.WAY.applies(x, weight, output, sliding, False)  # direct is quicker
    with kernels.only("winograd", "conv2d"):
        assert cpu_winograd.WAY.applies(x, weight, output, sliding, False)  # columns are not
