"""Right but for one term, one ingredient, one order: the line of the derivation that is off is named."""

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check import terms
from tinyvision.check.evidence import observed
from tinyvision.check.ops import spec


def gradient(op, argument, wrong):
    """A pair that is right but for one gradient, `wrong(inputs, options, dy)`."""
    known = spec(op)

    def forward(*inputs, **options):
        return known.forward(*inputs, **options), (tuple(np.array(i) for i in inputs), options)

    def backward(dy, cache):
        grads = list(known.backward(*cache, dy))
        grads[known.gradients.index(argument)] = np.array(wrong(*cache, dy))
        return tuple(grads)

    return forward, backward


def right(op, argument, inputs, options, dy):
    return spec(op).backward(inputs, options, dy)[spec(op).gradients.index(argument)]


def batchnorm_terms(direct=1.0, mean=1.0, variance=1.0, power=0):
    def dx(inputs, options, dy):
        x, axes = inputs[0], (0, 2, 3)
        sigma = np.sqrt(x.var(axes, keepdims=True) + options["eps"])
        xhat = (x - x.mean(axes, keepdims=True)) / sigma
        through_variance = variance * sigma**power * xhat * (dy * xhat).mean(axes, keepdims=True)
        return inputs[1][:, None, None] / sigma * (direct * dy - mean * dy.mean(axes, keepdims=True) - through_variance)

    return dx


def without_last_windows(inputs, options, dy):
    """Loops over range(H - KH) and range(W - KW), steps of 1."""
    dy, kernel = dy.copy(), inputs[1].shape[2:]
    for axis in (2, 3):
        size = inputs[0].shape[axis] + 2 * options["padding"][axis - 2]
        if (dy.shape[axis] - 1) * options["stride"][axis - 2] + kernel[axis - 2] == size:
            dy[(slice(None),) * axis + (-1,)] = 0
    return right("conv2d", "dx", inputs, options, dy)


def rows_in_another_order(inputs, options, dy):
    n, o, oh, ow = dy.shape
    moved = dy.transpose(1, 0, 2, 3).reshape(o, oh, ow, n).transpose(3, 0, 1, 2)
    return right("conv2d", "dweight", inputs, options, moved)


def dweight_for_weight(op):
    def dx(inputs, options, dy):
        x, _, bias = inputs
        return right(op, "dx", (x, right(op, "dweight", inputs, options, dy), bias), options, dy)

    return dx


def off_diagonal(inputs, options, dy):
    y = np.exp(inputs[0]) / np.exp(inputs[0]).sum(1, keepdims=True)
    return y * (1 - y) * dy + 0.5 * y * ((y * dy).sum(1, keepdims=True) - y * dy)


CAUSES = [
    ("batchnorm_train", "dx", batchnorm_terms(variance=3.0, power=0), None),  # 3 is no number that a formula has
    ("batchnorm_train", "dx", batchnorm_terms(mean=2.0), "terms:1:2"),
    ("batchnorm_train", "dx", batchnorm_terms(direct=0.5, variance=-1.0), "terms:0:1/2,2:-1"),
    ("batchnorm_train", "dx", batchnorm_terms(power=1), "batchnorm_train.dx.power_of_variance"),
    ("batchnorm_train", "dx", batchnorm_terms(power=-2), "batchnorm_train.dx.power_of_variance"),
    ("conv2d", "dx", without_last_windows, "dy:unreached:HW"),
    ("conv2d", "dweight", rows_in_another_order, "dy:rows:NHW:HWN"),
    ("conv2d", "dx", dweight_for_weight("conv2d"), "weight:gradient"),
    ("linear", "dx", dweight_for_weight("linear"), "weight:gradient"),
    ("linear", "dbias", lambda i, o, d: (d * (i[0] @ i[1].T + i[2])).sum(0), "dy:times:y"),
    ("softmax", "dx", off_diagonal, "terms:1:-1/2"),
    ("cross_entropy", "dlogits",
     lambda i, o, d: right("cross_entropy", "dlogits", i, o, d) * 2 + np.eye(i[0].shape[1])[i[1]] * d / len(i[1]),
     "terms:0:2"),
    ("sigmoid", "dx", lambda i, o, d: d * (1 - 2 * spec("sigmoid").forward(*i)), "slope:1 - 2·y"),
    ("tanh", "dx", lambda i, o, d: d * np.exp(i[0]), "slope:exp(x)"),
    ("softplus", "dx", lambda i, o, d: d * (i[0] + i[0] ** 2), "slope:x + x²"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "argument", "wrong", "name"), CAUSES, ids=[f"{c[0]} {c[1]} {c[3]}" for c in CAUSES])
