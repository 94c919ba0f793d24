"""The yardstick itself: the references against central differences, tinyvision's own ops, and PyTorch."""

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check.ops import SPECS, spec

OPS = [op for op in SPECS if op != "sgd"]


@pytest.mark.parametrize("op", OPS)
def test_reference_gradients_are_the_slopes_of_the_reference_outputs(op):
    forward, backward = spec(op).functions()
    for probe in spec(op).probes()[:3]:
        report = check.gradients(forward, backward, probe.inputs, probe.options, names=spec(op).arguments)
        assert report.passed, str(report)


@pytest.mark.parametrize("op", SPECS)
def test_tinyvisions_own_ops_pass(op):
    report = check.op(op)
    assert report.passed, str(report)
    assert not report.notes


@pytest.mark.parametrize("op", SPECS)
def test_the_reference_itself_passes_with_pairs_and_with_integers(op):
    forward, backward = spec(op).functions()
    assert check.op(op, forward, backward).passed
    assert check.op(op, forward, backward, pairs=False).passed


def test_references_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    calls = {
        "linear": lambda x, w, b: F.linear(x, w, b),
        "relu": F.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "softplus": F.softplus,
        "leaky_relu": F.leaky_relu,
        "elu": F.elu,
        "silu": F.silu,
        "gelu": lambda x, approximate: F.gelu(x, approximate=approximate),
        "conv2d": lambda x, w, b, stride, padding: F.conv2d(x, w, b, stride, padding),
        "maxpool2d": lambda x, kernel_size, stride, padding: F.max_pool2d(x, kernel_size, stride, padding),
        "avgpool2d": lambda x, kernel_size, stride, padding: F.avg_pool2d(x, kernel_size, stride, padding),
        "batchnorm_train": lambda x, w, b, eps: F.batch_norm(x, None, None, w, b, True, 0.1, eps),
        "softmax": lambda x: torch.softmax(x, 1),
    }
    for op, call in calls.items():
        for probe in spec(op).probes():
            tensors = [torch.tensor(np.array(i), requires_grad=True) for i in probe.inputs]
            y = call(*tensors, **probe.options)
            np.testing.assert_allclose(probe.y, y.detach().numpy(), rtol=1e-11, atol=1e-11, err_msg=op)
            grads = torch.autograd.grad(y, tensors, torch.tensor(np.array(probe.dy)))
            for right, theirs in zip(probe.truth, grads, strict=True):
                np.testing.assert_allclose(right, theirs.numpy(), rtol=1e-9, atol=1e-11, err_msg=op)


def test_cross_entropy_agrees_with_pytorch():
    torch = pytest.importorskip("torch")
    for probe in spec("cross_entropy").probes():
        logits = torch.tensor(np.array(probe.inputs[0]), requires_grad=True)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(probe.inputs[1]))
        (grad,) = torch.autograd.grad(loss, [logits], torch.tensor(float(probe.dy), dtype=torch.float64))
        assert abs(float(probe.y) - loss.item()) < 1e-12
        np.testing.assert_allclose(probe.truth[0], grad.numpy(), rtol=1e-10, atol=1e-13)


def test_sgd_reference_is_pytorchs():
    torch = pytest.importorskip("torch")
    start, grads = np.array([1.0, -2.0]), np.random.default_rng(0).standard_normal((5, 2))
    weight = torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.2)
    ours, velocity = start, np.zeros(2)
    for step, grad in enumerate(grads):
        optimiser.param_groups[0]["lr"] = lr = 0.1 if step < 3 else 0.03
        weight.grad = torch.tensor(grad)
        optimiser.step()
        ours, velocity = spec("sgd").forward(ours, grad, velocity, lr, 0.9, 0.2)
    np.testing.assert_allclose(ours, weight.detach().numpy(), rtol=1e-12)
