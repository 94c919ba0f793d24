"""Layers in the shapes that people give them, right and wrong: what the checker says about code it was not made for.

`SHAPES` holds (name, op, make, faults). `make(fault)` gives a class or a (forward, backward) pair with one fault built
in, None for the right one; `faults` maps each fault to the ids, one of which must be told: (fault, *ids).
"""

import os

import numpy as np

from tinyvision import check

SHAPES = []


def shape(op, name, *faults):
    """Decorator for a function of a fault that makes the code."""

    def register(make):
        SHAPES.append((name, op, make, faults))
        return make

    return register


def columns(x, k, s, p):
    """Windows as rows (N·OH·OW, C·K·K), and the output's size."""
    n, c, h, w = x.shape
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    oh, ow = (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    col = np.zeros((n, c, k, k, oh, ow))
    for i in range(k):
        for j in range(k):
            col[:, :, i, j] = xp[:, :, i : i + s * oh : s, j : j + s * ow : s]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(n * oh * ow, -1), oh, ow


def image(col, size, k, s, p, fault=None):
    """The adjoint of `columns`."""
    n, c, h, w = size
    oh, ow = (h + 2 * p - k) // s + 1, (w + 2 * p - k) // s + 1
    col = col.reshape(n, oh, ow, c, k, k).transpose(0, 3, 4, 5, 1, 2)
    xp = np.zeros((n, c, h + 2 * p, w + 2 * p))
    for i in range(k):
        for j in range(k):
            xp[:, :, i : i + s * oh : s, j : j + s * ow : s] += col[:, :, i, j]
    return xp[:, :, :h, :w] if fault == "cropped_at_zero" else xp[:, :, p : p + h, p : p + w]


@shape("linear", "W and b in the constructor, (I, O)", ("averaged", "averaged"), ("sign", "sign", "factor:-1"))
def affine(fault):
    class Affine:
        def __init__(self, W, b):
            self.W, self.b = W, b

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dout):
            self.dW = self.x.T @ dout * (-1 if fault == "sign" else 1)
            self.db = dout.mean(0) if fault == "averaged" else dout.sum(0)
            return dout @ self.W.T

    return Affine


@shape("linear", "sizes in the constructor, results in attributes", ("first", "first_sample"))
def attributes(fault):
    class Dense:
        def __init__(self, n_inputs, n_neurons):
            self.weights = 0.1 * np.random.standard_normal((n_inputs, n_neurons))
            self.biases = np.zeros((1, n_neurons))

        def forward(self, inputs):
            self.inputs = inputs
            self.output = inputs @ self.weights + self.biases

        def backward(self, dvalues):
            self.dweights = self.inputs.T @ dvalues
            self.dbiases = dvalues[:1] if fault == "first" else dvalues.sum(axis=0, keepdims=True)
            self.dinputs = dvalues @ self.weights.T

    return Dense


@shape("linear", "dictionaries of parameters and gradients", ("doubled", "doubled", "factor:2"))
def dictionaries(fault):
    class FullyConnected:
        def __init__(self, input_dim, output_dim):
            self.params = {"W": np.random.standard_normal((output_dim, input_dim)), "b": np.zeros(output_dim)}
            self.grads = {}

        def forward(self, X):
            self.cache = X
            return X @ self.params["W"].T + self.params["b"]

        def backward(self, grad):
            self.grads["W"] = grad.T @ self.cache * (2 if fault == "doubled" else 1)
            self.grads["b"] = grad.sum(0)
            return grad @ self.params["W"]

    return FullyConnected


@shape("linear", "one sample a column, 1/N for the loss", ("transposed", "transposed", "shape"))
def column_layer(fault):
    def linear_forward(A, W, b):
        return W @ A + b, (A, W, b)

    def linear_backward(dZ, cache):
        A_prev, W, _b = cache
        return W.T @ dZ, (A_prev @ dZ.T if fault == "transposed" else dZ @ A_prev.T), dZ.sum(axis=1, keepdims=True)

    return linear_forward, linear_backward


