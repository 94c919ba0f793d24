"""check.gradients: any pair, judged by central differences on its own forward."""

import time

import numpy as np
import pytest

from tinyvision import check
from tinyvision.errors import OptionError

RNG = np.random.default_rng(4)
X, W, B = RNG.standard_normal((3, 4)), RNG.standard_normal((5, 4)), RNG.standard_normal(5)


def affine(x, w, b):
    return x @ w.T + b, (x, w)


def affine_backward(dy, cache):
    return dy @ cache[1], dy.T @ cache[0], dy.sum(0)


def tanh(x):
    return np.tanh(x), x


def changed(position, change):
    def backward(dy, cache):
        grads = list(affine_backward(dy, cache))
        grads[position] = change(grads[position], dy)
        return grads

    return check.gradients(affine, backward, (X, W, B))


def test_right_pairs_pass():
    assert check.gradients(affine, affine_backward, (X, W, B)).status == dict.fromkeys(
        ("forward", "dx", "dw", "db"), "ok"
    )
    assert check.gradients(tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), X).passed
    assert check.gradients(lambda x: (np.sqrt(x), x), lambda dy, x: dy / 2 / np.sqrt(x), np.abs(X) + 0.1).passed


@pytest.mark.parametrize(
    ("position", "change", "signature"),
    [
        (0, lambda g, dy: 2 * g, "factor:2"),
        (1, lambda g, dy: -g, "factor:-1"),
        (1, lambda g, dy: g.T, "shape:transposed"),
        (2, lambda g, dy: dy, "shape:not_summed"),
        (0, lambda g, dy: 0 * g, "zero"),
        (0, lambda g, dy: g[::-1], "flip:0"),
    ],
)
def test_signatures_need_no_knowledge_of_the_op(position, change, signature):
    (finding,) = changed(position, change).findings
    assert finding.signature == signature
    assert finding.certainty == "likely"
    assert finding.mistake is None


def test_a_factor_that_could_be_two_lengths_names_both():
    (finding,) = changed(2, lambda g, dy: g / len(dy)).findings
    assert "x.shape[0] or 1/y.shape[0]" in finding.message


def test_what_cannot_be_named_is_not_named():
    (finding,) = check.gradients(tanh, lambda dy, x: dy * (1 - np.tanh(x)), X).findings
    assert (finding.mistake, finding.signature, finding.certainty) == (None, None, "unknown")
    assert finding.where.witness == "numeric"


def test_kinks_are_conventions():
    x = np.array([0.0, 1, 2, -1, 0, 3])
    for slope, legal in ((0.0, True), (1.0, True), (-1.0, True), (3.0, False)):
        report = check.gradients(
            lambda x: (np.abs(x), x), lambda dy, x, s=slope: dy * np.where(x == 0, s, np.sign(x)), x
        )
        assert report.passed == legal


def deep(x):
    rng, kept = np.random.default_rng(1), []
    for _ in range(8):
        w = rng.standard_normal((x.shape[1], 30)) / np.sqrt(x.shape[1] / 2)
        kept.append((w, x @ w))
        x = np.maximum(x @ w, 0)
    return x, kept


def deep_backward(dy, kept):
    for w, z in reversed(kept):
        dy = (dy * (z > 0)) @ w.T
    return dy


def test_a_deep_network_of_relus_is_no_false_alarm():
    assert check.gradients(deep, deep_backward, RNG.standard_normal((20, 30))).passed


def test_float32_inside_gets_a_larger_step():
    def forward(x):
        return np.tanh(x.astype(np.float32)), x

    assert check.gradients(forward, lambda dy, x: dy * (1 - np.tanh(x) ** 2), X).passed
    assert not check.gradients(forward, lambda dy, x: 0.9 * dy * (1 - np.tanh(x) ** 2), X).passed


def test_below_the_noise_is_not_a_pass():
    report = check.gradients(lambda x: (1e-9 * x + 1e9, None), lambda dy, c: 1e-9 * dy, X)
    assert not report.passed
    assert report.status["dx"] == "not judged"


def test_labels_have_no_gradient_and_random_forwards_are_found():
    def forward(x, labels):
        return x[np.arange(len(x)), labels], (x.shape, labels)

    def backward(dy, cache):
        dx = np.zeros(cache[0])
        dx[np.arange(len(dx)), cache[1]] = dy
        return dx, None

    assert check.gradients(forward, backward, (X, np.array([1, 0, 3]))).passed
    noisy = check.gradients(lambda x: (x + np.random.random(x.shape), None), lambda dy, c: dy, X)
    assert noisy.findings[0].mistake == "differs_each_call"


def test_a_slow_forward_is_sampled_and_says_so():
    def slow(x):
        time.sleep(0.002)
        return x**2, x

    report = check.gradients(slow, lambda dy, x: 2 * x * dy, RNG.standard_normal((40, 40)), budget=0.4)
    assert report.passed
    assert "chosen at random" in report.notes[0]
    assert not check.gradients(slow, lambda dy, x: x * dy, RNG.standard_normal((40, 40)), budget=0.4).passed


def test_bad_input():
    for inputs, words in (((), "tuple of arrays"), (np.arange(3), "no gradient"), (np.array([np.nan]), "NaN")):
        with pytest.raises(OptionError, match=words):
            check.gradients(tanh, tanh, inputs)
    with pytest.raises(OptionError, match="must be a function"):
        check.gradients(None, tanh, X)
    with pytest.raises(OptionError, match="names"):
        check.gradients(tanh, tanh, X, names=("a", "b"))
