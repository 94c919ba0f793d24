"""Code in the shapes that people give it: right ones pass, wrong ones are caught and named, each with one call."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import checker_wild as wild
from benchmarks import checker_wild_courses, checker_wild_frameworks, checker_wild_lessons  # noqa: F401  (they add their shapes)
from tinyvision import check
from tinyvision.check.testing import assert_gradients
from tinyvision.errors import OptionError

CASES = [(s, None, ()) for s in wild.SHAPES] + [(s, f, ids) for s in wild.SHAPES for f, *ids in s[3]]


@pytest.mark.parametrize(("code", "fault", "ids"), CASES, ids=[f"{s[1]}: {s[0]}: {f or 'right'}" for s, f, _ in CASES])
def test_right_code_passes_and_wrong_code_is_named(code, fault, ids):
    _, op, make, _ = code
    report = wild.judged(op, make(fault))
    if fault is None:
        assert report.passed, str(report)
    else:
        assert wild.verdict(report, ids) == "named", str(report)


def test_what_a_forward_does_not_support_is_said_and_not_judged():
    report = check.op("maxpool2d", *wild.pool_param(None))
    assert report.passed
    assert "padding" in report.beyond
    assert "not judged" in str(report)
    assert report.as_dict()["not_judged"] == report.beyond


def test_strict_asks_for_everything():
    assert not check.op("maxpool2d", *wild.pool_param(None), strict=True).passed


def test_supports_says_it_ahead():
    forward, backward = check.ops.spec("conv2d").functions()

    def limited(x, weight, bias, stride, padding):
        if np.any(np.array(padding)) or x.shape[2] != x.shape[3]:
            raise AssertionError("called with what it does not support")
        return forward(x, weight, bias, stride=stride, padding=padding)

    report = check.op("conv2d", limited, backward, supports="squareimage,nopad")
    assert report.passed, str(report)
    assert report.beyond == ["images that are not square", "padding"]
    with pytest.raises(OptionError, match="nopadding"):
        check.op("conv2d", limited, backward, supports="nopadding")


def test_the_report_says_how_code_was_read():
    report = check.layer(wild.affine(None), "linear")
    assert "weights (I, O)" in report.read_as
    assert "dweight in self.dW" in report.read_as


def test_a_layer_whose_loss_does_the_other_half_is_half():
    report = check.layer(wild.softmax_half(None), "softmax")
    assert report.passed
    assert report.status["dx"] == "half"
    assert any("p - onehot" in note for note in report.notes)


def test_make_says_how_a_layer_is_built():
    kind = wild.conv_first(None)

    class Odd(kind):
        def __init__(self, spec_of_all):
            super().__init__(*spec_of_all)

    made = check.layer(
        Odd, "conv2d", make=lambda in_channels, out_channels, k, s, p: Odd((in_channels, out_channels, k, s, p))
    )
    assert made.passed, str(made)


def test_a_layer_that_is_made_already_keeps_its_sizes():
    assert check.layer(wild.attributes(None)(4, 3), "linear").passed
    assert check.layer(None, "conv2d", make=lambda: wild.conv_first(None)(3, 4, 3)).passed
    with pytest.raises(OptionError, match="update rule"):
        check.layer(wild.relu_class(None), "sgd")


def test_in_a_test_the_report_is_the_message():
    assert assert_gradients(wild.affine(None), op="linear").passed
    assert assert_gradients(*wild.relu_pair(None), op="relu").passed
    assert assert_gradients(lambda x: (x**2, x), lambda dy, x: 2 * x * dy, np.array([1.0, -2.0])).passed
    with pytest.raises(AssertionError, match="dbias WRONG"):
        assert_gradients(wild.affine("averaged"), op="linear")
    with pytest.raises(AssertionError, match="dx"):
        assert_gradients(lambda x: (x**2, x), lambda dy, x: x * dy, np.array([1.0, -2.0]))


def test_what_is_no_layer_is_refused():
    with pytest.raises(OptionError, match="no class with forward and backward"):
        check.layer(dict, "linear")


def test_the_command_line_takes_classes(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "class Affine:\n"
        "    def __init__(self, W, b):\n        self.W, self.b = W, b\n"
        "    def forward(self, x):\n        self.x = x\n        return x @ self.W + self.b\n"
        "    def backward(self, dout):\n"
        "        self.dW, self.db = self.x.T @ dout, dout.mean(0)\n        return dout @ self.W.T\n"
    )
    command = [sys.executable, "-m", "tinyvision", "gradcheck", f"{file}:Affine", "--op", "linear"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 1
    assert "dbias WRONG" in told.stdout
    assert "exact match with a known mistake" in " ".join(told.stdout.split())
    made = subprocess.run([*command, "--make", "Affine(W, b)"], capture_output=True, text=True)
    assert "dbias WRONG" in made.stdout, made.stdout + made.stderr


def test_a_backward_that_was_forgotten_is_asked_for():
    with pytest.raises(OptionError, match="give the backward"):
        assert_gradients(lambda x: (x, None), inputs=(np.ones(3),))


class Variable:
    """As small autograd libraries have it."""

    def __init__(self, data):
        self.data = data


class Function:
    def __call__(self, *inputs):
        arrays = [i.data if isinstance(i, Variable) else i for i in inputs]
        self.inputs = arrays
        self.output = Variable(self.forward(*arrays))
        return self.output


class ReLU(Function):
    def forward(self, x):
        return np.maximum(x, 0.0)

    def backward(self, gy):
        return Variable(gy.data * (self.inputs[0] > 0))


class Doubled(ReLU):
    def backward(self, gy):
        return Variable(2 * gy.data * (self.inputs[0] > 0))


def test_functions_of_an_autograd_library_are_called_as_it_calls_them():
    assert check.layer(ReLU, "relu").passed
    assert {f.argument for f in check.layer(Doubled, "relu").findings} == {"dx"}


def test_weights_that_are_reshaped_may_lie_either_way():
    def forward(x, w, b):
        return x @ w.reshape(x.shape[1], len(b)) + b, (x, w.reshape(x.shape[1], len(b)))

    def backward(dout, cache):
        x, w = cache
        return dout @ w.T, x.T @ dout, dout.sum(0)

    report = check.op("linear", forward, backward)
    assert report.passed, str(report)
    assert "weights (I, O)" in report.read_as


def test_a_backward_that_takes_the_arrays_themselves():
    def forward(A, K, B, debug=False):
        return A @ K.T + B

    def backward(after, A, K):
        return after @ K, after.T @ A, after.sum(axis=0)

    assert check.op("linear", forward, backward).passed
    assert not check.op("linear", forward, lambda after, A, K: (after @ K, after.T @ A, after.mean(axis=0))).passed


class First:
    """The first layer of a network: grey images into channels, a step at once, and no gradient for the images."""

    def __init__(self, num_filters):
        self.filters = np.random.standard_normal((num_filters, 3, 3))

    def windows(self, image):
        return np.lib.stride_tricks.sliding_window_view(image, (3, 3))

    def forward(self, image):
        self.image = image
        return np.einsum("hwij,fij->hwf", self.windows(image), self.filters)

    def backprop(self, d_out, learn_rate):
        self.filters = self.filters - learn_rate * np.einsum("hwij,hwf->fij", self.windows(self.image), d_out)


class FirstWithItsOwn(First):
    """Another, whose backward returns the gradient of its filters."""

    times = 1

    def backprop(self, d_out, learn_rate):
        gradient = self.times * np.einsum("hwij,hwf->fij", self.windows(self.image), d_out)
        self.filters = self.filters - learn_rate * gradient
        return gradient


def test_what_the_first_layer_returns_of_its_filters_is_judged_as_that():
    class Twice(FirstWithItsOwn):
        times = 2

    report = check.layer(Twice, "conv2d")
    assert {f.argument for f in report.findings} == {"dweight"}, str(report)


@pytest.mark.parametrize("first", [First, FirstWithItsOwn])
def test_the_first_layer_of_a_network_need_not_give_a_gradient_of_its_images(first):
    report = check.layer(first, "conv2d")
    assert report.passed, str(report)
    assert report.status["dx"] == "skipped"
    assert any("first layer" in note for note in report.notes)


def test_a_column_and_a_row_are_told_apart_by_the_backward():
    class Softmax:
        def forward(self, x):
            self.output = np.exp(x) / np.exp(x).sum()
            return self.output

        def backward(self, grad, learning_rate):
            n = self.output.size
            return (np.identity(n) - self.output.T) * self.output @ grad

    report = check.layer(Softmax, "softmax")
    assert report.passed, str(report)
    assert "one sample (D, 1) at a time" in report.read_as


def test_gradients_that_a_layer_keeps_nowhere_are_called_not_found():
    class Forgetful:
        def __init__(self, n_in, n_out):
            self.W, self.b = np.ones((n_in, n_out)), np.zeros(n_out)

        def forward(self, x):
            return x @ self.W + self.b

        def backward(self, dy):
            return dy @ self.W.T

    report = check.layer(Forgetful, "linear")
    assert report.status["dx"] == "ok"
    assert {f.argument for f in report.findings} == {"dweight", "dbias"}
    assert all("the layer does not hold it" in f.message for f in report.findings)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("op", "forward", "backward"),
    [
        ("sigmoid", sigmoid, lambda dy, y: dy * y * (1 - y)),
        ("sigmoid", sigmoid, lambda dy, out: dy * out * (1 - out)),
        ("sigmoid", sigmoid, lambda dy, x: dy * sigmoid(x) * (1 - sigmoid(x))),
        ("tanh", lambda x: np.tanh(x), lambda grad, a: grad * (1 - a * a)),
        ("relu", lambda x: np.maximum(x, 0), lambda dy, y: dy * (y > 0)),
        ("softmax", lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
         lambda dy, y: y * (dy - (dy * y).sum(1, keepdims=True))),
    ],
)  # fmt: skip
def test_a_backward_that_takes_the_output_gets_the_output(op, forward, backward):
    assert check.op(op, forward, backward).passed
