"""Layers that are right together, or wrong together: where the 1/N is taken, and a softmax that hands dy on."""

import numpy as np
import pytest

from tinyvision import OptionError, check

rng = np.random.default_rng(5)
X, LABELS = rng.standard_normal((6, 4)), np.array([0, 2, 1, 1, 0, 2])


class Dense:
    def __init__(self, inner, outer, averages=False, sign=1):
        self.W, self.b = rng.standard_normal((inner, outer)), rng.standard_normal((1, outer))
        self.averages, self.sign = averages, sign

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        n = len(dout) if self.averages else 1
        self.dW, self.db = self.sign * self.x.T @ dout / n, dout.sum(0, keepdims=True) / n
        return dout @ self.W.T


class ReLU:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class Softmax:
    def forward(self, x):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def backward(self, dout):
        return dout


class Loss:
    def __init__(self, divides, softmax=True):
        self.divides, self.softmax = divides, softmax

    def forward(self, x, t):
        self.p, self.t = Softmax().forward(x) if self.softmax else x, t
        return -np.log(self.p[np.arange(len(t)), t]).mean()

    def backward(self):
        d = self.p - np.eye(self.p.shape[1])[self.t]
        return d / len(d) if self.divides else d


def loss_function(x, y):
    loss = Loss(True)
    return loss.forward(x, y), loss.backward()


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(4, 5), ReLU(), Dense(5, 3), Loss(True)],
        [Dense(4, 5, averages=True), ReLU(), Dense(5, 3, averages=True), Loss(False)],
        [Dense(4, 3), Softmax(), Loss(True, softmax=False)],
        [Dense(4, 3), loss_function],
    ],
    ids=["loss divides", "layers divide", "softmax hands on", "a loss that is a function"],
)
def test_halves_that_fit_are_right(layers):
    dense = [layer for layer in layers if hasattr(layer, "W")]
    weights = [layer.W.copy() for layer in dense]
    report = check.chain(layers, X, LABELS)
    assert report.passed, str(report)
    assert len(report.status) == 2 * len(dense)
    assert all(np.array_equal(a, layer.W) for a, layer in zip(weights, dense, strict=True))


@pytest.mark.parametrize(
    ("layers", "mistake"),
    [
        ([Dense(4, 3, averages=True), Loss(True)], "divided_twice"),
        ([Dense(4, 5), ReLU(), Dense(5, 3), Loss(False)], "never_divided"),
        ([Dense(4, 3, sign=-1), Loss(True)], "sign"),
    ],
)
def test_halves_that_do_not_fit_are_named(layers, mistake):
    report = check.chain(layers, X, LABELS)
    (finding,) = report.findings
    assert finding.mistake == mistake
    assert finding.argument == f"layer {len(layers) - 2} (Dense) dweight"
    assert "Dense" in str(report)


def test_a_loss_alone_without_its_mean_is_wrong_and_told_when_it_is_right():
    report = check.layer(Loss(False), "cross_entropy")
    assert not report.passed
    assert any("check.chain" in fact for fact in report.findings[0].facts)


def test_the_layer_nearest_to_the_loss_is_shown():
    class Wrong(Dense):
        def backward(self, dout):
            dx = super().backward(dout)
            return dx + 0.1

    report = check.chain([Dense(4, 5), Wrong(5, 5), Dense(5, 3), Loss(True)], X, LABELS)
    assert [f.argument for f in report.findings] == ["layer 0 (Dense) dweight"]
    assert report.status["layer 1 (Wrong) dweight"] == "ok"


def test_an_exception_and_what_is_no_layer():
    report = check.chain([Dense(9, 3), Loss(True)], X, LABELS)
    assert not report.passed
    assert "ValueError" in report.findings[0].message
    with pytest.raises(OptionError, match="at least one layer and a loss"):
        check.chain([Loss(True)], X, LABELS)
    with pytest.raises(OptionError, match="object with forward and backward"):
        check.chain([Dense, Loss(True)], X, LABELS)