def test_the_term_or_the_ingredient_is_named(op, argument, wrong, name):
    (finding,) = check.op(op, *gradient(op, argument, wrong)).findings
    assert (finding.argument, finding.mistake or finding.signature) == (argument, name), finding.message


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "softplus"])
def test_an_activation_that_overflows_far_out_is_right_and_told_so(op):
    careless = {
        "sigmoid": lambda x: np.exp(x) / (1 + np.exp(x)),
        "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
        "softplus": lambda x: np.log(1 + np.exp(x)),
    }[op]
    _, backward = spec(op).functions()
    report = check.op(op, lambda x: (careless(x), ((x,), {})), backward)
    assert report.passed, str(report)
    assert any("±1000" in note for note in report.notes)
    assert not check.op(op, *spec(op).functions()).notes


def through_variance(op, times):
    """A batch-norm gradient of which the term through the variance has another factor: `times(σ)`."""
    return lambda i, o, d: (
        right("batchnorm_train", "dx", i, o, d) + (1 - times(sigma_of(i, o))) * (batchnorm_terms(0, 0, -1)(i, o, d))
    )


def sigma_of(inputs, options):
    return np.sqrt(inputs[0].var((0, 2, 3), keepdims=True) + options["eps"])


POWERS = [(1, "σ"), (-1, "1/σ"), (2, "σ²"), (-2, "1/σ²"), (3, "σ³"), (4, "σ⁴"), (-3, "1/σ³")]


@pytest.mark.parametrize(("power", "words"), POWERS)
def test_a_power_of_sigma_is_named_without_a_bank(power, words):
    wrong = gradient("batchnorm_train", "dx", batchnorm_terms(power=power))
    (finding,) = check.op("batchnorm_train", *wrong, bank=[]).findings
    assert finding.signature == f"terms:2:{words}", finding.message


def test_what_is_no_power_of_sigma_is_none():
    wrong = through_variance("batchnorm_train", lambda sigma: 1 + sigma)
    (finding,) = check.op("batchnorm_train", *gradient("batchnorm_train", "dx", wrong), bank=[]).findings
    assert not (finding.signature or "").startswith("terms"), finding.message


def test_beside_the_terms_there_may_be_nothing_else():
    def wrong(inputs, options, dy):
        """The term through the mean doubled, and what is orthogonal to all three terms in each channel."""
        x = inputs[0]
        more = np.random.default_rng(0).standard_normal(x.shape)
        for c in range(x.shape[1]):
            basis = np.stack([np.ones(x[:, c].size), x[:, c].ravel(), dy[:, c].ravel()], 1)
            rest = more[:, c].ravel()
            more[:, c] = (rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]).reshape(x[:, c].shape)
        return batchnorm_terms(mean=2.0)(inputs, options, dy) + more

    (finding,) = check.op("batchnorm_train", *gradient("batchnorm_train", "dx", wrong), bank=[]).findings
    assert not (finding.signature or "").startswith("terms"), finding.message


@pytest.mark.parametrize(("product", "bias", "name"), [(2, 1, "terms:0:2"), (-1, 2, "terms:0:-1,1:2")])
def test_the_terms_of_a_linear_layers_output_are_named(product, bias, name):
    known = spec("linear")

    def forward(x, weight, b):
        return product * (x @ weight.T) + bias * b, ((x, weight, b), {})

    finding = check.op("linear", forward, lambda dy, cache: known.backward(*cache, dy), bank=[]).findings[0]
    assert (finding.argument, finding.signature) == ("y", name), finding.message


@pytest.mark.parametrize("outputs", [4, 5])
def test_as_few_numbers_as_terms_fit_anything(outputs):
    known = spec("linear")
    probe = known._probe(0, "few", (np.ones((1, 2)), np.ones((outputs, 2)), np.arange(1.0, outputs + 1)), {})
    e = observed("y", probe, 2 * probe.y, probe.y, {}, -1)
    assert (terms.found("y", [e]) is not None) == (outputs >= 2 + terms.SPARE)


def test_a_term_that_is_zero_throughout_tells_nothing():
    known = spec("linear")
    rng = np.random.default_rng(0)
    probe = known._probe(0, "no bias", (rng.standard_normal((3, 2)), rng.standard_normal((4, 2)), np.zeros(4)), {})
    e = observed("y", probe, 2 * probe.y, probe.y, {}, -1)
    assert terms._fit(terms.SUMS["linear", "y"], e) == (None, ())
