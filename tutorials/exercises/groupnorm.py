"""Group normalisation: the channels of a picture in groups, each group with a mean and a variance of its own.

x (N, C, H, W), weight (C,), bias (C,), groups divides C  ->  y (N, C, H, W);  dy, cache  ->  dx, dweight, dbias
Nothing is taken over the batch: a batch of one works as well as one of a hundred, in training and in use.
"""


def groupnorm_forward(x, weight, bias, groups, eps):
    """A reshape gives each group an axis of its own; then it is batch-norm over other axes. -> y, cache"""
    N, C, H, W = x.shape
    # solution:
    g = x.reshape(N, groups, C // groups, H, W)
    c = g - g.mean(axis=(2, 3, 4), keepdims=True)
    r = ((c * c).mean(axis=(2, 3, 4), keepdims=True) + eps) ** -0.5
    # skeleton:
    # g = ...  # (N, groups, C/groups, H, W)
    # c = ...  # less the mean of each group
    # r = ...  # 1 / sqrt(variance + eps), (N, groups, 1, 1, 1)
    # end
    xhat = (c * r).reshape(x.shape)
    return weight[:, None, None] * xhat + bias[:, None, None], (xhat, r, weight, groups)


def groupnorm_backward(dy, cache):
    """weight comes before the sums here: the channels of one group have different ones. xhat (N, C, H, W)"""
    xhat, r, weight, groups = cache
    N, C, H, W = dy.shape
    shape = (N, groups, C // groups, H, W)
    # solution:
    d, h = (dy * weight[:, None, None]).reshape(shape), xhat.reshape(shape)
    inner = d - d.mean(axis=(2, 3, 4), keepdims=True) - h * (d * h).mean(axis=(2, 3, 4), keepdims=True)
    dx = (r * inner).reshape(dy.shape)
    # skeleton:
    # dx = ...  # three lines
    # end
    return dx, (dy * xhat).sum(axis=(0, 2, 3)), dy.sum((0, 2, 3))


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "group norm"
LEVEL, MINUTES, PAGE = 3, 20, "13"
NEEDS = ("groupnorm_forward", "groupnorm_backward")
MISSING = "each group's mean and variance, and the way back through them"
HINTS = (
    "6 channels in 3 groups: which channels share a mean?",
    "0 and 1, 2 and 3, 4 and 5: x.reshape(N, groups, C // groups, H, W), statistics over the last three axes. "
    "Backwards: batch-norm's formula, but with dy·weight in both means.",
    "d = (dy * weight[:, None, None]).reshape(shape); dx = r * (d - mean(d) - h * mean(d * h)), means over (2, 3, 4)",
)
PREDICT = "groups = 1 and groups = C: which two other normalisations are these?"
ANSWER = "Layer norm (over C, H and W) and instance norm (every channel of every picture by itself)."


def right(x, weight, bias, groups, eps, axes=(2, 3, 4), strided=False):
    N, C, H, W = x.shape
    shape = (N, groups, C // groups, H, W)
    g = x.reshape(N, C // groups, groups, H, W).swapaxes(1, 2) if strided else x.reshape(shape)
    xhat = (g - g.mean(axis=axes, keepdims=True)) / np.sqrt(g.var(axis=axes, keepdims=True) + eps)
    xhat = xhat.swapaxes(1, 2).reshape(x.shape) if strided else xhat.reshape(x.shape)
    return weight[:, None, None] * xhat + bias[:, None, None]


def check(your):
    rng = np.random.default_rng(44)
    x, weight, bias = rng.standard_normal((3, 6, 2, 4)) + 1, rng.uniform(0.5, 2, 6), rng.standard_normal(6)
    groups, eps = 3, 0.1
    known = [
        (
            lambda *c: right(*c, axes=(3, 4)),
            "Each channel has its own statistics (instance norm); its group shares them.",
        ),
        (lambda *c: right(*c, axes=(0, 2, 3, 4)), "Your statistics run over the batch; each picture has its own."),
        (lambda *c: right(*c, axes=(1, 2, 3, 4)), "All groups share one mean (layer norm); each group has its own."),
        (
            lambda *c: right(*c, strided=True),
            "Your groups are channels 0, 3 | 1, 4 | 2, 5; neighbours belong together.",
        ),
    ]

    def yours(*c):
        out = your.groupnorm_forward(*c)
        return out[0] if isinstance(out, tuple) else out

    forward = lab.adapted(your.groupnorm_forward, yours, ("x", "weight", "bias", "groups", "eps"))

    def pass_on(x, weight, bias):
        g = x.reshape(len(x), groups, -1)
        r = ((g.var(axis=2) + eps) ** -0.5)[:, :, None, None, None]
        xhat = right(x, np.ones(6), np.zeros(6), groups, eps)
        return weight[:, None, None] * xhat + bias[:, None, None], (xhat, r, weight, groups)

    def back(late=False, constant=False, mean_only=False, plain=False):
        def wrong(dy, x, weight, bias):
            xhat, r, _, _ = pass_on(x, weight, bias)[1]
            shape = (len(x), groups, 2, *x.shape[2:])
            w = np.broadcast_to(weight[:, None, None], x.shape).reshape(shape)
            d, h = dy.reshape(shape) * (1 if late or plain else w), xhat.reshape(shape)
            mean = lambda a: a.mean(axis=(2, 3, 4), keepdims=True)  # noqa: E731
            inner = d - (0 if constant else mean(d)) - (0 if constant or mean_only else h * mean(d * h))
            return (r * inner * (w if late else 1)).reshape(x.shape)

        return wrong

    gradients = [
        (
            "dx",
            back(late=True),
            "weight came after the means; a group's channels have different ones: dy·weight first.",
        ),
        ("dx", back(plain=True), "You did not multiply by weight."),
        ("dx", back(constant=True), "Mean and variance are taken for constants; they depend on x."),
        ("dx", back(mean_only=True), "The term through the variance is missing."),
    ]
    return lab.together(
        lambda: lab.beside(forward, right, [(x, weight, bias, groups, eps), (x[:1], weight, bias, 2, eps)], "y", known),
        lambda: lab.pair(pass_on, your.groupnorm_backward, (x, weight, bias), gradients),
    )
