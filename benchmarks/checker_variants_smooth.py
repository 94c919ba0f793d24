"""Right sigmoids, tanhs and softpluses, as people write them: they join the variants of checker_variants."""

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
