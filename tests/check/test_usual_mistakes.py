"""Mistakes in code as people write it, not as the bank computes them: each is named for what it is."""

import numpy as np
import pytest

from tinyvision import check


def linear_that_steps_first(lr=0.05):
    def forward(x, weight, bias):
        return x @ weight.T + bias, (x, weight)

    def backward(dy, cache):
        x, weight = cache
        dweight = dy.T @ x
        return dy @ (weight - lr * dweight), dweight, dy.sum(0)

    return forward, backward


def softmax_with(forward_change=lambda y: y, backward=None):
    def forward(x):
        y = forward_change(probabilities(x))
        return y, (x, y)

    def right(dy, cache):
        y = cache[1]
        return (y * (dy - (dy * y).sum(1, keepdims=True)),)

    return forward, backward or right


def probabilities(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_without_keepdims(x):
    e = np.exp(x)
    return e / e.sum(axis=1)


def loss_of(pick=None, gradient=None):
    def forward(logits, labels):
        p = probabilities(logits)
        rows = np.arange(len(labels))
        y = pick(logits, p, labels) if pick else -np.log(p[rows, labels]).mean()
        return y, (p, labels)

    def backward(dy, cache):
        p, labels = cache
        d = p.copy()
        if gradient:
            return gradient(d, labels) * dy / len(labels), None
        d[np.arange(len(labels)), labels] -= 1
        return d * dy / len(labels), None

    return forward, backward


def every_column(logits, p, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return (log_sum - shifted[:, labels]).mean()


def at_the_winner(d, labels):
    d[np.arange(len(d)), d.argmax(axis=1)] -= 1
    return d


def pool(reduce):
    def forward(x, kernel_size, stride, padding):
        (kh, kw), (sh, sw), (ph, pw) = kernel_size, stride, padding
        xp = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
        oh, ow = (xp.shape[2] - kh) // sh + 1, (xp.shape[3] - kw) // sw + 1
        y = np.zeros((*x.shape[:2], oh, ow))
        for i in range(oh):
            for j in range(ow):
                y[:, :, i, j] = reduce(x, xp[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw])
        return y, None

    return forward, None


def pool_split_by_height():
    def forward(x, kernel_size, stride, padding):
        return check.ops.spec("maxpool2d").forward(x, kernel_size, stride, padding), (x, kernel_size, stride, padding)

    def backward(dy, cache):
        x, (kh, kw), (sh, sw), (ph, pw) = cache
        xp = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
        dx = np.zeros_like(xp)
        for n, c, i, j in np.ndindex(dy.shape):
            place = xp[n, c, i * sh : i * sh + kh, j * sw : j * sw + kw].argmax()
            dx[n, c, i * sh + place // kh, j * sw + place % kh] += dy[n, c, i, j]
        return (dx[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]],)

    return forward, backward


def convolution(bias_in_loop=None, filter_of=lambda o: o, step=None):
    def forward(x, weight, bias, stride, padding):
        (sh, sw), (ph, pw) = step(weight) if step else stride, padding
        o, c, kh, kw = weight.shape
        xp = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        oh, ow = (xp.shape[2] - kh) // sh + 1, (xp.shape[3] - kw) // sw + 1
        y = np.zeros((len(x), o, oh, ow))
        for f, i, j in np.ndindex(o, oh, ow):
            for k, l in np.ndindex(kh, kw):
                y[:, f, i, j] += (xp[:, :, i * sh + k, j * sw + l] * weight[filter_of(f), :, k, l]).sum(1)
                if bias_in_loop:
                    y[:, f, i, j] += bias[f] * (c if bias_in_loop == "products" else 1)
            if not bias_in_loop:
                y[:, f, i, j] += bias[f]
        return y, None

    return forward, None


def batchnorm_of_own_eps(x, weight, bias, eps):
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return weight[:, None, None] * (x - mean) / np.sqrt(var + 1e-5) + bias[:, None, None], None


def dropout_that_reads_its_output():
    def forward(x, mask, p):
        y = x * mask / (1 - p)
        return y, (y, p)

    def backward(dy, cache):
        y, p = cache
        return dy * (y != 0) / (1 - p), None

    return forward, backward


def only_forward(op, forward):
    """A pair whose backward is right: the output alone is to be named."""
    _, right = check.ops.spec(op).functions()
    return lambda *i, **o: (forward(*i, **o)[0], (i, o)), right


MISTAKES = [
    ("linear", linear_that_steps_first(), "leak:weight-updated"),
    ("softmax", only_forward("softmax", softmax_with(probabilities)[0]), "softmax.y.twice"),
    ("softmax", only_forward("softmax", lambda x: (softmax_without_keepdims(x), None)), "softmax.y.sum_not_kept"),
    ("softmax", softmax_with(backward=lambda dy, c: (c[0] * (1 - c[0]) * dy,)), "softmax.dx.diagonal_of_input"),
    ("softmax",
     softmax_with(backward=lambda dy, c: (c[0] * (dy - (dy * c[0]).sum(1, keepdims=True)),)),
     "softmax.dx.input_for_output"),
    ("cross_entropy", loss_of(every_column), "cross_entropy.y.all_label_columns"),
    ("cross_entropy", loss_of(lambda s, p, t: -np.log(p[range(len(p)), p.argmax(1)]).mean()),
     "cross_entropy.y.argmax_for_label"),
    ("cross_entropy", loss_of(gradient=at_the_winner), "cross_entropy.dlogits.argmax_for_label"),
    ("cross_entropy", loss_of(gradient=lambda p, t: probabilities(p) - np.eye(p.shape[1])[t]),
     "cross_entropy.dlogits.softmax_twice"),
    ("maxpool2d", only_forward("maxpool2d", pool(lambda x, w: w.max())[0]), "maxpool2d.y.over_everything"),
    ("maxpool2d", only_forward("maxpool2d", pool(lambda x, w: x.max((2, 3)))[0]), "maxpool2d.y.whole_channel"),
    ("maxpool2d", pool_split_by_height(), "maxpool2d.dx.winner_split_by_height"),
    ("conv2d", only_forward("conv2d", convolution("elements")[0]), "conv2d.y.bias_per_element"),
    ("conv2d", only_forward("conv2d", convolution("products")[0]), "conv2d.y.bias_per_product"),
    ("conv2d", only_forward("conv2d", convolution(filter_of=lambda o: 0)[0]), "conv2d.y.first_filter_for_all"),
    ("conv2d", only_forward("conv2d", convolution(step=lambda w: w.shape[2:])[0]), "conv2d.y.stride_is_kernel"),
    ("batchnorm_train", only_forward("batchnorm_train", batchnorm_of_own_eps), "batchnorm_train.y.own_eps_1e_5"),
    ("dropout", dropout_that_reads_its_output(), "dropout.dx.mask_from_output"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "pair", "name"), MISTAKES, ids=[m[2] for m in MISTAKES])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "plain"])