@shape("linear", "steps its own weights", ("sign", "sign", "factor:-1"))
def stepping(fault):
    class Dense:
        def __init__(self, input_size, output_size):
            self.weights = np.random.standard_normal((output_size, input_size))
            self.bias = np.random.standard_normal((output_size, 1))

        def forward(self, input):
            self.input = input
            return self.weights @ input + self.bias

        def backward(self, output_gradient, learning_rate):
            dx = self.weights.T @ output_gradient * (-1 if fault else 1)
            self.weights -= learning_rate * output_gradient @ self.input.T
            self.bias -= learning_rate * output_gradient
            return dx

    return Dense


@shape("linear", "CS231n's affine", ("not_summed", "not_summed"))
def affine_pair(fault):
    def affine_forward(x, w, b):
        return x.reshape(len(x), -1) @ w + b, (x, w, b)

    def affine_backward(dout, cache):
        x, w, _ = cache
        return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, (dout if fault else dout.sum(0))

    return affine_forward, affine_backward


@shape("linear", "parameters that hold value and grad")
def parameters(fault):
    class Parameter:
        def __init__(self, value):
            self.value, self.grad = value, np.zeros_like(value)

    class Linear:
        def __init__(self, in_features, out_features):
            self.W = Parameter(np.random.standard_normal((in_features, out_features)))
            self.B = Parameter(np.zeros((1, out_features)))

        def __call__(self, X):
            return self.forward(X)

        def forward(self, X):
            self.X = X
            return X @ self.W.value + self.B.value

        def backward(self, d_out):
            self.W.grad += self.X.T @ d_out
            self.B.grad += d_out.sum(axis=0, keepdims=True)
            return d_out @ self.W.value.T

    return Linear


@shape("linear", "returns a dictionary")
def returns_dictionary(fault):
    def forward(X, W, b):
        return X @ W + b, {"X": X, "W": W}

    def backward(dout, cache):
        return {"db": dout.sum(0), "dX": dout @ cache["W"].T, "dW": cache["X"].T @ dout}

    return forward, backward


def _conv_class(layout, fault):
    class Conv2D:
        def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0):
            self.k, self.stride, self.pad = kernel_size, stride, padding
            size = (out_channels, in_channels, kernel_size, kernel_size)
            self.W = np.random.standard_normal(size).transpose(*((0, 1, 2, 3) if layout == "first" else (2, 3, 1, 0)))
            self.b = np.zeros(out_channels)

        def kernels(self):
            return self.W if layout == "first" else self.W.transpose(3, 2, 0, 1)

        def forward(self, X):
            self.X = X if layout == "first" else X.transpose(0, 3, 1, 2)
            self.col, oh, ow = columns(self.X, self.k, self.stride, self.pad)
            kernels = self.kernels()
            y = (self.col @ kernels.reshape(len(kernels), -1).T + self.b).reshape(len(X), oh, ow, -1)
            return y.transpose(0, 3, 1, 2) if layout == "first" else y

        def backward(self, dout):
            dout = dout if layout == "first" else dout.transpose(0, 3, 1, 2)
            kernels = self.kernels()
            rows = dout.transpose(0, 2, 3, 1).reshape(-1, len(kernels))
            dW = (rows.T @ self.col).reshape(kernels.shape)
            dW = dW[:, :, ::-1, ::-1] if fault == "rotated" else dW
            self.dW = dW if layout == "first" else dW.transpose(2, 3, 1, 0)
            self.db = rows.mean(0) if fault == "averaged" else rows.sum(0)
            dcol = rows @ kernels.reshape(len(kernels), -1)
            dX = image(dcol, self.X.shape, self.k, self.stride, self.pad, fault)
            return dX if layout == "first" else dX.transpose(0, 2, 3, 1)

    return Conv2D


@shape("conv2d", "a class, channels first", ("rotated", "rotated", "flip"), ("cropped_at_zero", "cropped_at_zero"))
def conv_first(fault):
    return _conv_class("first", fault)


@shape("conv2d", "a class, channels last", ("averaged", "averaged_over_everything"), ("rotated", "rotated", "flip"))
def conv_last(fault):
    return _conv_class("last", fault)


