"""Mistakes in softmax and in softmax with cross-entropy."""

import numpy as np

from ..reference import cross_entropy as right_loss
from ..reference import softmax as right_softmax
from .mistake import Bank

soft, entropy = Bank("softmax"), Bank("cross_entropy")
BANKS = [soft, entropy]


def _s(x, axis=1):
    return right_softmax(x, axis)


def _e(x):
    return np.exp(x - x.max(1, keepdims=True))


soft.add(
    "y",
    "over_batch",
    "You normalised over the batch; normalise over the classes (axis 1).",
    lambda i, o: _s(i[0], 0),
    also=(lambda i, o: _e(i[0]) / _e(i[0]).sum(0),),
)
soft.add(
    "y",
    "over_everything",
    "You divided by the sum over everything; each row must sum to 1.",
    lambda i, o: np.exp(i[0]) / np.exp(i[0]).sum(),
    also=(lambda i, o: _e(i[0]) / _e(i[0]).sum(),),
)
soft.add("y", "not_normalised", "You did not divide by the row's sum.", lambda i, o: np.exp(i[0]))
soft.add(
    "y",
    "shifted_not_normalised",
    "You subtracted the row's maximum but did not divide by the row's sum.",
    lambda i, o: _e(i[0]),
)
soft.add(
    "y", "no_exponential", "You divided x by the row's sum without exp.", lambda i, o: i[0] / i[0].sum(1, keepdims=True)
)
soft.add("y", "logarithm", "You returned log-softmax.", lambda i, o: np.log(_s(i[0])))
soft.add(
    "y", "sigmoid", "You computed a sigmoid; the classes must share 1 among them.", lambda i, o: 1 / (1 + np.exp(-i[0]))
)
soft.add("y", "sign", "You used exp(-x).", lambda i, o: _s(-i[0]))
soft.add(
    "y",
    "shifted_numerator_only",
    "You subtracted the maximum in the numerator only.",
    lambda i, o: _e(i[0]) / np.exp(i[0]).sum(1, keepdims=True),
)
soft.add("y", "base_two", "You used powers of 2; softmax uses exp.", lambda i, o: _s(i[0] * np.log(2)))
soft.add(
    "y",
    "hardmax",
    "You returned 1 for the largest and 0 for the others.",
    lambda i, o: (i[0] == i[0].max(1, keepdims=True)) * 1.0,
)

soft.add("y", "twice", "You applied softmax twice.", lambda i, o: _s(_s(i[0])))
soft.add(
    "y",
    "sum_not_kept",
    "You divided by e.sum(axis=1) without keepdims=True: column k was divided by the sum of row k. It only runs where "
    "N = K.",
    lambda i, o: np.exp(i[0]) / np.exp(i[0]).sum(1),
    also=(lambda i, o: _e(i[0]) / _e(i[0]).sum(1),),
)
soft.add(
    "y",
    "maximum_not_kept",
    "You subtracted x.max(axis=1) without keepdims=True: column k lost the maximum of row k. It only runs where N = K.",
    lambda i, o: _s(i[0] - i[0].max(1)),
)
soft.add(
    "y",
    "neither_kept",
    "Neither x.max(axis=1) nor e.sum(axis=1) has keepdims=True: columns met what belongs to rows. It only runs where "
    "N = K.",
    lambda i, o: np.exp(i[0] - i[0].max(1)) / np.exp(i[0] - i[0].max(1)).sum(1),
)

