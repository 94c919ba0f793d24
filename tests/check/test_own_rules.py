"""Layers that step by momentum, Adam, decay or clipped gradients: such a step is not judged as the gradient."""

import numpy as np
import pytest

from tinyvision import check


class Dense:
    """A layer whose backward hands its gradients to a rule."""

    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.default_rng(0).standard_normal((n_in, n_out)), np.zeros(n_out)
        self.mW, self.mb, self.sW, self.sb, self.t = 0 * self.W, 0 * self.b, 0 * self.W, 0 * self.b, 0

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy, lr=0.01):
        dW, db = self.x.T @ dy, self.bias_gradient(dy)
        dx = dy @ self.W.T
        self.step(dW, db, lr)
        return dx

    def bias_gradient(self, dy):
        return dy.sum(axis=0)


class Adam(Dense):
    def step(self, first, second, lr):
        self.t += 1
        for name, g in (("W", first), ("b", second)):
            m = 0.9 * getattr(self, f"m{name}") + 0.1 * g
            s = 0.999 * getattr(self, f"s{name}") + 0.001 * g * g
            setattr(self, f"m{name}", m)
            setattr(self, f"s{name}", s)
            change = m / (1 - 0.9**self.t) / (np.sqrt(s / (1 - 0.999**self.t)) + 1e-8)
            setattr(self, name, getattr(self, name) - lr * change)


class Averaged(Dense):
    def step(self, first, second, lr):
        self.mW, self.mb = 0.9 * self.mW + 0.1 * first, 0.9 * self.mb + 0.1 * second
        self.W, self.b = self.W - lr * self.mW, self.b - lr * self.mb


class Decayed(Dense):
    def step(self, first, second, lr):
        self.W, self.b = self.W - lr * (first + 0.01 * self.W), self.b - lr * second


class Clipped(Dense):
    def step(self, first, second, lr):
        self.W, self.b = self.W - lr * np.clip(first, -0.1, 0.1), self.b - lr * np.clip(second, -0.1, 0.1)


RULES = [Adam, Averaged, Decayed, Clipped]


@pytest.mark.parametrize("layer", RULES)
def test_the_gradient_is_found_in_a_variable_of_backward(layer):
    report = check.layer(layer, "linear")
    assert report.passed, str(report)
    assert report.status["dweight"] == report.status["dbias"] == "ok"
    assert any("dweight in dW, a variable of backward" in words for words in report.read_as)

    class Wrong(layer):
        def bias_gradient(self, dy):
            return dy.mean(axis=0)

    (finding,) = check.layer(Wrong, "linear").findings
    assert finding.mistake == "linear.dbias.averaged"


def test_a_gradient_that_is_not_found_is_not_judged():
    class Momentum(Dense):
        def backward(self, dy, lr=0.01):
            dx = dy @ self.W.T
            self.mW, self.mb = 0.9 * self.mW + 2 * self.x.T @ dy, 0.9 * self.mb + dy.sum(axis=0)
            self.W, self.b = self.W - lr * self.mW, self.b - lr * self.mb
            return dx

    report = check.layer(Momentum, "linear")
    assert report.passed
    assert report.status["dweight"] == report.status["dbias"] == "skipped"
    assert any("by a rule of its own" in note for note in report.notes)


def test_a_plain_step_is_the_gradient():
    class Plain(Dense):
        def step(self, first, second, lr):
            self.W, self.b = self.W - lr * first, self.b - lr * second

    report = check.layer(Plain, "linear")
    assert report.passed
    assert any("the step that backward takes from self.W" in words for words in report.read_as)
