"""Still more layers in the shapes that people give them: from lessons, and from networks that call their layers so."""

import numpy as np

from .checker_wild import shape


@shape("linear", "weights made when the network shows the shape, named after the layer",
       ("averaged", "averaged", "factor:1/N"))  # fmt: skip
def shown_a_shape(fault):
    class Dense:
        def __init__(self, units):
            self.units = units

        def init_params(self, input_size):
            self.fc_w = np.random.standard_normal((input_size[-1], self.units))
            self.fc_b = np.zeros((1, self.units))

        def forward(self, seen):
            self.seen = seen
            return seen @ self.fc_w + self.fc_b

        def backward(self, delta):
            self.grad_w = self.seen.T @ delta
            self.grad_b = delta.mean(0, keepdims=True) if fault else delta.sum(0, keepdims=True)
            return delta @ self.fc_w.T

    return Dense


@shape("linear", "a bias called w0, which its own step broadcasts", ("not_summed", "not_summed", "shape"))
def bias_is_w0(fault):
    class Dense:
        def __init__(self, n_in, n_out):
            self.W, self.w0 = np.random.standard_normal((n_in, n_out)), np.zeros(n_out)

        def __call__(self, x):
            self.x = x
            return x @ self.W + self.w0

        def backprop(self, delta, learning_rate):
            before = delta @ self.W.T
            self.W = self.W - learning_rate * self.x.T @ delta
            self.w0 = self.w0 - learning_rate * (delta if fault else delta.sum(0))
            return before

    return Dense


@shape("relu", "backward(out, input, output)", ("everywhere", "no_mask", "identity"))
def told_all_three(fault):
    class Relu:
        def forward(self, x, train):
            return np.where(x > 0, x, 0.0)

        def backward(self, out, input, output):
            return out * 1.0 if fault else out * (input > 0)

    return Relu


@shape("relu", "gradient(x), which the network multiplies by what comes", ("inverted", "mask_inverted"))
def slope_of_x(fault):
    class ReLU:
        def __call__(self, x):
            return np.maximum(x, 0)

        def gradient(self, x):
            return np.where(x < 0, 1, 0) if fault else np.where(x >= 0, 1, 0)

    return ReLU


@shape("softmax", "backward takes the labels", ("sign", "sign", "factor:-1"))
def softmax_of_labels(fault):
    class Softmax:
        def forward(self, z):
            raised = np.exp(z - z.max(axis=1, keepdims=True))
            self.p = raised / raised.sum(axis=1, keepdims=True)
            return self.p

        def backward(self, y_true):
            return (y_true - self.p if fault else self.p - y_true) / len(y_true)

    return Softmax


@shape("cross_entropy", "a loss of each sample, and backward(dvalues, y_true)", ("sign", "sign", "factor:-1"))
def each_sample(fault):
    class Loss:
        def forward(self, y_pred, y_true):
            chosen = np.clip(y_pred, 1e-12, 1.0)[np.arange(len(y_pred)), y_true]
            return -np.log(chosen)

        def backward(self, dvalues, y_true):
            hot = np.eye(dvalues.shape[1])[y_true]
            self.dinputs = (hot if fault else -hot) / dvalues / len(dvalues)

    return Loss