soft.add(
    "dx",
    "input_for_output",
    "You used x where y, the softmax, belongs: dx = y·(dy - Σ dy·y).",
    lambda i, o, d: i[0] * (d - (d * i[0]).sum(1, keepdims=True)),
)
soft.add(
    "dx",
    "diagonal_of_input",
    "You returned x(1 - x)·dy: it needs y, the softmax, in place of x, and every class depends on every score.",
    lambda i, o, d: i[0] * (1 - i[0]) * d,
)
soft.add(
    "dx",
    "softmax_of_output",
    "Your y in backward is a softmax applied twice: dx = y·(dy - Σ dy·y) with y = softmax(x).",
    lambda i, o, d: _s(_s(i[0])) * (d - (d * _s(_s(i[0]))).sum(1, keepdims=True)),
)
soft.add(
    "dx",
    "sum_not_kept",
    "You took Σ dy·y with sum(axis=1) without keepdims=True: column k got the sum of row k. It only runs where N = K.",
    lambda i, o, d: _s(i[0]) * (d - (d * _s(i[0])).sum(1)),
)
soft.add(
    "dx",
    "diagonal_only",
    "Only the diagonal of the Jacobian is there: y(1 - y)·dy. Every class depends on every score.",
    lambda i, o, d: _s(i[0]) * (1 - _s(i[0])) * d,
)
soft.add(
    "dx",
    "off_diagonal_sign",
    "The Jacobian has -y_i·y_j beside its diagonal, and y_i(1 - y_i) on it; yours has +y_i·y_j.",
    lambda i, o, d: _s(i[0]) * (d + (d * _s(i[0])).sum(1, keepdims=True) - 2 * _s(i[0]) * d),
)
soft.add(
    "dx",
    "diagonal_missing",
    "The diagonal of the Jacobian, y_i(1 - y_i), is missing: only -y_i·y_j is there.",
    lambda i, o, d: -_s(i[0]) * ((d * _s(i[0])).sum(1, keepdims=True) - _s(i[0]) * d),
)
soft.add(
    "dx",
    "diagonal_of_y",
    "The diagonal of your Jacobian is y_i; it is y_i(1 - y_i).",
    lambda i, o, d: _s(i[0]) * (d - ((d * _s(i[0])).sum(1, keepdims=True) - _s(i[0]) * d)),
)
soft.add("dx", "sum_missing", "The term - Σ dy·y is missing.", lambda i, o, d: _s(i[0]) * d)
soft.add(
    "dx",
    "sum_over_batch",
    "You took Σ dy·y over the batch; take it over the classes.",
    lambda i, o, d: _s(i[0]) * (d - (d * _s(i[0])).sum(0)),
)
soft.add(
    "dx",
    "sum_over_everything",
    "You took Σ dy·y over everything; take it for each row.",
    lambda i, o, d: _s(i[0]) * (d - (d * _s(i[0])).sum()),
)
soft.add(
    "dx", "sum_of_dy", "You subtracted Σ dy; subtract Σ dy·y.", lambda i, o, d: _s(i[0]) * (d - d.sum(1, keepdims=True))
)
soft.add(
    "dx",
    "mean_of_dy_y",
    "You subtracted the mean of dy·y; subtract the sum.",
    lambda i, o, d: _s(i[0]) * (d - (d * _s(i[0])).mean(1, keepdims=True)),
)
soft.add(
    "dx",
    "mean_of_dy",
    "You subtracted the mean of dy; subtract Σ dy·y, in which each class counts by its probability.",
    lambda i, o, d: _s(i[0]) * (d - d.mean(1, keepdims=True)),
)
soft.add(
    "dx", "y_missing", "You did not multiply by y at the end.", lambda i, o, d: d - (d * _s(i[0])).sum(1, keepdims=True)
)
soft.add(
    "dx",
    "y_not_on_sum",
    "You computed y·dy - Σ dy·y; y belongs on both terms.",
    lambda i, o, d: _s(i[0]) * d - (d * _s(i[0])).sum(1, keepdims=True),
)
soft.add(
    "dx",
    "plus",
    "You added Σ dy·y; subtract it.",
    lambda i, o, d: _s(i[0]) * (d + (d * _s(i[0])).sum(1, keepdims=True)),
)
soft.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -_s(i[0]) * (d - (d * _s(i[0])).sum(1, keepdims=True)))
soft.add(
    "dx",
    "cross_entropy_shortcut",
    "You returned y - dy: the shortcut for softmax with cross-entropy does not hold here.",
    lambda i, o, d: _s(i[0]) - d,
)
soft.add(
    "dx",
    "log_softmax",
    "This is the backward of log-softmax: dy - y·Σ dy.",
    lambda i, o, d: d - _s(i[0]) * d.sum(1, keepdims=True),
)
soft.add(
    "dx",
    "inner_product",
    "You took the inner product Σ y² for the outer one, y_i·y_j: the Jacobian is diag(y) - y yᵀ, with y a column.",
    lambda i, o, d: _s(i[0]) * d - (_s(i[0]) ** 2).sum(1, keepdims=True) * d.sum(1, keepdims=True),
)
soft.add("dx", "identity", "You passed dy through as it is.", lambda i, o, d: d * 1.0)
soft.add(
    "dx",
    "divided_by_batch",
    "You divided by the batch size.",
    lambda i, o, d: _s(i[0]) * (d - (d * _s(i[0])).sum(1, keepdims=True)) / len(d),
)
soft.add(
    "dx",
    "y_squared",
    "You multiplied by y twice.",
    lambda i, o, d: _s(i[0]) ** 2 * (d - (d * _s(i[0])).sum(1, keepdims=True)),
)
soft.add(
    "dx",
    "normalised_over_batch",
    "Your y is a softmax over the batch; normalise over the classes.",
    lambda i, o, d: _s(i[0], 0) * (d - (d * _s(i[0], 0)).sum(0)),
)


