"""The gradient checker on a real GPU: right ops pass, mistakes are named, and the report says where it ran."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import check, nn
from tinyvision.check.ops import SPECS, spec
from tinyvision.device import to_device
from tinyvision.ops import index_backward, index_forward


@pytest.mark.parametrize("op", SPECS)
def test_the_engines_own_ops_pass(op):
    report = check.op(op, device="cuda")
    assert report.passed, str(report)
    assert report.device == "cuda:0"


@pytest.mark.parametrize(
    ("op", "change", "mistake"),
    [
        ("conv2d", lambda g: [-g[0], *g[1:]], "conv2d.dx.sign"),
        ("linear", lambda g: [g[0], 2 * g[1], g[2]], "linear.dweight.doubled"),
        ("linear", lambda g: [g[0], g[1].get(), g[2]], "wrong_device"),
        ("linear", lambda g: [g[0], np.asarray(g[1]), g[2]], "exception"),
    ],
)
def test_mistakes_are_named(op, change, mistake):
    forward, backward = spec(op).ours()
    report = check.op(op, forward, lambda dy, cache: change(list(backward(dy, cache))), device="cuda")
    assert not report.passed
    assert report.findings[0].mistake == mistake


def test_any_pair(cupy, rng):
    x = cupy.asarray(rng.standard_normal((3, 4)))
    assert check.gradients(lambda x: (np.tanh(x), x), lambda dy, x: dy * (1 - np.tanh(x) ** 2), x).passed
    report = check.gradients(lambda x: (cupy.exp(x), x), lambda dy, x: dy * x, x)
    assert not report.passed
    assert report.device == "cuda:0"


def test_a_network():
    layers = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(48, 4)
    batch = tv.randn(3, 2, 6, 6).to("cuda"), tv.tensor([0, 3, 3]).to("cuda")
    report = check.model(nn.Sequential(*layers).to("cuda"), batch)
    assert report.passed, str(report)
    assert report.device == "cuda:0"


def test_places_read_often_are_added_up_alike_every_time(rng):
    x, index = rng.standard_normal((50, 7)), rng.integers(-50, 50, 4000)
    y, cache = index_forward(x, index)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    (expected,) = index_backward(dy.astype(np.float64), cache)
    _, cache = index_forward(*to_device((x.astype(np.float32), index), "cuda"))
    runs = [index_backward(to_device(dy, "cuda"), cache)[0].get() for _ in range(5)]
    assert all(np.array_equal(run, runs[0]) for run in runs)
    assert np.abs(runs[0] - expected).max() <= 1e-5 * np.abs(expected).max()  # float32: log2(4000) roundings of 6e-8
