"""A backward that clips its gradients: told as that, and what else is wrong with it is found all the same."""

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check.ops import spec


def by_value(g):
    return np.clip(g, -1.0, 1.0)


def by_length(g, most=0.5):
    size = np.linalg.norm(g)
    return g * (most / size) if size > most else g


class Dense:
    """Weights and bias whose gradients are clipped where they are made."""

    def __init__(self, n_in, n_out):
        self.W, self.b = 0.1 * np.random.standard_normal((n_in, n_out)), np.zeros(n_out)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.limit(self.x.T @ dy), self.limit(dy.sum(axis=0))
        return dy @ self.W.T


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (by_value, "clips dweight at ±1 and dbias at ±1."),
        (by_length, "clips dweight to a length of 0.5 and dbias to a length of 0.5."),
        (lambda g: 7.3219 * np.tanh(g / 7.3219), "clips dweight and dbias."),
    ],
)
def test_a_layer_that_clips_is_right_and_told_so(limit, words):
    class Clipping(Dense):
        pass

    Clipping.limit = staticmethod(limit)
    report = check.layer(Clipping, "linear")
    assert report.passed, str(report)
    assert words in report.notes[0]
    assert not any("first layer" in note for note in report.notes)


def test_an_upstream_that_is_clipped():
    forward, backward = spec("conv2d").functions()
    report = check.op("conv2d", forward, lambda dy, cache: backward(by_value(dy), cache))
    assert report.passed, str(report)
    assert "clips dx and dweight and dbias." in report.notes[0]


def test_a_limit_that_only_large_gradients_reach():
    forward, backward = spec("relu").functions()
    report = check.op("relu", forward, lambda dy, cache: np.clip(backward(dy, cache)[0], -50, 50))
    assert report.passed
    assert "clips dx at ±50." in report.notes[0]


def test_a_step_by_a_clipped_gradient():
    class Stepping(Dense):
        def backward(self, dy, learning_rate=0.01):
            dx = dy @ self.W.T
            self.W -= learning_rate * by_value(self.x.T @ dy)
            self.b -= learning_rate * by_value(dy.sum(axis=0))
            return dx

    report = check.layer(Stepping, "linear")
    assert report.passed, str(report)


@pytest.mark.parametrize("limit", [by_value, by_length])
def test_what_is_wrong_besides_is_named(limit):
    class Averaging(Dense):
        def backward(self, dy):
            self.dW, self.db = limit(self.x.T @ dy), limit(dy.mean(axis=0))
            return dy @ self.W.T

    report = check.layer(Averaging, "linear")
    (finding,) = report.findings
    assert finding.mistake == "linear.dbias.averaged"
    assert "Your backward clips dweight" in report.notes[0]


def test_asked_for_everything_a_clipped_gradient_is_none():
    forward, backward = spec("relu").functions()
    report = check.op("relu", forward, lambda dy, cache: np.clip(backward(dy, cache)[0], -1, 1), strict=True)
    assert not report.passed


@pytest.mark.parametrize(
    "bend",
    [
        lambda g: np.sign(g),  # of one size however small dy is
        lambda g: g / np.linalg.norm(g),
        lambda g: np.where(np.abs(g) > 1, 0.0, g),  # nothing is left of what is large
        lambda g: g * np.abs(g),
        lambda g: np.maximum(g, -1.0),
    ],
)
def test_what_bends_a_gradient_otherwise_is_wrong(bend):
    forward, backward = spec("sigmoid").functions()
    assert not check.op("sigmoid", forward, lambda dy, cache: bend(backward(dy, cache)[0])).passed