@shape("conv2d", "CS231n's conv_param", ("cropped_at_zero", "cropped_at_zero"))
def conv_param(fault):
    def conv_forward_naive(x, w, b, conv_param):
        col, oh, ow = columns(x, w.shape[2], conv_param["stride"], conv_param["pad"])
        out = (col @ w.reshape(len(w), -1).T + b).reshape(len(x), oh, ow, -1).transpose(0, 3, 1, 2)
        return out, (x, w, b, conv_param, col)

    def conv_backward_naive(dout, cache):
        x, w, _b, conv_param, col = cache
        rows = dout.transpose(0, 2, 3, 1).reshape(-1, len(w))
        dx = image(rows @ w.reshape(len(w), -1), x.shape, w.shape[2], conv_param["stride"], conv_param["pad"], fault)
        return dx, (rows.T @ col).reshape(w.shape), rows.sum(0)

    return conv_forward_naive, conv_backward_naive


@shape("conv2d", "Coursera's hparameters", ("last", "last_position"))
def hparameters(fault):
    def conv_forward(A_prev, W, b, hparameters):
        f, stride, pad = W.shape[0], hparameters["stride"], hparameters["pad"]
        m, height, width, _ = A_prev.shape
        padded = np.pad(A_prev, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        n_h, n_w = (height - f + 2 * pad) // stride + 1, (width - f + 2 * pad) // stride + 1
        Z = np.zeros((m, n_h, n_w, W.shape[3]))
        for i in range(m):
            for h in range(n_h):
                for w in range(n_w):
                    part = padded[i, h * stride : h * stride + f, w * stride : w * stride + f]
                    for c in range(W.shape[3]):
                        Z[i, h, w, c] = np.sum(part * W[..., c]) + float(b[0, 0, 0, c])
        return Z, (A_prev, W, b, hparameters)

    def conv_backward(dZ, cache):
        A_prev, W, b, hparameters = cache
        f, stride, pad = W.shape[0], hparameters["stride"], hparameters["pad"]
        _, height, width, _ = A_prev.shape
        padded = np.pad(A_prev, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        dpadded, dW, db = np.zeros(padded.shape), np.zeros(W.shape), np.zeros(b.shape)
        for i, h, w, c in np.ndindex(dZ.shape):
            here = (i, slice(h * stride, h * stride + f), slice(w * stride, w * stride + f))
            dpadded[here] += W[..., c] * dZ[i, h, w, c]
            dW[..., c] += padded[here] * dZ[i, h, w, c]
            if fault == "last":
                db[..., c] = dZ[:, -1, -1, c].sum()
            else:
                db[..., c] += dZ[i, h, w, c]
        return dpadded[:, pad : pad + height, pad : pad + width], dW, db

    return conv_forward, conv_backward


@shape("conv2d", "no padding, no stride, no bias")
def valid_only(fault):
    def conv(x, w):
        col, oh, ow = columns(x, w.shape[2], 1, 0)
        return (col @ w.reshape(len(w), -1).T).reshape(len(x), oh, ow, -1).transpose(0, 3, 1, 2), (x, w, col)

    def conv_backward(dout, cache):
        x, w, col = cache
        rows = dout.transpose(0, 2, 3, 1).reshape(-1, len(w))
        return image(rows @ w.reshape(len(w), -1), x.shape, w.shape[2], 1, 0), (rows.T @ col).reshape(w.shape)

    return conv, conv_backward


@shape("conv2d", "one image (C, H, W) at a time")
def one_image(fault):
    class Convolution:
        def __init__(self, num_filters, input_depth, filter_size):
            self.filters = np.random.standard_normal((num_filters, input_depth, filter_size, filter_size))
            self.bias = np.zeros(num_filters)

        def forward(self, image_):
            self.input = image_
            self.col, oh, ow = columns(image_[None], self.filters.shape[2], 1, 0)
            y = self.col @ self.filters.reshape(len(self.filters), -1).T + self.bias
            return y.reshape(oh, ow, -1).transpose(2, 0, 1)

        def backward(self, grad):
            rows = grad.transpose(1, 2, 0).reshape(-1, len(self.filters))
            self.d_filters = (rows.T @ self.col).reshape(self.filters.shape)
            self.d_bias = rows.sum(0)
            dcol = rows @ self.filters.reshape(len(self.filters), -1)
            return image(dcol, (1, *self.input.shape), self.filters.shape[2], 1, 0)[0]

    return Convolution


def _windows(x, k):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // k, k, w // k, k)


@shape("maxpool2d", "a pool of whole tiles", ("everyone", "ties", "everyone", "all_get", "spread"))
def tiles(fault):
    class MaxPool:
        def __init__(self, pool_size=2):
            self.pool_size = pool_size

        def forward(self, x):
            parts = _windows(x, self.pool_size)
            self.shape, y = x.shape, parts.max(axis=(3, 5))
            self.mask = parts == y[:, :, :, None, :, None]
            if fault == "everyone":
                self.mask = np.ones_like(self.mask)
            return y

        def backward(self, dy):
            share = self.mask / (1 if fault else self.mask.sum(axis=(3, 5), keepdims=True))
            return (dy[:, :, :, None, :, None] * share).reshape(self.shape)

    return MaxPool


@shape("maxpool2d", "CS231n's pool_param", ("ties", "ties_paid_twice"))
def pool_param(fault):
    def max_pool_forward_naive(x, pool_param):
        kh, kw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
        out = np.zeros((*x.shape[:2], 1 + (x.shape[2] - kh) // s, 1 + (x.shape[3] - kw) // s))
        for i, j in np.ndindex(out.shape[2:]):
            out[:, :, i, j] = x[:, :, i * s : i * s + kh, j * s : j * s + kw].max(axis=(2, 3))
        return out, (x, pool_param)

    def max_pool_backward_naive(dout, cache):
        x, pool_param = cache
        kh, kw, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
        dx = np.zeros_like(x)
        for n, c, i, j in np.ndindex(dout.shape):
            part = x[n, c, i * s : i * s + kh, j * s : j * s + kw]
            if fault:
                dx[n, c, i * s : i * s + kh, j * s : j * s + kw] += (part == part.max()) * dout[n, c, i, j]
            else:
                a, b = np.unravel_index(part.argmax(), part.shape)
                dx[n, c, i * s + a, j * s + b] += dout[n, c, i, j]
        return dx

    return max_pool_forward_naive, max_pool_backward_naive


def _pool_pair(largest, fault=None):
    def pool_forward(A_prev, hparameters, mode="max"):
        f, s = hparameters["f"], hparameters["stride"]
        m, h, w, c = A_prev.shape
        A = np.zeros((m, (h - f) // s + 1, (w - f) // s + 1, c))
        for i, j in np.ndindex(A.shape[1:3]):
            part = A_prev[:, i * s : i * s + f, j * s : j * s + f]
            A[:, i, j] = part.max(axis=(1, 2)) if mode == "max" else part.mean(axis=(1, 2))
        return A, (A_prev, hparameters)

    def pool_backward(dA, cache, mode="max"):
        A_prev, hparameters = cache
        f, s = hparameters["f"], hparameters["stride"]
        dx = np.zeros_like(A_prev)
        for n, i, j, c in np.ndindex(dA.shape):
            here = (n, slice(i * s, i * s + f), slice(j * s, j * s + f), c)
            part = A_prev[here]
            if mode == "max":
                dx[here] += (part == part.max()) / (part == part.max()).sum() * dA[n, i, j, c]
            else:
                dx[here] += dA[n, i, j, c] / (1 if fault else f * f)
        return dx

    return pool_forward, pool_backward


@shape("maxpool2d", "Coursera's pool, max")
def coursera_max(fault):
    return _pool_pair(True)


@shape("avgpool2d", "Coursera's pool, average", ("no_division", "not_divided", "no_division", "factor:KH·KW", "factor"))
def coursera_average(fault):
    return _pool_pair(False, fault)


@shape("batchnorm_train", "CS231n's bn_param", ("constants", "statistics_constant"))
def bn_param(fault):
    def batchnorm_forward(x, gamma, beta, bn_param):
        eps, mean, var = bn_param.get("eps", 1e-5), x.mean(0), x.var(0)
        xhat = (x - mean) / np.sqrt(var + eps)
        return gamma * xhat + beta, (xhat, gamma, np.sqrt(var + eps))

    def batchnorm_backward(dout, cache):
        xhat, gamma, sigma = cache
        d = dout if fault else dout - dout.mean(0) - xhat * (dout * xhat).mean(0)
        return gamma / sigma * d, (dout * xhat).sum(0), dout.sum(0)

    return batchnorm_forward, batchnorm_backward


@shape("batchnorm_train", "a class with an eps of its own, matrices", ("raw", "raw_x", "x_not_normalised"))
def bn_class(fault):
    class BatchNorm:
        def __init__(self, dim, momentum=0.9):
            self.gamma, self.beta, self.running_mean = np.ones(dim), np.zeros(dim), np.zeros(dim)

        def forward(self, x, train=True):
            self.sigma = np.sqrt(x.var(axis=0) + 1e-6)
            self.x, self.xhat = x, (x - x.mean(axis=0)) / self.sigma
            return self.gamma * self.xhat + self.beta

        def backward(self, dout):
            self.dgamma = (dout * (self.x if fault else self.xhat)).sum(axis=0)
            self.dbeta = dout.sum(axis=0)
            d = dout - dout.mean(axis=0) - self.xhat * (dout * self.xhat).mean(axis=0)
            return self.gamma / self.sigma * d

    return BatchNorm


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@shape("cross_entropy", "CS231n's softmax_loss", ("not_averaged", "not_averaged", "factor:N"))
def softmax_loss(fault):
    def softmax_loss(x, y):
        p, n = _softmax(x), len(x)
        dx = p.copy()
        dx[np.arange(n), y] -= 1
        return -np.log(p[np.arange(n), y]).mean(), dx / (1 if fault else n)

    return softmax_loss, None


@shape("cross_entropy", "a loss class, one-hot labels, log(p + 1e-7)", ("sign", "sign", "factor:-1"))
def loss_class(fault):
    class SoftmaxWithLoss:
        def forward(self, x, t):
            self.y, self.t = _softmax(x), t
            return -np.sum(t * np.log(self.y + 1e-7)) / len(x)

        def backward(self, dout=1):
            return (self.y - self.t) / len(self.t) * (-1 if fault else 1)

    return SoftmaxWithLoss


@shape("cross_entropy", "a loss class that returns (probabilities, loss)", ("one_hot", "one_hot", "label"))
def both_returned(fault):
    class SoftmaxCrossEntropy:
        def forward(self, x, y):
            self.p, self.y = _softmax(x), y
            return self.p, -np.log(self.p[np.arange(len(x)), y]).mean()

        def backward(self):
            d = self.p.copy()
            if not fault:
                d[np.arange(len(d)), self.y] -= 1
            return d / len(d)

    return SoftmaxCrossEntropy


@shape("softmax", "a class with the whole Jacobian")
def softmax_class(fault):
    class Softmax:
        def forward(self, x):
            self.y = _softmax(x)
            return self.y

        def backward(self, grad):
            return np.stack([(np.diag(y) - np.outer(y, y)) @ g for y, g in zip(self.y, grad, strict=True)])

    return Softmax


@shape("softmax", "a class whose loss does the other half")
def softmax_half(fault):
    class Softmax:
        def forward(self, x):
            return _softmax(x)

        def backward(self, grad):
            return grad

    return Softmax


@shape("relu", "a class that keeps a mask", ("no_mask", "no_mask", "dy"), ("mask_of_dy", "mask", "dy"))
def relu_class(fault):
    class ReLU:
        def forward(self, Z):
            self.mask = Z > 0
            return Z * self.mask

        def backward(self, dA):
            return dA.copy() if fault == "no_mask" else dA * (dA > 0) if fault else dA * self.mask

    return ReLU


@shape("linear", "no bias at all", ("transposed", "transposed", "axes", "shape"))
def no_bias(fault):
    class Linear:
        def __init__(self, n_in, n_out):
            self.w = np.random.standard_normal((n_in, n_out))

        def forward(self, x):
            self.x = x
            return x @ self.w

        def backward(self, g):
            self.dw = self.x.T @ g
            return g @ self.w.T if not fault else self.w @ g.T

    return Linear


@shape("relu", "a pair whose backward takes x")
def relu_pair(fault):
    return lambda Z: np.maximum(0, Z), lambda dA, Z: dA * (Z > 0)


@shape("relu", "static methods", ("inverted", "inverted"))
def relu_static(fault):
    class ReLU:
        @staticmethod
        def forward(x):
            return np.maximum(x, 0), x

        @staticmethod
        def backward(dout, cache):
            return dout * (cache <= 0 if fault else cache > 0)

    return ReLU


@shape("dropout", "CS231n's dropout_param", ("no_mask", "identity"))
def dropout_param(fault):
    def dropout_forward(x, dropout_param):
        p = dropout_param["p"]
        mask = (np.random.rand(*x.shape) < p) / p
        return x * mask, (dropout_param, mask)

    def dropout_backward(dout, cache):
        return dout.copy() if fault else dout * cache[1]

    return dropout_forward, dropout_backward


@shape("dropout", "a class that does not scale", ("inverted", "mask", "inverted"))
def dropout_class(fault):
    class Dropout:
        def __init__(self, dropout_ratio=0.5):
            self.dropout_ratio = dropout_ratio

        def forward(self, x, train_flg=True):
            self.mask = np.random.rand(*x.shape) > self.dropout_ratio
            return x * self.mask

        def backward(self, dout):
            return dout * (~self.mask if fault else self.mask)

    return Dropout


def judged(op, code):
    """The report for a class or a pair."""
    return check.layer(code, op) if isinstance(code, type) else check.op(op, *code)


def outcomes(shapes=None):
    """Yields (name, fault or None, report, expected ids)."""
    for name, op, make, faults in SHAPES if shapes is None else shapes:
        yield name, None, judged(op, make(None)), ()
        for fault, *ids in faults:
            yield name, fault, judged(op, make(fault)), ids


def verdict(report, ids):
    """ "missed", "named", "named wrongly" or "unnamed" for a wrong piece of code."""
    if report.passed:
        return "missed"
    told = [f"{f.mistake or ''} {f.signature or ''}" for f in report.findings if f.certainty in ("exact", "likely")]
    if not told:
        return "unnamed"
    return "named" if any(i in t for i in ids for t in told) else "named wrongly"


def _spent():
    """Seconds of CPU so far, of this process and of those that looked for a line."""
    return sum(os.times()[:4])


def table():
    """Print what was said about each; returns True if the goals are met."""
    rows, took, before = [], {True: [], False: []}, _spent()
    for row in outcomes():
        rows.append(row)
        took[row[2].passed].append(_spent() - before)
        before = _spent()
    right = [r for _, fault, r, _ in rows if fault is None]
    wrong = [(name, fault, verdict(r, ids)) for name, fault, r, ids in rows if fault is not None]
    counts = {v: sum(w == v for _, _, w in wrong) for v in ("missed", "named", "unnamed", "named wrongly")}
    passed = sum(r.passed for r in right)
    print(f"in the wild: {len(SHAPES)} shapes of code; right ones passed {passed} of {len(right)}; wrong ones caught")
    print(f"    {len(wrong) - counts['missed']} of {len(wrong)}, named {counts['named']}, "
          f"unnamed {counts['unnamed']}, named wrongly {counts['named wrongly']}")  # fmt: skip
    for name, fault, report, _ids in rows:
        if fault is None and not report.passed:
            print(f"    called wrong: {name}: {report.findings[0] if report.findings else report.status}")
    for name, fault, said in wrong:
        if said != "named":
            print(f"    {said}: {name}: {fault}")
    for kind, seconds in (("that pass", took[True]), ("that fail, with the search for the line", took[False])):
        median, late, most = np.quantile(seconds, (0.5, 0.95, 1.0))
        print(
            f"    seconds of CPU a check of those {kind}: median {median:.2f}, 95 % within {late:.2f}, most {most:.2f}"
        )
    fine = passed >= 0.97 * len(right) and not counts["missed"] and not counts["named wrongly"]
    return fine and counts["named"] >= 0.8 * len(wrong)
