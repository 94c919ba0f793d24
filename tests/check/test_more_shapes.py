"""Layers in more shapes of real code: a backward in two parts, sizes as numbers, losses with constants of their own."""

import numpy as np
import pytest

from tinyvision import check


class TwoPart:
    """A backward in two methods, which get the layer's input again: one gives dx, one adds up the gradients."""

    def __init__(self, input, output, biais=True):
        self._parameters, self._biais = 0.1 * np.random.standard_normal((input, output)), np.zeros((1, output))
        self._gradient, self._gradient_b = np.zeros((input, output)), np.zeros((1, output))

    def forward(self, X):
        return X @ self._parameters + self._biais

    def backward_update_gradient(self, input, delta):
        self._gradient = self._gradient + input.T @ delta
        self._gradient_b = self._gradient_b + self.summed(delta)

    def backward_delta(self, input, delta):
        return delta @ self._parameters.T

    def summed(self, delta):
        return delta.sum(axis=0)


def test_a_backward_in_two_parts():
    assert check.layer(TwoPart, "linear").passed

    class Mean(TwoPart):
        def summed(self, delta):
            return delta.mean(axis=0)

    (finding,) = check.layer(Mean, "linear").findings
    assert (finding.argument, finding.mistake) == ("dbias", "linear.dbias.averaged")


class Begun:
    """Told how many outputs it has, and by its network how many inputs."""

    def __init__(self, number_neurons, activation="linear", regularizer=None, lambd=0.01):
        self.number_neurons, self.lambd, self.activation, self.W, self.b = number_neurons, lambd, activation, None, None

    def init_params(self, previous_layer_neurons):
        self.W = 0.1 * np.random.standard_normal((previous_layer_neurons, self.number_neurons))
        self.b = np.zeros((1, self.number_neurons))

    def forward(self, A_prev):
        self.A_prev = A_prev
        if self.activation == "linear":
            A = A_prev @ self.W + self.b
        return A

    def backward(self, dA):
        self.dW = self.A_prev.T @ dA + self.lambd * self.W
        self.db = dA.sum(axis=0, keepdims=True)
        return dA @ self.W.T


class NumberForShape(Begun):
    """Told the shape of a sample as one number."""

    def __init__(self, in_shape, out_shape):
        super().__init__(out_shape, lambd=0.0)
        self.init_params(in_shape)


class Local(NumberForShape):
    """Beside its gradients it keeps, under like names, what forward has found for them."""

    def forward(self, A_prev):
        self.grad = {"W": np.array(A_prev), "b": np.ones(self.b.shape)}
        return super().forward(A_prev)

    def backward(self, dA):
        self.weight_update = {"W": self.grad["W"].T @ dA, "b": dA.sum(axis=0, keepdims=True)}
        return dA @ self.W.T


@pytest.mark.parametrize("kind", [Begun, NumberForShape, Local])
def test_how_a_layer_is_told_its_sizes(kind):
    report = check.layer(kind, "linear")
    assert report.passed, str(report)


class Scaled:
    """gamma and beta that are numbers until they are learned."""

    def __init__(self, gamma=1.0, beta=0.0):
        self.gamma, self.beta = gamma, beta

    def forward(self, x, if_train):
        self.deviation = np.sqrt(x.var(axis=0) + 1e-7)
        self.normal = (x - x.mean(axis=0)) / self.deviation
        return self.gamma * self.normal + self.beta

    def backward(self, dout):
        self.dgamma, self.dbeta = (dout * self.normal).sum(axis=0), dout.sum(axis=0)
        inner = dout - dout.mean(axis=0) - self.normal * (dout * self.normal).mean(axis=0)
        return self.gamma * inner / self.deviation


def test_numbers_that_stand_for_gamma_and_beta():
    report = check.layer(Scaled, "batchnorm_train")
    assert report.passed, str(report)
    assert "matrices (N, D)" in report.read_as


class Guarded:
    """A loss of probabilities with a constant beside them, in its gradient as well."""

    constant, own = 1e-7, 1e-7

    def forward(self, predict, label):
        self.grad = -label / (predict + self.own) / len(predict)
        return -np.sum(label * np.log(predict + self.constant)) / len(predict)

    def backward(self):
        return self.grad


