"""More layers in the shapes that people give them: parts of small frameworks, whose base classes do half of it."""

import numpy as np

from .checker_wild import image, shape


def traced(function):
    """A decorator that does not tell what it decorates."""

    def wrap(*args, **kwargs):
        return function(*args, **kwargs)

    return wrap


class Part:
    """A base class: __call__ keeps the input, flags and optimisers are attributes."""

    def __init__(self, optimizer=None):
        self._is_training, self._optimizer_instance, self.seen = False, optimizer, None

    def __call__(self, x):
        self.seen = x
        return self.forward(x)


@shape("linear", "steps in a method of its own, with the input kept by __call__", ("sign", "sign", "factor:-1"))
def updated_later(fault):
    class Linear(Part):
        def __init__(self, in_dim, out_dim):
            super().__init__()
            self.W, self.b = np.random.standard_normal((out_dim, in_dim)), np.zeros(out_dim)

        def forward(self, x):
            return x @ self.W.T + self.b

        def backward(self, error):
            self.error = error
            return error @ self.W * (-1 if fault else 1)

        def update(self, lr, weight_decay=0.05):
            self.W -= lr * (self.error.T @ self.seen + weight_decay * self.W)
            self.b -= lr * self.error.sum(0)

    return Linear


@shape("linear", "decorated methods, an optimiser that takes lists", ("averaged", "averaged"))
def decorated(fault):
    class Dense(Part):
        def __init__(self, in_features, out_features, optimizer=None):
            super().__init__(optimizer)
            self.weight, self.bias = np.random.standard_normal((out_features, in_features)), np.zeros(out_features)

        @traced
        def forward(self, x):
            self.input = x
            return x @ self.weight.T + self.bias

        @traced
        def backward(self, upstream, y_true=None):
            dx = upstream @ self.weight
            db = upstream.mean(0) if fault else upstream.sum(0)
            self._optimizer_instance.update([self.weight, self.bias], [upstream.T @ self.input, db])
            return dx

    return Dense


@shape("dropout", "a share of its own, off unless it is training", ("identity", "identity", "dx"))
def own_share(fault):
    class Dropout(Part):
        def __init__(self, amount=0.3):
            super().__init__()
            self.amount = amount

        @traced
        def forward(self, x):
            if not self._is_training:
                return x
            self.kept = (np.random.rand(*x.shape) > self.amount) / (1 - self.amount)
            return x * self.kept

        @traced
        def backward(self, upstream):
            return upstream.copy() if fault else upstream * self.kept

    return Dropout


@shape("dropout", "a function for matrices only", ("scale", "scale"))
def matrices(fault):
    def dropout_forward(x, dropout_param):
        n, d = x.shape
        p = dropout_param["p"]
        mask = (np.random.rand(n, d) >= p) / (1 - p)
        return x * mask, (dropout_param, mask)

    def dropout_backward(dout, cache):
        return dout * (cache[1] > 0 if fault else cache[1])

    return dropout_forward, dropout_backward


@shape("avgpool2d", "a property that raises before forward has run", ("sum", "not_divided", "factor"))
def property_before_forward(fault):
    class AveragePooling:
        def __init__(self, kernel_size, stride=2):
            self.kernel_size, self.stride, self.input = kernel_size, stride, None

        @property
        def positions(self):
            assert self.input is not None, "forward comes first"
            return [(s - self.kernel_size) // self.stride + 1 for s in self.input.shape[2:]]

        def forward(self, x):
            self.input, k, s = x, self.kernel_size, self.stride
            oh, ow = self.positions
            y = np.zeros((*x.shape[:2], oh, ow))
            for i in range(oh):
                for j in range(ow):
                    y[:, :, i, j] = x[:, :, i * s : i * s + k, j * s : j * s + k].mean((2, 3))
            return y

        def backward(self, dy):
            k, s = self.kernel_size, self.stride
            share = dy if fault else dy / k**2
            rows = np.repeat(share.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1], 1), k * k, axis=2)
            return image(rows.reshape(len(rows), -1), self.input.shape, k, s, 0)

    return AveragePooling
