"""Right code that a checker is quick to call wrong: float32, places near a singularity, swaps that are none."""

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check.ops import spec


def in_float32(op):
    forward, backward = spec(op).functions()

    def single(value):
        return np.asarray(value, np.float32) if np.asarray(value).dtype.kind == "f" else value

    def front(*inputs, **options):
        y, cache = forward(*[single(i) for i in inputs], **options)
        return single(y), cache

    def back(dy, cache):
        return tuple(None if g is None else single(g) for g in backward(single(dy), cache))

    return front, back


@pytest.mark.parametrize("op", ["relu", "maxpool2d", "avgpool2d", "linear", "softmax", "cross_entropy", "dropout"])
def test_float32_is_no_mistake(op):
    report = check.op(op, *in_float32(op))
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("function", "slope", "x"),
    [
        (np.sqrt, lambda x: 0.5 / np.sqrt(x), [1e-12, 0.3, 2.0]),
        (np.log, lambda x: 1 / x, [1e-3, 0.5, 1.5]),
        (lambda x: 1 / x, lambda x: -1 / x**2, [1e-3, -2e-3, 1.0]),
    ],
)
def test_near_a_singular_point_right_passes_and_wrong_is_no_kink(function, slope, x):
    x = np.array(x)
    forward = lambda x: (function(x), x)  # noqa: E731
    assert check.gradients(forward, lambda dy, x: dy * slope(x), (x,)).passed

    def wrong_at_the_first(dy, x):
        dx = dy * slope(x)
        dx[0] *= 1.5
        return dx

    report = check.gradients(forward, wrong_at_the_first, (x,))
    assert report.status["dx"] == "wrong"
    assert not any("kink" in note for note in report.notes)


def test_batchnorm_gradients_in_another_order_are_called_that():
    forward, backward = spec("batchnorm_train").functions()

    def swapped(dy, cache):
        dx, dweight, dbias = backward(dy, cache)
        return dx, dbias, dweight

    (finding,) = check.op("batchnorm_train", forward, swapped).findings
    assert finding.mistake == "gradient_order"


def test_a_broadcast_bias_that_is_not_summed_is_no_other_order():
    x, b = np.random.default_rng(0).standard_normal((3, 4)), np.arange(1.0, 5.0)
    report = check.gradients(lambda x, b: (x + b, None), lambda dy, _: (dy, dy.copy()), (x, b))
    (finding,) = report.findings
    assert finding.argument == "db"
    assert finding.signature == "shape:not_summed"


