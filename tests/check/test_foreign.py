"""Functions of PyTorch and JAX that bring their own backward are checked by the engine they were written for."""

import numpy as np
import pytest

from tinyvision import check


def relu_function(wrong=False):
    torch = pytest.importorskip("torch")

    class ReLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * (dy > 0) if wrong else dy * (x > 0)

    return ReLU


def conv_function(fault=None):
    torch = pytest.importorskip("torch")

    class Conv(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, bias, stride, padding):
            ctx.save_for_backward(x, weight)
            ctx.how = stride, padding
            return torch.nn.functional.conv2d(x, weight, bias, stride, padding)

        @staticmethod
        def backward(ctx, dy):
            x, weight = ctx.saved_tensors
            dx = torch.nn.grad.conv2d_input(x.shape, weight, dy, *ctx.how)
            dweight = torch.nn.grad.conv2d_weight(x, weight.shape, dy, *ctx.how)
            dbias = dy.mean((0, 2, 3)) if fault else dy.sum((0, 2, 3))
            return dx, dweight, dbias, None, None

    return Conv


@pytest.mark.parametrize("how", [check.op, lambda op, f: check.layer(f, op)], ids=["op", "layer"])
def test_a_torch_function_is_checked_as_the_op_that_it_is(how):
    assert how("relu", relu_function()).passed
    (finding,) = how("relu", relu_function(wrong=True)).findings
    assert finding.mistake == "relu.dx.mask_from_dy"
    assert finding.file == __file__


def test_options_reach_a_torch_function_by_place():
    assert check.op("conv2d", conv_function()).passed
    (finding,) = check.op("conv2d", conv_function(fault=True)).findings
    assert finding.mistake == "conv2d.dbias.averaged_over_everything"


def test_any_torch_function_is_checked_by_differences():
    torch = pytest.importorskip("torch")

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x, scale)
            return scale * x**3

        @staticmethod
        def backward(ctx, dy):
            x, scale = ctx.saved_tensors
            return 2 * dy * scale * x**2, dy * x**3

    x = np.random.default_rng(0).standard_normal((3, 4))
    report = check.gradients(Cube, None, (x, x + 3))
    assert {n: s for n, s in report.status.items() if n.startswith("d")} == {"dx": "wrong", "dscale": "ok"}
    assert "0.66667 times the right one" in report.findings[0].message


def test_a_jax_function_is_checked_as_the_op_that_it_is():
    jax = pytest.importorskip("jax", reason="JAX is not installed")

    def relu(right):
        @jax.custom_vjp
        def relu(x):
            return jax.numpy.maximum(x, 0)

        relu.defvjp(lambda x: (relu(x), x), lambda x, dy: (dy * ((x > 0) if right else (dy > 0)),))
        return relu

    assert check.op("relu", relu(True)).passed
    (finding,) = check.op("relu", relu(False)).findings
    assert finding.mistake == "relu.dx.mask_from_dy"
