"""Right sigmoids, leaky ReLUs and such, as people write them: they join the variants of checker_variants."""

import math

import numpy as np

from .checker_variants import single, variant


@variant("sigmoid", "from the output")
def _():
    def forward(x):
        y = 1 / (1 + np.exp(-x))
        return y, y

    return forward, lambda dy, y: dy * y * (1 - y)


@variant("sigmoid", "from the input, by the quotient")
def _():
    return lambda x: (1.0 / (1.0 + np.exp(-x)), x), lambda dy, x: dy * np.exp(-x) / (1 + np.exp(-x)) ** 2


@variant("sigmoid", "by signs")
def _():
    def forward(x):
        e = np.exp(-np.abs(x))
        return np.where(x < 0, e, 1.0) / (1 + e), x

    return forward, lambda dy, x: [dy * forward(x)[0] * forward(-x)[0]]


@variant("sigmoid", "half a tanh")
def _():
    return lambda x: (0.5 + 0.5 * np.tanh(x / 2), x), lambda dy, x: (dy / np.cosh(x / 2) ** 2 / 4,)


@variant("sigmoid", "float32")
def _():
    return (
        single(lambda x: (1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-x)))),
        single(lambda dy, y: dy * (y - y**2)),
    )


@variant("tanh", "from the output")
def _():
    def forward(x):
        y = np.tanh(x)
        return y, y

    return forward, lambda dy, y: dy * (1 - y**2)


@variant("tanh", "by exponentials")
def _():
    def forward(x):
        return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), x

    return forward, lambda dy, x: (4 * dy / (np.exp(x) + np.exp(-x)) ** 2,)


@variant("tanh", "two sigmoids less one")
def _():
    return lambda x: (2 / (1 + np.exp(-2 * x)) - 1, x), lambda dy, x: dy * (1 - np.tanh(x)) * (1 + np.tanh(x))


@variant("softplus", "logaddexp")
def _():
    return lambda x: (np.logaddexp(0, x), x), lambda dy, x: dy / (1 + np.exp(-x))


@variant("softplus", "from the output")
def _():
    def forward(x):
        y = np.log1p(np.exp(x))
        return y, y

    return forward, lambda dy, y: dy * (1 - np.exp(-y))


@variant("leaky_relu", "maximum")
def _():
    def forward(x, negative_slope):
        return np.maximum(x, negative_slope * x), (x, negative_slope)

    return forward, lambda dy, kept: dy * np.where(kept[0] < 0, kept[1], 1.0)


@variant("leaky_relu", "a slope of its own, float32")
def _():
    def forward(x):
        return np.where(x >= 0, x, 0.01 * x), x

    def backward(dy, x):
        dx = np.array(dy)
        dx[x < 0] *= 0.01
        return dx

    return single(forward), single(backward)


@variant("elu", "from the output")
def _():
    def forward(x, alpha):
        y = np.where(x > 0, x, alpha * (np.exp(x) - 1))
        return y, (y, alpha)

    return forward, lambda dy, kept: (np.where(kept[0] > 0, dy, dy * (kept[0] + kept[1])),)


@variant("silu", "from the output")
def _():
    def forward(x):
        s = 1 / (1 + np.exp(-x))
        return x * s, (x * s, s)

    return forward, lambda dy, kept: dy * (kept[0] + kept[1] * (1 - kept[0]))


@variant("gelu", "by tanh alone")
def _():
    c = math.sqrt(2 / math.pi)

    def forward(x):
        t = np.tanh(c * (x + 0.044715 * np.power(x, 3)))
        return 0.5 * x * (1 + t), (x, t)

    def backward(dy, kept):
        x, t = kept
        return dy * 0.5 * (1 + t + x * (1 - t**2) * c * (1 + 0.134145 * x**2))

    return forward, backward