def test_a_slice_that_is_empty_without_padding_is_told():
    forward, backward = spec("conv2d").functions()

    def cropped(dy, cache):
        dx, dweight, dbias = backward(dy, cache)
        ph, pw = np.broadcast_to(cache[1]["padding"], 2)
        padded = np.pad(dx, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        return padded[:, :, ph:-ph, pw:-pw], dweight, dbias

    (finding,) = check.op("conv2d", forward, cropped).findings
    assert finding.argument == "dx"
    assert "[p:-p]" in finding.message


def unit_strides(error):
    """A convolution that refuses strides and padding."""
    forward, backward = spec("conv2d").functions()

    def front(x, weight, bias, stride=1, padding=0):
        if stride != 1 or padding != 0:
            raise error
        return forward(x, weight, bias, stride=1, padding=0)

    return front, backward


@pytest.mark.parametrize("error", [ValueError("no strides"), NotImplementedError("no strides")])
def test_options_that_are_refused_are_not_judged(error):
    forward, backward = unit_strides(error)
    report = check.op("conv2d", forward, backward)
    assert report.passed, str(report)
    assert {"padding", "strides other than 1"} <= set(report.beyond)

    def doubled(dy, cache):
        dx, dweight, dbias = backward(dy, cache)
        return dx, dweight, 2 * dbias

    (finding,) = check.op("conv2d", forward, doubled).findings
    assert finding.argument == "dbias"


def test_a_layer_that_refuses_strides_is_driven_without_them():
    front, rear = unit_strides(AssertionError("no strides"))

    class Conv:
        def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
            if stride != 1 or padding != 0:
                raise ValueError("this layer knows no stride and no padding")
            self.weight = np.ones((out_channels, in_channels, kernel_size, kernel_size))
            self.bias = np.zeros(out_channels)

        def forward(self, x):
            y, self.cache = front(x, self.weight, self.bias)
            return y

        def backward(self, dy):
            dx, self.dweight, self.dbias = rear(dy, self.cache)
            return dx

    report = check.layer(Conv, "conv2d")
    assert report.passed, str(report)
    assert "strides other than 1" in report.beyond


class Pool:
    """Images by another name, a size that its network would set, and no word of padding."""

    def __init__(self, kernel_size):
        self.kernel_size, self.input_shape = kernel_size, None

    def forward(self, M):
        self.forward_, self.backward_ = spec("avgpool2d").functions()
        size = {"kernel_size": self.kernel_size, "stride": self.kernel_size, "padding": 0}
        y, self.cache = self.forward_(M, **size)
        return y

    def backward(self, dvalues):
        channels, height, width = self.input_shape
        return self.backward_(dvalues, self.cache)[0].reshape(-1, channels, height, width)


def test_data_come_first_whatever_they_are_called_and_a_networks_part_is_played():
    report = check.layer(Pool, "avgpool2d")
    assert report.passed, str(report)


class Hung:
    """A layer that hangs on the one before it, or is told what shape comes."""

    def __init__(self, prev_layer, units, activation, input_shape=None):
        shape = input_shape if prev_layer is None else prev_layer.shape
        self.weights, self.bias = np.zeros((units, shape[0])), np.zeros(units)

    def forward(self, x):
        self.x = x
        return x @ self.weights.T + self.bias

    def backward(self, dy):
        self.dweights, self.dbias = dy.T @ self.x, dy.sum(axis=0)
        return dy @ self.weights


def test_a_layer_that_would_hang_on_another_is_made_alone():
    report = check.layer(Hung, "linear")
    assert report.passed, str(report)


def test_a_backward_that_wants_what_only_the_network_has_is_not_driven():
    class Threaded(Hung):
        def backward(self, dy, cache, before):
            return dy @ self.weights * cache[0]

    report = check.layer(Threaded, "linear")
    (finding,) = report.findings
    assert (finding.kind, finding.argument) == ("unread", "backward")
    assert report.status["forward"] == "ok"


def test_a_backward_for_images_is_judged_on_images():
    rows = spec("batchnorm_train").functions()

    def forward(x, gamma, beta, bn_param):
        (n, c, h, w), eps = x.shape, bn_param.get("eps", 1e-5)
        flat = x.transpose(0, 2, 3, 1).reshape(-1, c)[:, :, None, None]
        y, cache = rows[0](flat, gamma, beta, eps=eps)
        return y.reshape(n, h, w, c).transpose(0, 3, 1, 2), (cache, x.shape)

    def backward(dy, cache, turned):
        inner, (n, c, h, w) = cache
        dy = dy.transpose(0, 2, 3, 1) if turned else dy
        dx, dgamma, dbeta = rows[1](dy.reshape(-1, c)[:, :, None, None], inner)
        return dx.reshape(n, h, w, c).transpose(0, 3, 1, 2), dgamma, dbeta

    def reshaped_only(dy, cache):
        return backward(dy, cache, False)

    assert check.op("batchnorm_train", forward, lambda dy, cache: backward(dy, cache, True)).passed
    report = check.op("batchnorm_train", forward, reshaped_only)
    assert {f.argument for f in report.findings} == {"dx", "dweight", "dbias"}
    assert "reshape without the transpose" in report.findings[0].message


def softmax(parameters, value):
    space = {"np": np}
    exec(
        "class Softmax:\n    def forward(self, x):\n        e = np.exp(x - x.max(axis=1, keepdims=True))\n"
        "        self.out = e / e.sum(axis=1, keepdims=True)\n        return self.out\n"
        f"    def backward(self, {parameters}):\n        return {value}\n",
        space,
    )
    return space["Softmax"]


@pytest.mark.parametrize(
    ("parameters", "value"),
    [
        ("cost, y", "cost - y"),
        ("a, y", "a - y"),
        ("y, t", "y - t"),
        ("y_pred, y_true", "(y_pred - y_true) / len(y_pred)"),
        ("labels, lr", "self.out - labels"),
        ("grad, y", "y * (grad - (grad * y).sum(axis=1, keepdims=True))"),
    ],
)
def test_a_softmax_that_is_handed_its_output_and_the_labels_is_judged_with_its_loss(parameters, value):
    assert check.layer(softmax(parameters, value), "softmax").passed


def test_a_softmax_that_calls_its_upstream_labels_is_right_alone():
    report = check.layer(
        softmax("labels", "self.out * (labels - (labels * self.out).sum(1, keepdims=True))"), "softmax"
    )
    assert report.passed
    assert "What its backward calls labels is the upstream gradient" in report.notes[0]


def test_a_forward_that_returns_none_is_not_written_yet():
    """And not called with images where it takes matrices."""

    def forward(x, gamma, beta, bn_param):
        N, D = x.shape
        return (None, None) if N and D else None

    (finding,) = check.op("batchnorm_train", forward, lambda dout, cache: (None, None, None)).findings
    assert "None" in finding.message
    assert finding.argument == "y"


@pytest.mark.parametrize("made", [lambda x: np.array([None]), lambda x: np.array(["a"]), lambda x: x + 1j])
def test_arrays_of_other_things_than_numbers_are_told(made):
    assert not check.op("relu", lambda x: (made(x), x), lambda dy, x: dy).passed


@pytest.mark.parametrize(
    ("value", "name"), [("y - cost", "sign"), ("cost + y", "one_hot_added"), ("cost - y / 2", None)]
)
def test_and_is_wrong_where_it_is_wrong(value, name):
    (finding,) = check.layer(softmax("cost, y", value), "softmax").findings
    assert finding.mistake == (name and f"cross_entropy.dlogits.{name}")


def test_images_that_come_out_transposed_are_no_images_of_one_pixel():
    """Of one pixel they would be right."""

    def flat(x):
        return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])

    def forward(x, gamma, beta, bn_param):
        rows = flat(x)
        std = np.sqrt(rows.var(axis=0) + bn_param.get("eps", 1e-5))
        xhat = (rows - rows.mean(axis=0)) / std
        n, c, h, w = x.shape
        return (gamma * xhat + beta).reshape(n, h, w, c).transpose(0, 3, *ORDER), (xhat, gamma, std)

    def backward(dout, cache):
        xhat, gamma, std = cache
        rows = flat(dout)
        d = rows * gamma
        dx = (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) / std
        n, c, h, w = dout.shape
        return dx.reshape(n, h, w, c).transpose(0, 3, 1, 2), (rows * xhat).sum(axis=0), rows.sum(axis=0)

    ORDER = (1, 2)
    assert check.op("batchnorm_train", forward, backward).passed
    ORDER = (2, 1)
    assert not check.op("batchnorm_train", forward, backward).passed