def test_the_gradient_of_a_guarded_logarithm():
    report = check.layer(Guarded, "cross_entropy")
    assert report.passed, str(report)
    assert any("-log(p + 1e-07)" in note for note in report.notes)

    class InTheGradientAlone(Guarded):
        constant, own = 0.0, 1e-6

    assert check.layer(InTheGradientAlone, "cross_entropy").passed

    class Doubled(Guarded):
        def backward(self):
            return 2 * self.grad

    (finding,) = check.layer(Doubled, "cross_entropy").findings
    assert "2 times" in finding.message


def test_a_mean_that_only_the_loss_takes_of_probabilities():
    class Loss:
        def loss(self, ypred, ytarget):
            return -np.sum(ytarget * np.log(ypred + 1e-10)) / len(ypred)

        def derivative(self, ypred, ytarget):
            return ypred - ytarget

    (finding,) = check.layer(Loss, "cross_entropy").findings
    assert finding.mistake == "cross_entropy.dlogits.not_averaged"


def test_a_loss_that_is_wrong_for_labels_as_integers_alone():
    class Loss:
        def forward(self, x, t):
            self.p = np.exp(x - x.max(axis=1, keepdims=True))
            self.p /= self.p.sum(axis=1, keepdims=True)
            self.t, rows = t, np.arange(len(x))
            labels = t.argmax(axis=1) if t.ndim == 2 else t
            return -np.mean(np.log(self.p[rows, labels]))

        def backward(self, dout=1):
            if self.t.ndim == 2:
                return dout * (self.p - self.t) / len(self.p)
            dx = self.p.copy()
            dx[np.arange(len(dx)), self.t] -= 1
            return dout * dx

    report = check.layer(Loss, "cross_entropy")
    assert "with labels as integers its loss is right, and its gradient is not" in report.read_as


def test_a_loss_that_is_not_written():
    class Loss:
        def forward(self, predict, label):
            pass

        def backward(self):
            pass

    (finding,) = check.layer(Loss, "cross_entropy").findings
    assert finding.mistake == "not_an_array"


def shaping(shape):
    """A layer whose dweight goes through a function of (dweight, weight)."""

    class Shaping(NumberForShape):
        def backward(self, dA):
            dx = super().backward(dA)
            self.dW = shape(self.dW, self.W)
            return dx

    return check.layer(Shaping, "linear")


def test_a_penalty_in_the_gradient_is_half_of_something():
    report = shaping(lambda g, w: g + 0.02 * w)
    assert report.passed
    assert report.status["dweight"] == "half"
    assert "plus 0.02 times weight: right if your loss has the penalty" in report.notes[0]


def test_a_gradient_that_is_rounded_or_made_of_length_1():
    (rounded,) = shaping(lambda g, w: np.round(g, 4)).findings
    assert rounded.signature == "rounded"
    (normalised,) = shaping(lambda g, w: g / np.linalg.norm(g)).findings
    assert normalised.signature == "normalised"


def test_a_size_that_is_no_integer_on_python_3():
    def conv_forward(x, w, b, conv_param):
        out = np.zeros((len(x), len(w), (x.shape[2] - w.shape[2]) / conv_param["stride"] + 1, 1))
        return out, x

    report = check.op("conv2d", conv_forward, lambda dout, cache: (dout, dout, dout))
    assert any("write // for sizes" in f.message for f in report.findings)


class WholeChannels:
    """Dropout of channels, which takes images only."""

    def __init__(self, p=0.5):
        self.p = p

    def forward(self, x, eval=False):
        chosen = np.random.binomial(1, 1 - self.p, size=(x.shape[0], x.shape[1], 1, 1))
        self.mask = np.tile(chosen, (1, 1, x.shape[2], x.shape[3]))
        return x if eval else x * self.mask / (1 - self.p)

    def backward(self, delta):
        return self.scaled(delta * self.mask)

    def scaled(self, dx):
        return dx / (1 - self.p)


def test_dropout_that_takes_images_only():
    assert check.layer(WholeChannels, "dropout").passed

    class Unscaled(WholeChannels):
        def scaled(self, dx):
            return dx

    (finding,) = check.layer(Unscaled, "dropout").findings
    assert finding.mistake == "dropout.dx.scale_missing"


def test_a_backward_that_needs_its_own_forward_is_not_called_wrong():
    report = check.op("conv2d", backward=lambda dconv, image, filters, stride: (dconv, filters, stride))
    assert not report.passed
    assert not report.driven
    assert "could not be driven without its forward" in report.findings[0].message
    assert check.op("conv2d", backward=lambda dconv, image, filters: dconv, strict=True).driven