def _rows(i):
    return np.arange(len(i[1])), i[1]


def _hot(i):
    out = np.zeros_like(i[0])
    out[_rows(i)] = 1
    return out


def _ce(name, says, *forms):
    wrong, *also = [lambda i, o, f=f: np.float64(f(_s(i[0]), i)) for f in forms]
    entropy.add("y", name, says, wrong, also=tuple(also))


_ce("sum", "You summed over the batch; take the mean.", lambda p, i: right_loss(*i) * len(i[1]))
_ce("sign", "The sign is wrong: the loss is -log p.", lambda p, i: -right_loss(*i))
_ce("no_log", "You forgot the logarithm: the loss is the mean of -log p.", lambda p, i: -p[_rows(i)].mean())
_ce("one_minus_p", "You used 1 - p; the loss is -log p.", lambda p, i: (1 - p[_rows(i)]).mean())
_ce("log_base_two", "You used log2; the loss uses the natural logarithm.", lambda p, i: right_loss(*i) / np.log(2))
_ce("log_base_ten", "You used log10; the loss uses the natural logarithm.", lambda p, i: right_loss(*i) / np.log(10))
_ce(
    "softmax_over_batch",
    "Your softmax runs over the batch; it runs over the classes.",
    lambda p, i: -np.log(_s(i[0], 0)[_rows(i)]).mean(),
)
_ce("no_softmax", "You picked the logits themselves; the softmax is missing.", lambda p, i: -i[0][_rows(i)].mean())
_ce(
    "label_one_off",
    "You looked one class too far: labels count from 0.",
    lambda p, i: -np.log(p[np.arange(len(p)), i[1] - 1]).mean(),
)
_ce(
    "all_classes",
    "You summed -log p over all classes; only the label's counts.",
    lambda p, i: -np.log(p).sum() / len(p),
)
_ce(
    "divided_by_everything", "You divided by N·K; the mean is over the batch.", lambda p, i: right_loss(*i) / p.shape[1]
)
_ce(
    "maximum_not_put_back",
    "You subtracted the maximum inside of log Σ exp but not from the label's logit (or did not add it back).",
    lambda p, i: right_loss(*i) - i[0].max(1).mean(),
)
_ce(
    "label_logit_missing",
    "You returned the mean of log Σ exp; the label's logit must be subtracted.",
    lambda p, i: np.log(np.exp(i[0]).sum(1)).mean(),
)
_ce(
    "log_of_mean",
    "You averaged the probabilities before taking the logarithm.",
    lambda p, i: -np.log(p[_rows(i)].mean()),
)
_ce("first_sample", "Only the first image counts.", lambda p, i: -np.log(p[0, i[1][0]]))
_ce("softmax_twice", "You applied softmax twice.", lambda p, i: -np.log(_s(p)[_rows(i)]).mean())
_ce(
    "argmax_for_label",
    "You took the largest class's probability; take the label's.",
    lambda p, i: -np.log(p.max(1)).mean(),
)
_ce(
    "all_label_columns",
    "scores[:, labels] takes the columns of all labels in every row; write scores[np.arange(N), labels].",
    lambda p, i: -np.log(p[:, i[1]]).mean(),
)
_ce(
    "sum_over_batch",
    "Your Σ exp runs over the images (axis 0); it runs over the classes (axis 1). It only runs where N = K.",
    lambda p, i: (np.log(np.exp(i[0]).sum(0)) - i[0][_rows(i)]).mean(),
    lambda p, i: (np.log(_e(i[0]).sum(0)) - (i[0] - i[0].max(1, keepdims=True))[_rows(i)]).mean(),
)
_ce(
    "sum_over_everything",
    "Your Σ exp runs over all images and classes; each image has a sum of its own.",
    lambda p, i: -np.log((np.exp(i[0]) / np.exp(i[0]).sum())[_rows(i)]).mean(),
    lambda p, i: -np.log((_e(i[0]) / _e(i[0]).sum())[_rows(i)]).mean(),
)
_ce("last_sample", "Only the last image counts.", lambda p, i: -np.log(p[-1, i[1][-1]]))
_ce(
    "sum_not_kept",
    "You divided by e.sum(axis=1) without keepdims=True: column k was divided by the sum of row k. It only runs where "
    "N = K.",
    lambda p, i: -np.log((np.exp(i[0]) / np.exp(i[0]).sum(1))[_rows(i)]).mean(),
    lambda p, i: -np.log((_e(i[0]) / _e(i[0]).sum(1))[_rows(i)]).mean(),
)
_ce(
    "binary",
    "You computed the binary cross-entropy of every class.",
    lambda p, i: -(_hot(i) * np.log(p) + (1 - _hot(i)) * np.log(1 - p)).sum(1).mean(),
)
_ce(
    "mean_squared_error",
    "You computed the squared error of the probabilities.",
    lambda p, i: ((p - _hot(i)) ** 2).mean(),
)
entropy.add(
    "y",
    "not_averaged",
    "You returned one loss for each image; take their mean.",
    lambda i, o: -np.log(_s(i[0])[_rows(i)]),
)