@shape("maxpool2d", "told its stride alone", ("transposed", "winner_swapped"))
def strides_alone(fault):
    class MaxPool:
        def __init__(self, stride):
            self.stride = stride

        def feed_forward(self, a):
            s, (n, c, h, w) = self.stride, a.shape
            self.parts = a.reshape(n, c, h // s, s, w // s, s).transpose(0, 1, 2, 4, 3, 5)
            return self.parts.max(axis=(4, 5))

        def back_propagation(self, error):
            s, (n, c, oh, ow) = self.stride, error.shape
            row, col = np.divmod(self.parts.reshape(n, c, oh, ow, -1).argmax(-1), s)
            if fault:
                row, col = col, row
            share = np.zeros(self.parts.shape)
            np.put_along_axis(share.reshape(n, c, oh, ow, -1), (row * s + col)[..., None], error[..., None], -1)
            return share.transpose(0, 1, 2, 4, 3, 5).reshape(n, c, oh * s, ow * s)

    return MaxPool


@shape("maxpool2d", "a mask kept for each window", ("one_mask", "mask_overwritten"), ("union", "one_mask_for_all"))
def window_masks(fault):
    class MaxPool:
        def __init__(self, pool_size, stride):
            self.k, self.s = pool_size, stride

        def places(self, shape):
            for i, j in np.ndindex(shape[2:]):
                yield i, j, np.s_[:, :, i * self.s : i * self.s + self.k, j * self.s : j * self.s + self.k]

        def forward(self, x):
            out = np.zeros((*x.shape[:2], *((side - self.k) // self.s + 1 for side in x.shape[2:])))
            self.x, self.masks, self.whole = x, {}, np.zeros(x.shape, bool)
            for i, j, place in self.places(out.shape):
                out[:, :, i, j] = x[place].max(axis=(2, 3))
                won = x[place] == out[:, :, i, j][:, :, None, None]
                first = np.cumsum(won.reshape(*won.shape[:2], -1), axis=2).reshape(won.shape) == 1
                self.masks[i, j] = won & first
                self.whole[place] = won | self.whole[place] if fault == "union" else won
            return out

        def backward(self, dout):
            dx = np.zeros(self.x.shape)
            for i, j, place in self.places(dout.shape):
                dx[place] += dout[:, :, i, j][:, :, None, None] * (self.whole[place] if fault else self.masks[i, j])
            return dx

    return MaxPool


@shape("sigmoid", "a class that keeps its output", ("input", "x_for_y"), ("lone", "dy_ignored"))
def sigmoid_of_output(fault):
    class Sigmoid:
        def __init__(self):
            self.out = None

        def forward(self, x):
            self.x, self.out = x, 1 / (1 + np.exp(-x))
            return self.out

        def backward(self, dout):
            out = self.x if fault == "input" else self.out
            return out * (1 - out) if fault == "lone" else dout * (1.0 - out) * out

    return Sigmoid


@shape("sigmoid", "functions of a course, backward(dA, cache)", ("again", "sigmoid_of_y"), ("half", "y_missing"))
def sigmoid_of_a_course(fault):
    def sigmoid(Z):
        A = 1 / (1 + np.exp(-Z))
        return A, (A if fault == "again" else Z)

    def sigmoid_backward(dA, cache):
        s = 1 / (1 + np.exp(-cache))
        return dA * (1 - s) if fault == "half" else dA * s * (1 - s)

    return sigmoid, sigmoid_backward


@shape("tanh", "activation and its prime, in a class", ("no_square", "square_missing"), ("sigmoid", "sigmoids"))
def tanh_with_prime(fault):
    class Tanh:
        def forward(self, input_data):
            self.output = np.tanh(input_data)
            return self.output

        def backward(self, output_error, learning_rate):
            if fault == "sigmoid":
                return output_error * self.output * (1 - self.output)
            return output_error * (1 - (self.output if fault else self.output**2))

    return Tanh


@shape("linear", "backward(x, cache, upstream, gradients) that writes into a ledger, under the layer's name",
       ("sign", "sign", "factor:-1"))  # fmt: skip
def written_into_a_ledger(fault):
    class Dense:
        def __init__(self, in_dim, out_dim, name="Dense"):
            self.name = name
            self.parameters = {f"{name}/W": np.random.randn(in_dim, out_dim), f"{name}/b": np.zeros(out_dim)}

        def forward(self, x):
            return x @ self.parameters[f"{self.name}/W"] + self.parameters[f"{self.name}/b"], {}

        def backward(self, x, cache, backwards_gradient, gradients):
            gradients[f"{self.name}/W"] = (-x if fault else x).T @ backwards_gradient
            gradients[f"{self.name}/b"] = backwards_gradient.sum(axis=0)
            return backwards_gradient @ self.parameters[f"{self.name}/W"].T

    return Dense


@shape("linear", "penalties that must be given, weights under the layer's name", ("keep", "averaged", "factor:1/N"))
def with_penalties(fault):
    class Dense:
        def __init__(self, n_inputs, n_neurons, l1, l2, name="fc"):
            self.w_name, self.b_name, self.l1, self.l2 = name + "_w", name + "_b", l1, l2
            self.params = {self.w_name: np.random.randn(n_inputs, n_neurons), self.b_name: np.zeros(n_neurons)}
            self.grads = {self.w_name: None, self.b_name: None}

        def forward(self, feat):
            self.meta = feat
            return feat @ self.params[self.w_name] + self.params[self.b_name]

        def backward(self, dprev):
            self.grads[self.w_name] = self.meta.T @ dprev + 2 * self.l2 * self.params[self.w_name]
            self.grads[self.b_name] = dprev.mean(axis=0) if fault else np.sum(dprev, axis=0)
            return dprev @ self.params[self.w_name].T

    return Dense


@shape("dropout", "a random state of its own, whose seed may be left out", ("unscaled", "scale_missing"))
def seeded_dropout(fault):
    class Dropout:
        def __init__(self, keep_prob, seed=None):
            self.keep_prob, self.rng = keep_prob, np.random.RandomState(seed)

        def forward(self, feat, is_training=True, seed=None):
            self.rng = self.rng if seed is None else np.random.RandomState(seed)
            self.kept = self.rng.binomial(1, self.keep_prob, size=feat.shape)
            return feat * self.kept / self.keep_prob if is_training else feat

        def compute_gradients(self, upstream):
            return upstream * self.kept if fault else upstream * self.kept / self.keep_prob

    return Dropout


@shape("leaky_relu", "a slope in the constructor, and a mask", ("dead", "relus"), ("own", "slope_ignored"))
def leaky(fault):
    class LeakyReLU:
        def __init__(self, alpha=0.01):
            self.alpha = alpha

        def forward(self, inputs):
            self.below = inputs < 0
            return np.where(self.below, self.alpha * inputs, inputs)

        def backward(self, dvalues):
            dinputs = dvalues.copy()
            dinputs[self.below] *= {"dead": 0.0, "own": 0.01}.get(fault, self.alpha)
            return dinputs

    return LeakyReLU


@shape("elu", "activation and its derivative, an alpha of its own", ("flat", "alpha_alone"), ("output", "y_alone"))
def elu_functions(fault):
    def elu(x):
        return np.where(x >= 0, x, np.exp(x) - 1)

    def elu_backward(dA, x):
        below = {None: np.exp(x), "flat": 1.0, "output": np.exp(x) - 1}[fault]
        return dA * np.where(x >= 0, 1.0, below)

    return elu, elu_backward


@shape("silu", "swish in a class", ("half", "first_term"), ("sign", "minus"))
def swish(fault):
    class Swish:
        def __call__(self, x):
            self.x, self.s = x, 1 / (1 + np.exp(-x))
            return self.x * self.s

        def backward(self, grad):
            second = {None: 1.0, "half": 0.0, "sign": -1.0}[fault] * self.x * self.s * (1 - self.s)
            return grad * (self.s + second)

    return Swish


@shape("gelu", "by tanh, as in GPT", ("inner", "chain_missing"), ("cube", "cube"))
def gelu_layer(fault):
    c = np.sqrt(2 / np.pi)

    class GELU:
        def forward(self, x):
            self.x = x
            self.t = np.tanh(c * (x + 0.044715 * x**3))
            return 0.5 * x * (1 + self.t)

        def backward(self, dout):
            inner = {None: c * (1 + 3 * 0.044715 * self.x**2), "inner": 1.0}
            inner["cube"] = c * (1 + 0.044715 * self.x**2)
            return dout * (0.5 * (1 + self.t) + 0.5 * self.x * (1 - self.t**2) * inner[fault])

    return GELU