def test_it_is_named_for_what_it_is(op, pair, name, strict):
    report = check.op(op, *pair, strict=strict)
    assert not report.passed
    assert {f.mistake or f.signature for f in report.findings} == {name}, str(report)


def shifted_by_everything(x):
    e = np.exp(x - x.max())
    return e / e.sum(axis=1, keepdims=True)


def test_a_softmax_less_the_maximum_of_everything_is_right_and_told_where_it_breaks():
    report = check.op("softmax", *only_forward("softmax", lambda x: (shifted_by_everything(x), None)))
    assert report.passed
    assert any("1,000 apart" in note for note in report.notes), report.notes


def test_a_loss_that_takes_the_logarithm_of_an_underflowed_probability_is_told_so():
    report = check.op("cross_entropy", *loss_of())
    assert report.passed
    assert any("rounds to 0" in note for note in report.notes), report.notes


def test_one_of_several_is_spoken_of_as_one():
    def forward(a, b):
        return a @ b, (a, b)

    def backward(dy, cache):
        a, b = cache
        kept = np.zeros_like(dy)
        kept[0] = dy[0]
        return dy @ b.T, a.T @ kept

    rng = np.random.default_rng(0)
    report = check.gradients(forward, backward, (rng.standard_normal((3, 4)), rng.standard_normal((4, 5))))
    assert "its first entry of axis 0" in report.findings[0].message, str(report)


def conv_that_spreads_dy(down, across):
    """A backward by way of dy with zeros between its numbers, `down` and `across` saying on which axes."""
    from tinyvision.check.reference import conv2d, pair

    def forward(x, weight, bias, stride, padding):
        return conv2d(x, weight, bias, stride, padding), (x, weight, pair(stride), pair(padding))

    def backward(dy, cache):
        x, weight, (sh, sw), (ph, pw) = cache
        xp = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        (oh, ow), (kh, kw) = dy.shape[2:], weight.shape[2:]
        h, w = xp.shape[2] - kh + 1, xp.shape[3] - kw + 1
        spread = np.zeros((*dy.shape[:2], h, w))
        sh, sw = sh if down else 1, sw if across else 1
        spread[:, :, : sh * oh : sh, : sw * ow : sw] = dy
        dxp, dweight = np.zeros_like(xp), np.zeros_like(weight)
        for i, j in np.ndindex(kh, kw):
            dxp[:, :, i : i + h, j : j + w] += np.einsum("nohw,oc->nchw", spread, weight[:, :, i, j])
            dweight[:, :, i, j] = np.einsum("nohw,nchw->oc", spread, xp[:, :, i : i + h, j : j + w])
        return dxp[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dweight, dy.sum((0, 2, 3))

    return forward, backward


def test_dy_that_is_spread_by_the_stride_on_one_axis_only():
    assert check.op("conv2d", *conv_that_spreads_dy(True, True)).passed
    for axes, missing in (((False, True), "height"), ((True, False), "width")):
        report = check.op("conv2d", *conv_that_spreads_dy(*axes))
        assert {f.mistake for f in report.findings} == {
            f"conv2d.{argument}.stride_ignored_in_{missing}" for argument in ("dx", "dweight")
        }
