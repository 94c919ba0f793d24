"""Batch-norm with the signature of Stanford's CS231n: (N, D), a dict of options, both modes, running statistics.

forward(x (N, D), gamma (D,), beta (D,), bn_param) -> out, cache; bn_param holds "mode" ("train" or "test"), "eps",
"momentum", and, after the first call, "running_mean" and "running_var" (D,).
backward(dout, cache) -> dx, dgamma, dbeta.
There the *old* statistics keep the share momentum: running = momentum·running + (1 - momentum)·batch.
"""

import numpy as np


def batchnorm_forward(x, gamma, beta, bn_param):
    """In training the batch's own statistics, and the running ones move; in the test the running ones."""
    mode, eps, momentum = bn_param["mode"], bn_param["eps"], bn_param["momentum"]
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1]))
    # solution:
    if mode == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
    else:
        mean, var = running_mean, running_var
    # skeleton:
    # mean, var = ...  # four or five lines: by mode, and the running ones move in training
    # end
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    r = (var + eps) ** -0.5
    xhat = (x - mean) * r
    return gamma * xhat + beta, (xhat, gamma, r)


def batchnorm_backward(dout, cache):
    """The backward of training: dx, dgamma, dbeta."""
    xhat, gamma, r = cache
    # solution:
    dbeta, dgamma = dout.sum(axis=0), (dout * xhat).sum(axis=0)
    return gamma * r * (dout - dbeta / len(dout) - xhat * dgamma / len(dout)), dgamma, dbeta
    # skeleton:
    # return ...  # three arrays
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "batch-norm as in CS231n"
LEVEL, MINUTES, PAGE = 3, 20, "13"
NEEDS = ("batchnorm_forward", "batchnorm_backward")
MISSING = "mean and variance by mode, the running ones, and the backward"
HINTS = (
    "Which numbers share a mean when x is (N, D)? What is left of the old running mean after one batch?",
    "Axis 0. running = momentum·running + (1 - momentum)·batch, in training only; the test uses the running ones as "
    "they are. Backwards: the formula of batchnorm_formula, with N for N·H·W.",
    "dbeta = dout.sum(0); dgamma = (dout * xhat).sum(0); dx = gamma * r * (dout - dbeta / N - xhat * dgamma / N)",
)
PREDICT = "PyTorch's momentum is 0.1 and CS231n's is 0.9. Do the running statistics move at different speeds?"
ANSWER = "No: PyTorch's is the share of the *new* batch, CS231n's that of the old. 0.1 there is 0.9 here."


def run(function, mode, batches):
    """What some calls give: the last output, and the running statistics."""
    param = {"mode": "train", "eps": 0.1, "momentum": 0.8}
    for x in batches[:-1]:
        function(x, *weights(x.shape[1]), param)
    param["mode"] = mode
    out = function(batches[-1], *weights(batches[-1].shape[1]), param)
    return out, param["running_mean"], param["running_var"]


def weights(D):
    rng = np.random.default_rng(42)
    return rng.uniform(0.5, 2.0, D), rng.standard_normal(D)


def right(fault=None):
    def forward(x, gamma, beta, param):
        old, new = param["momentum"], 1 - param["momentum"]
        if fault == "momentum":
            old, new = new, old
        axis = 1 if fault == "axis" else 0
        keep = axis == 1
        mean, var = x.mean(axis=axis, keepdims=keep), x.var(axis=axis, keepdims=keep)
        running = [param.get(k, np.zeros(x.shape[1])) for k in ("running_mean", "running_var")]
        if param["mode"] == "train" or fault == "moves in test":
            share = len(x) / (len(x) - 1) if fault == "unbiased" else 1
            running = [old * running[0] + new * mean, old * running[1] + new * var * share]
        param["running_mean"], param["running_var"] = running
        if param["mode"] == "test" and fault != "batch in test":
            mean, var = running
        r = (var + param["eps"]) ** -0.5
        return gamma * (x - mean) * r + beta

    return forward


def check(your):
    rng = np.random.default_rng(43)
    batches = [rng.standard_normal((5, 4)) * 2 + 1 for _ in range(4)]

    def yours(x, gamma, beta, param):
        out = lab.call(your.batchnorm_forward, x, gamma, beta, param)
        lab.expect(isinstance(out, tuple) and len(out) == 2, "Return out and cache.", "out", your.batchnorm_forward)
        return out[0]

    faults = {
        "momentum": "Old and new are exchanged: momentum is the share that the *old* statistics keep, here.",
        "moves in test": "The running statistics moved in the test; they move in training only.",
        "batch in test": "In the test you normalised with the batch's own statistics; the running ones count.",
        "unbiased": "Your running variance is the unbiased one; CS231n keeps the plain mean of squares.",
        "axis": "Your mean is over the features of a sample (axis 1); it is over the batch (axis 0).",
    }

    def forward():
        for mode in ("train", "test"):
            for name, part in (("running_mean", 1), ("running_var", 2), ("out", 0)):
                known = []
                for fault, words in faults.items():
                    try:
                        known.append((run(right(fault), mode, batches)[part], words))
                    except ValueError:  # sizes that do not meet
                        continue
                mine, wanted = run(yours, mode, batches)[part], run(right(), mode, batches)[part]
                told = f"(Mode {mode}, after {len(batches) - 1} batches of training.)"
                lab.equal(mine, wanted, name, your.batchnorm_forward, told, known=known)
        return lab.done("out", "running_mean", "running_var")

    x, (gamma, beta) = batches[0], weights(4)

    def plain(x, gamma, beta):
        r = (x.var(axis=0) + 0.1) ** -0.5
        xhat = (x - x.mean(axis=0)) * r
        return gamma * xhat + beta, (xhat, gamma, r)

    def parts(x):
        r = (x.var(axis=0) + 0.1) ** -0.5
        return (x - x.mean(axis=0)) * r, r

    gradients = [
        ("dx", lambda d, x, g, b: g * parts(x)[1] * d, "Mean and variance are taken for constants; they depend on x."),
        ("dx", lambda d, x, g, b: g * parts(x)[1] * (d - d.mean(0)), "The term through the variance is missing."),
        (
            "dx",
            lambda d, x, g, b: g * parts(x)[1] * (d - d.sum(0) - parts(x)[0] * (d * parts(x)[0]).sum(0)),
            "The two sums must be divided by N: they are means.",
        ),
        ("dgamma", lambda d, x, g, b: (d * x).sum(0), "You used x; dgamma is Σ dout·x̂."),
        ("dbeta", lambda d, x, g, b: d.mean(0), "You averaged; dbeta is the sum over the batch."),
    ]
    return lab.together(forward, lambda: lab.pair(plain, your.batchnorm_backward, (x, gamma, beta), gradients))
