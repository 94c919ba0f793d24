"""Mistakes in a fully connected layer."""

import numpy as np

from ..reference import linear_backward
from .mistake import Bank

bank = Bank("linear")
BANKS = [bank]


def _y(i):
    return i[0] @ i[1].T + i[2]


bank.add("y", "weight_not_transposed", "You computed x @ weight; it is x @ weight.T.", lambda i, o: i[0] @ i[1] + i[2])
bank.add("y", "bias_missing", "You did not add the bias.", lambda i, o: i[0] @ i[1].T)
bank.add("y", "bias_subtracted", "You subtracted the bias.", lambda i, o: i[0] @ i[1].T - i[2])
bank.add("y", "bias_added_twice", "You added the bias twice.", lambda i, o: _y(i) + i[2])
bank.add(
    "y",
    "bias_per_sample",
    "You added bias[n] to image n; bias[o] belongs to output o.",
    lambda i, o: i[0] @ i[1].T + i[2][:, None],
)
bank.add(
    "y",
    "bias_scaled",
    "You added the bias inside the sum over the inputs, once for each of them.",
    lambda i, o: i[0] @ i[1].T + i[2] * i[0].shape[1],
)
bank.add("y", "transposed", "You returned (O, N); it must be (N, O).", lambda i, o: _y(i).T)
bank.add(
    "y",
    "last_feature_only",
    "Only the last input feature counts: y is assigned for each feature where it must be added to.",
    lambda i, o: np.outer(i[0][:, -1], i[1][:, -1]) + i[2],
)
bank.add(
    "y",
    "first_output_for_all",
    "Every output used the first row of weight; output o needs row o.",
    lambda i, o: np.repeat(i[0] @ i[1][:1].T, len(i[1]), 1) + i[2],
)
bank.add("y", "one_bias_for_all", "You added bias[0] to every output.", lambda i, o: i[0] @ i[1].T + i[2][0])
bank.add("y", "relu_inside", "You applied a ReLU; that is another layer.", lambda i, o: np.maximum(_y(i), 0))
bank.add(
    "y", "averaged", "You averaged over the inputs; sum over them.", lambda i, o: i[0] @ i[1].T / i[0].shape[1] + i[2]
)

bank.add("dx", "weight_transposed", "You computed dy @ weight.T; it is dy @ weight.", lambda i, o, d: d @ i[1].T)
bank.add(
    "dx",
    "divided_by_batch",
    "You divided by N; dy already carries the mean over the batch.",
    lambda i, o, d: d @ i[1] / len(d),
)
bank.add("dx", "times_batch", "You multiplied by N.", lambda i, o, d: d @ i[1] * len(d))
bank.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -d @ i[1])
bank.add("dx", "transposed", "You returned (I, N); it must be (N, I).", lambda i, o, d: (d @ i[1]).T)
bank.add(
    "dx",
    "dy_ignored",
    "You never used dy: every row is the sum of the weights.",
    lambda i, o, d: np.ones_like(d) @ i[1],
)
bank.add(
    "dx",
    "summed_over_batch",
    "You summed over the batch; every image has its own gradient.",
    lambda i, o, d: np.broadcast_to((d @ i[1]).sum(0), i[0].shape),
)
bank.add(
    "dx",
    "averaged_over_batch",
    "You averaged over the batch; every image has its own gradient.",
    lambda i, o, d: np.broadcast_to((d @ i[1]).mean(0), i[0].shape),
)
bank.add("dx", "multiplied_by_x", "You multiplied by x.", lambda i, o, d: (d @ i[1]) * i[0])
bank.add("dx", "bias_added", "You added the bias to a gradient.", lambda i, o, d: (d + i[2]) @ i[1])
bank.add(
    "dx",
    "first_output_only",
    "You used only the first output; sum over all of them.",
    lambda i, o, d: np.outer(d[:, 0], i[1][0]),
)
bank.add(
    "dx",
    "last_output_only",
    "Only the last output counts: dx is assigned for each output where it must be added to.",
    lambda i, o, d: np.outer(d[:, -1], i[1][-1]),
)
bank.add(
    "dx",
    "masked_by_x",
    "You set dx to 0 where x is negative; that is a ReLU's backward.",
    lambda i, o, d: (d @ i[1]) * (i[0] > 0),
)
bank.add("dx", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(i[0]))

