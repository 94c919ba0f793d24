"""State that shows only when two calls of one shape are interleaved, and results that a later call overwrites."""

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check import reference


def kinds(report):
    return {f.kind for f in report.findings}


def test_a_cache_that_is_a_buffer_kept_by_shape():
    buffers = {}

    def forward(x):
        kept = buffers.setdefault(x.shape, np.empty(x.shape))
        kept[...] = x
        return reference.relu(x), kept

    report = check.op("relu", forward, lambda dy, x: dy * (x > 0))
    assert kinds(report) == {"kept_outside_cache"}
    assert not report.passed


def test_a_mask_that_is_found_once_for_each_shape():
    masks = {}

    def forward(x):
        return reference.relu(x), masks.setdefault(x.shape, x > 0)

    report = check.op("relu", forward, lambda dy, mask: dy * mask)
    assert [(f.argument, f.mistake, f.certainty) for f in report.findings] == [("dx", "kept_between_calls", "exact")]
    assert report.status["dx"] == "wrong"


def test_an_output_that_is_found_once_for_each_shape():
    results = {}

    def forward(x):
        return results.setdefault(x.shape, reference.softmax(x)), None

    report = check.op("softmax", forward)
    assert [(f.argument, f.mistake) for f in report.findings] == [("y", "kept_between_calls")]
    assert report.status["forward"] == "wrong"


@pytest.mark.parametrize("copied", [False, True])
def test_a_buffer_may_be_reused_but_not_handed_out(copied):
    scratch = {}

    def work(like, which):
        return scratch.setdefault((which, like.shape), np.empty(like.shape))

    def forward(x):
        y = np.maximum(x, 0, out=work(x, "y"))
        return (y.copy() if copied else y), x > 0

    def backward(dy, mask):
        dx = np.multiply(dy, mask, out=work(dy, "dx"))
        return dx.copy() if copied else dx

    assert check.op("relu", forward, backward).passed is copied
    assert kinds(check.op("relu", forward)) == (set() if copied else {"overwritten"})


def test_a_layer_object_with_its_own_state_passes_with_a_note():
    class ReLU:
        def forward(self, x):
            self.mask = x > 0
            return x * self.mask, None

        def backward(self, dy, cache=None):
            return dy * self.mask

    layer = ReLU()
    report = check.op("relu", layer.forward, layer.backward)
    assert report.passed
    assert any("one object for each layer" in note for note in report.notes)


def test_gradients_that_are_one_array_pass_with_a_note():
    report = check.op("add", lambda a, b: (a + b, None), lambda dy, cache: (dy, dy))
    assert report.passed
    assert any("Two gradients are one piece of memory" in note for note in report.notes)


class Dense:
    """A layer that is right, and from which the ones below differ in their backward."""

    def __init__(self, in_features, out_features):
        self.W, self.b = np.zeros((out_features, in_features)), np.zeros(out_features)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W.T + self.b

    def backward(self, dy):
        self.dW, self.db = dy.T @ self.x, dy.sum(axis=0)
        return dy @ self.W


class Adding(Dense):
    def backward(self, dy):
        self.dW, self.db = self.dW + dy.T @ self.x, self.db + dy.sum(axis=0)
        return dy @ self.W


class Rolling(Dense):
    def backward(self, dy):
        self.dW, self.db = 0.9 * self.dW + dy.T @ self.x, dy.sum(axis=0)
        return dy @ self.W


class Averaging(Dense):
    def backward(self, dy):
        self.dW, self.db = 0.9 * self.dW + 0.1 * (dy.T @ self.x), dy.sum(axis=0)
        return dy @ self.W


class Remembering(Dense):
    def backward(self, dy):
        if getattr(self, "first", dy).shape != dy.shape or not hasattr(self, "seen"):
            self.seen, self.first = self.x, dy
        self.dW, self.db = dy.T @ self.seen, dy.sum(axis=0)
        return dy @ self.W


@pytest.mark.parametrize("layer", [Dense, Adding])
def test_a_layer_may_keep_or_add_up_its_gradients(layer):
    assert check.layer(layer, "linear").passed


@pytest.mark.parametrize(
    ("layer", "mistake", "words"),
    [
        (Rolling, "momentum_in_gradient", "1 times its own plus 0.9 times"),
        (Averaging, "momentum_in_gradient", "0.1 times its own plus 0.09 times"),
        (Remembering, "kept_between_calls", "an earlier call"),
    ],
)
def test_the_second_batch_of_a_layer(layer, mistake, words):
    report = check.layer(layer, "linear")
    assert [(f.argument, f.mistake) for f in report.findings] == [("dweight", mistake)]
    assert report.status["dweight"] == "wrong"
    assert words in report.findings[0].message


class Queueing(Dense):
    """It keeps every batch until its gradients are cleared, and answers for the first that is left."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.xs = []

    def forward(self, x):
        self.xs.append(x)
        return super().forward(x)

    def backward(self, dy):
        self.dW, self.db = dy.T @ self.xs[0], dy.sum(axis=0)
        return dy @ self.W


def test_a_layer_that_queues_its_batches_is_not_asked_for_two():
    assert check.layer(Queueing, "linear").passed


class Accumulating:
    """Adds to gradients that its optimiser clears, as many layers do; and to dbias once for each class."""

    def __init__(self, n_in, n_out):
        self.W, self.b = np.random.randn(n_in, n_out), np.zeros(n_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW += self.x.T @ dout
        for _ in range(3):
            self.db += dout.sum(axis=0)
        return dout @ self.W.T


def test_a_wrong_factor_is_no_momentum_where_gradients_are_added_up():
    (finding,) = check.layer(Accumulating, "linear").findings
    assert (finding.argument, finding.signature) == ("dbias", "factor:3"), str(finding)