def _d(name, says, wrong):
    entropy.add("dlogits", name, says, lambda i, o, d: wrong(_s(i[0]), _hot(i), i, float(d)))


_d("not_averaged", "You did not divide by N; the loss is the mean over the batch.", lambda p, h, i, d: (p - h) * d)
_d("averaged_twice", "You divided by N twice.", lambda p, h, i, d: (p - h) * d / len(p) ** 2)
_d("sign", "The sign is wrong: it is softmax - one-hot.", lambda p, h, i, d: (h - p) * d / len(p))
_d("one_hot_missing", "You did not subtract 1 in the label's column.", lambda p, h, i, d: p * d / len(p))
_d("one_hot_only", "Only the one-hot part is there; the softmax is missing.", lambda p, h, i, d: -h * d / len(p))
_d(
    "label_column_only",
    "Only the label's column has a gradient; every class gets one.",
    lambda p, h, i, d: (p - h) * h * d / len(p),
)
_d("label_column_missing", "The label's column has no gradient.", lambda p, h, i, d: (p - h) * (1 - h) * d / len(p))
_d(
    "softmax_over_batch",
    "Your softmax runs over the batch; it runs over the classes.",
    lambda p, h, i, d: (_s(i[0], 0) - h) * d / len(p),
)
_d(
    "sigmoids_slope",
    "You wrote p(1 - p) - onehot; it is p - onehot.",
    lambda p, h, i, d: (p * (1 - p) - h) * d / len(p),
)
_d(
    "loss_itself",
    "You returned -onehot·log p, the loss of each class; its gradient is p - onehot.",
    lambda p, h, i, d: -h * np.log(p) * d / len(p),
)
_d("dy_ignored", "You never used dy, the gradient of the loss.", lambda p, h, i, d: (p - h) / len(p))
_d(
    "divided_by_classes",
    "You divided by the number of classes; divide by N.",
    lambda p, h, i, d: (p - h) * d / p.shape[1],
)
_d("divided_by_everything", "You divided by N·K; divide by N.", lambda p, h, i, d: (p - h) * d / p.size)
_d(
    "one_hot_not_averaged",
    "You divided only the softmax by N, not the one-hot.",
    lambda p, h, i, d: (p / len(p) - h) * d,
)
_d(
    "softmax_not_averaged",
    "You divided only the one-hot by N, not the softmax.",
    lambda p, h, i, d: (p - h / len(p)) * d,
)
_d(
    "all_label_columns",
    "p[:, labels] -= 1 subtracts in every row; write p[np.arange(N), labels] -= 1.",
    lambda p, h, i, d: (p - np.isin(np.arange(p.shape[1]), i[1])) * d / len(p),
)
_d(
    "softmax_twice",
    "You applied softmax twice: p is a probability already.",
    lambda p, h, i, d: (_s(p) - h) * d / len(p),
)
_d(
    "argmax_for_label",
    "You subtracted 1 at the largest class; subtract it at the label.",
    lambda p, h, i, d: (p - (p == p.max(1, keepdims=True))) * d / len(p),
)
_d(
    "absolute",
    "You lost the sign: it is softmax - one-hot, negative at the label.",
    lambda p, h, i, d: np.abs(p - h) * d / len(p),
)
_d(
    "diagonal_of_softmax",
    "You multiplied by p(1 - p), as if the loss were taken through softmax once more.",
    lambda p, h, i, d: (p - h) * p * (1 - p) * d / len(p),
)
_d(
    "label_column_averaged",
    "You divided only the label's column by N; divide all of it.",
    lambda p, h, i, d: (p - h) * np.where(h > 0, 1 / len(p), 1.0) * d,
)
_d(
    "label_column_not_averaged",
    "You divided all columns but the label's by N; divide all of it.",
    lambda p, h, i, d: (p - h) * np.where(h > 0, 1.0, 1 / len(p)) * d,
)
_d(
    "label_column_assigned",
    "You wrote -1 into the label's column with =; subtract 1 from what is there: p[np.arange(N), labels] -= 1.",
    lambda p, h, i, d: np.where(h > 0, -1.0, p) * d / len(p),
)
_d("last_sample_only", "Only the last image has a gradient.", lambda p, h, i, d: _last((p - h) * d / len(p)))
_d("one_hot_twice", "You subtracted 1 twice.", lambda p, h, i, d: (p - 2 * h) * d / len(p))
_d(
    "label_one_off",
    "You subtracted the 1 one class too early: labels count from 0.",
    lambda p, h, i, d: (p - np.roll(h, -1, 1)) * d / len(p),
)
_d(
    "logits_for_softmax",
    "You used the logits themselves where the softmax belongs.",
    lambda p, h, i, d: (i[0] - h) * d / len(p),
)
_d("multiplied_by_p", "You multiplied by the softmax once more.", lambda p, h, i, d: (p - h) * p * d / len(p))
_d(
    "inverse_p",
    "You returned -1/p in the label's column: that is the gradient for the probabilities, not the logits.",
    lambda p, h, i, d: -h / p * d / len(p),
)
_d(
    "log_softmax_used",
    "You used log-softmax where the softmax belongs.",
    lambda p, h, i, d: (np.log(p) - h) * d / len(p),
)
_d("first_sample_only", "Only the first image has a gradient.", lambda p, h, i, d: _first((p - h) * d / len(p)))
_d(
    "mean_over_batch",
    "You averaged the gradient over the batch; each image has its own.",
    lambda p, h, i, d: np.broadcast_to(((p - h) * d / len(p)).mean(0), p.shape),
)
_d("one_hot_added", "You added the one-hot; subtract it.", lambda p, h, i, d: (p + h) * d / len(p))
_d(
    "shape_of_labels",
    "You returned only the label's column: it must have the shape of the logits.",
    lambda p, h, i, d: ((p - h) * d / len(p))[_rows(i)],
)
_d(
    "repeated_labels_once",
    "Only one image of each class had its 1 subtracted: labels that repeat were counted once.",
    lambda p, h, i, d: (p - _last_of_each(i)) * d / len(p),
)


def _first(a):
    out = np.zeros_like(a)
    out[0] = a[0]
    return out


def _last(a):
    out = np.zeros_like(a)
    out[-1] = a[-1]
    return out


def _last_of_each(i):
    out = np.zeros_like(i[0])
    for label in set(i[1].tolist()):
        out[np.flatnonzero(i[1] == label)[-1], label] = 1
    return out


def _probabilities_changed():
    def forward(logits, labels):
        p = _s(logits)
        return np.float64(-np.log(p[np.arange(len(p)), labels]).mean()), (p, labels)

    def backward(dy, cache):
        p, labels = cache
        p[np.arange(len(p)), labels] -= 1
        return p * dy / len(p), None

    return forward, backward


entropy.add(
    "cache",
    "probabilities_changed",
    "Backward subtracts the one-hot from the probabilities that forward kept.",
    pair=_probabilities_changed,
    shows="cache_changed",
)
