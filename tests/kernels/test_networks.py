"""Whole networks with every drop-in in place: layers, tape and kernels agree on what they hand to one another."""

import types

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import kernels, models, nn
from tinyvision.kernels import winograd
from tinyvision.models.efficientnet_lite import InvertedResidual
from tinyvision.models.resnet import BasicBlock


@pytest.fixture
def everywhere(emulation, monkeypatch):
    """NumPy's arrays count as the GPU's: every op asks for its drop-in, and the emulator runs it."""

    def in_float32(arrays, integers=()):
        given = [(i, a) for i, a in enumerate(arrays) if hasattr(a, "dtype")]
        return all(a.dtype == np.float32 or (i in integers and a.dtype.kind == "i") for i, a in given)

    pretended = types.ModuleType("numpy")
    vars(pretended).update(vars(np), ndarray=type("NoArray", (), {}))
    for module in ("tinyvision.tape", "tinyvision.kernels"):
        monkeypatch.setattr(f"{module}.np", pretended)
    monkeypatch.setattr(kernels, "on_gpu_in_float32", in_float32)
    monkeypatch.setattr(kernels, "_choices", {})
    monkeypatch.setattr(winograd, "pays", lambda x_shape, y_shape: x_shape[1] == 8)
    return emulation


class Small(nn.Module):
    """A stem, an inverted residual of each stride, a residual block, a classifier."""

    def __init__(self):
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm, self.relu, self.pool = nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(InvertedResidual(8, 8, 3, 1, 2), InvertedResidual(8, 8, 5, 2, 3), BasicBlock(8, 8))
        self.average, self.fc = nn.AvgPool2d(2), nn.Linear(8, 4)

    def forward(self, x):
        """(N, 3, 8, 8) -> (N, 4)"""
        x = self.blocks(self.pool(self.relu(self.norm(self.stem(x)))))
        return self.fc(self.average(x).flatten(1))


def run(build, channels):
    """(loss, gradients, scores in evaluation mode) of a network, from the same weights and images each time."""
    tv.manual_seed(5)
    model, rng = build(), np.random.default_rng(6)
    x = tv.from_numpy(rng.standard_normal((3, channels, 8, 8)).astype(np.float32))
    loss = nn.CrossEntropyLoss()(model(x), tv.from_numpy(rng.integers(0, 4, 3)))
    loss.backward()
    model.eval()
    with tv.no_grad():
        scores = model(x)
    return float(loss.array), {name: p.grad.numpy() for name, p in model.named_parameters()}, scores.numpy()


NETWORKS = {
    "residuals of all kinds": (Small, 3, {
        "depthwise_forward_3_1", "depthwise_forward_5_2", "depthwise_image_gradient_5_2", "winograd_output",
        "correlate_fp32_64", "weight_gradient_fp32_64", "normalize_four", "gradient_applied_four",
        "max_pool_backward_four", "avg_pool_backward", "cross_entropy_rows", "depthwise_weight_gradient_3_1"}),
    "SimpleCNN": (lambda: models.SimpleCNN(1, 4, 8), 1, {
        "correlate_fp32_64", "max_pool_forward_four", "clipped", "slope", "cross_entropy_gradient"}),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_with_every_drop_in(request, name):
    build, channels, expected = NETWORKS[name]
    loss, gradients, scores = run(build, channels)
    emulation = request.getfixturevalue("everywhere")
    got_loss, got_gradients, got_scores = run(build, channels)
    assert expected <= set(emulation.launched)
    assert abs(got_loss - loss) <= 1e-5 * abs(loss)
    # Rounding passes through a dozen layers, each of which divides by a deviation of few numbers.
    assert np.abs(got_scores - scores).max() <= 1e-4 * np.abs(scores).max()
    # Some gradients cancel (a bias before a batch-norm has none), so that only rounding is left of the larger ones.
    smallest = 1e-2 * max(np.abs(g).max() for g in gradients.values())
    for parameter, gradient in gradients.items():
        error, scale = np.abs(got_gradients[parameter] - gradient).max(), max(np.abs(gradient).max(), smallest)
        assert error <= 1e-4 * scale, parameter


def test_nothing_stands_in_when_switched_off(everywhere):
    with kernels.only():
        run(*NETWORKS["SimpleCNN"][:2])
    assert everywhere.launched == []