bank.add(
    "dweight",
    "transposed",
    "You computed x.T @ dy, which is (I, O); it is dy.T @ x, (O, I).",
    lambda i, o, d: i[0].T @ d,
)
bank.add(
    "dweight",
    "divided_by_batch",
    "You divided by N; dy already carries the mean over the batch.",
    lambda i, o, d: d.T @ i[0] / len(d),
)
bank.add("dweight", "times_batch", "You multiplied by N.", lambda i, o, d: d.T @ i[0] * len(d))
bank.add(
    "dweight",
    "last_sample_only",
    "Only the last image counts: dweight is assigned for each image where it must be added to.",
    lambda i, o, d: np.outer(d[-1], i[0][-1]),
)
bank.add("dweight", "first_sample_only", "Only the first image counts.", lambda i, o, d: np.outer(d[0], i[0][0]))
bank.add(
    "dweight",
    "outer_of_sums",
    "You summed dy and x over the batch before multiplying; multiply first, then sum.",
    lambda i, o, d: np.outer(d.sum(0), i[0].sum(0)),
)
bank.add(
    "dweight",
    "outer_with_mean",
    "You averaged x over the batch before multiplying; multiply first, then sum.",
    lambda i, o, d: np.outer(d.sum(0), i[0].mean(0)),
)
bank.add("dweight", "sign", "The sign is wrong.", lambda i, o, d: -d.T @ i[0])
bank.add(
    "dweight", "dy_ignored", "You never used dy: every row is the sum of x.", lambda i, o, d: np.ones_like(d).T @ i[0]
)
bank.add(
    "dweight",
    "weight_added",
    "You added weight to its own gradient (weight decay belongs to the optimiser).",
    lambda i, o, d: d.T @ i[0] + i[1],
)
bank.add(
    "dweight",
    "not_summed",
    "You did not sum over the batch: it must be (O, I).",
    lambda i, o, d: d[:, :, None] * i[0][:, None, :],
)
bank.add(
    "dweight",
    "misread",
    "You gave x.T @ dy, which is (I, O), the shape of weight by reshape; transpose it.",
    lambda i, o, d: (i[0].T @ d).reshape(i[1].shape),
)
bank.add("dweight", "doubled", "Yours is twice the right one.", lambda i, o, d: 2 * d.T @ i[0])

bank.add("dbias", "not_summed", "You returned dy as it is; sum it over the batch.", lambda i, o, d: d)
bank.add("dbias", "averaged", "You averaged over the batch; sum over it.", lambda i, o, d: d.mean(0))
bank.add(
    "dbias",
    "wrong_axis",
    "You summed over the outputs and have one number for each image; sum over the batch.",
    lambda i, o, d: d.sum(1),
)
bank.add(
    "dbias",
    "summed_over_everything",
    "You summed over the outputs too: every entry is the same. Sum over the batch only.",
    lambda i, o, d: np.full(len(i[2]), d.sum()),
)
bank.add(
    "dbias", "summed_to_one_number", "You summed over the outputs too and returned one number.", lambda i, o, d: d.sum()
)
bank.add(
    "dbias",
    "axes_kept",
    "You kept the summed axis (keepdims); it must be (O,).",
    lambda i, o, d: d.sum(0, keepdims=True),
)
bank.add("dbias", "first_sample", "You took the first image's dy; sum over the batch.", lambda i, o, d: d[0])
bank.add("dbias", "last_sample", "Only the last image's dy is left; sum over the batch.", lambda i, o, d: d[-1])
bank.add(
    "dbias", "batch_size", "You never used dy: every entry is N.", lambda i, o, d: np.full(len(i[2]), float(len(d)))
)
bank.add("dbias", "multiplied_by_bias", "You multiplied by the bias.", lambda i, o, d: d.sum(0) * i[2])
bank.add("dbias", "sign", "The sign is wrong.", lambda i, o, d: -d.sum(0))
bank.add("dbias", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(i[2]))


def _changes_dy():
    def forward(x, weight, bias):
        return _y((x, weight, bias)), (x, weight, bias)

    def backward(dy, cache):
        grads = linear_backward(cache, {}, dy)
        dy *= 0.5
        return grads

    return forward, backward


def _changes_weight():
    def forward(x, weight, bias):
        return _y((x, weight, bias)), (x, weight, bias)

    def backward(dy, cache):
        grads = linear_backward(cache, {}, dy)
        cache[1][...] -= 0.1 * grads[1]
        return grads

    return forward, backward


def _accumulates():
    total = {}

    def forward(x, weight, bias):
        return _y((x, weight, bias)), (x, weight, bias)

    def backward(dy, cache):
        dx, dweight, dbias = linear_backward(cache, {}, dy)
        total[dbias.shape] = total.get(dbias.shape, 0) + dbias
        return dx, dweight, total[dbias.shape].copy()

    return forward, backward


bank.add("dy", "changed", "dy was changed in place.", pair=_changes_dy, shows="dy_changed")
bank.add(
    "weight",
    "changed",
    "Backward updated the weight; that is the optimiser's work.",
    pair=_changes_weight,
    shows="input_changed",
)
bank.add(
    "dbias",
    "never_cleared",
    "The gradient buffer is never cleared: each call adds to the last one.",
    pair=_accumulates,
    shows="accumulates",
)