class Loss:
    def forward(self, x, t):
        p = np.exp(x - x.max(axis=1, keepdims=True))
        self.p, self.t = p / p.sum(axis=1, keepdims=True), t
        labels = t.argmax(axis=1) if t.ndim == 2 else t
        return -np.log(self.p[np.arange(len(p)), labels]).mean()

    def backward(self, dout=1):
        dx = self.p.copy()
        if self.t.ndim == 2:
            return (dx - self.t) / len(dx)
        dx[np.arange(len(dx)), self.t] -= 2
        return dx / len(dx)


def test_a_loss_that_is_wrong_for_labels_of_the_other_kind_says_so():
    report = check.layer(Loss, "cross_entropy")
    assert report.passed
    assert "with labels as integers its loss is right, and its gradient is not" in report.read_as


class SoftmaxWithLoss:
    def forward(self, scores, labels):
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.p, self.labels = e / e.sum(axis=1, keepdims=True), labels
        return -np.log(self.p[np.arange(len(labels)), labels]).mean()

    def backward(self, dout=1):
        dx = self.p.copy()
        dx[np.arange(len(dx)), self.labels] -= 1
        return dout * dx / len(dx)


class Head:
    """The last layer of a network, with the loss inside: its backward is handed nothing."""

    def __init__(self, n_features, num_classes=10):
        self.W, self.b = np.random.randn(n_features, num_classes), np.zeros(num_classes)
        self.criterion = SoftmaxWithLoss()

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def loss(self, x, labels):
        return self.criterion.forward(self.forward(x), labels)

    def backward(self):
        dscores = self.criterion.backward(1)
        self.dW, self.db = self.x.T @ dscores, dscores.sum(axis=0)


class AveragingHead(Head):
    def backward(self):
        dscores = self.criterion.backward(1)
        self.dW, self.db = self.x.T @ dscores, dscores.mean(axis=0)


def test_a_layer_with_its_loss_inside_gets_its_upstream_from_there():
    report = check.layer(Head, "linear")
    assert report.passed, str(report)
    assert (report.status["dweight"], report.status["dbias"], report.status["dx"]) == ("ok", "ok", "skipped")
    assert "dy in what self.criterion hands back" in report.read_as
    (finding,) = check.layer(AveragingHead, "linear").findings
    assert finding.argument == "dbias"
    assert "averaged" in finding.mistake
