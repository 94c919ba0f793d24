"""Functions with PyTorch's arguments, by position and by name."""

import numpy as np
import pytest

import tinyvision as tv
import tinyvision.nn.functional as F
from tinyvision.errors import DtypeError, OptionError, ShapeError

torch = pytest.importorskip("torch")
T = torch.nn.functional

RNG = np.random.default_rng(0)
IMAGE, WEIGHT, MATRIX, BIAS, ROWS, MEAN = (
    RNG.normal(size=s) for s in ((2, 4, 6, 7), (4, 2, 3, 3), (4, 7), (4,), (3, 4), (4,))
)
VAR = MEAN**2 + 0.5

CASES = [
    (lambda f, t: f.conv2d(t(IMAGE), t(WEIGHT), t(BIAS), 2, 1, 1, 2)),
    (lambda f, t: f.conv2d(t(IMAGE), t(WEIGHT), bias=t(BIAS), stride=(1, 2), padding=1, dilation=2, groups=2)),
    (lambda f, t: f.linear(t(IMAGE), t(MATRIX), bias=t(BIAS))),
    (lambda f, t: f.linear(t(IMAGE), t(MATRIX))),
    (lambda f, t: f.relu(t(ROWS), inplace=False)),
    (lambda f, t: f.relu6(t(ROWS))),
    (lambda f, t: f.leaky_relu(t(ROWS), 0.3)),
    (lambda f, t: f.max_pool2d(t(IMAGE), 2)),
    (lambda f, t: f.max_pool2d(t(IMAGE), (3, 2), 2, 1)),
    (lambda f, t: f.avg_pool2d(t(IMAGE), 3, 2, 1, False, False)),
    (lambda f, t: f.adaptive_avg_pool2d(t(IMAGE), (2, 3))),
    (lambda f, t: f.lp_pool2d(t(IMAGE), 1, (2, 3), 1)),  # of x itself: sums below 0 stay
    (lambda f, t: f.batch_norm(t(IMAGE), None, None, None, None, True)),
    (lambda f, t: f.batch_norm(t(IMAGE), t(MEAN), t(VAR), weight=t(BIAS), bias=t(BIAS))),
    (lambda f, t: f.batch_norm(t(IMAGE), t(MEAN), t(VAR), eps=0.1)),
    (lambda f, t: f.dropout(t(ROWS), 0.5, False)),
    (lambda f, t: f.dropout(t(ROWS), p=0.0, training=True)),
    (lambda f, t: f.softmax(t(ROWS), dim=1)),
    (lambda f, t: f.log_softmax(t(ROWS), 1)),
    (lambda f, t: f.pad(t(IMAGE), (1, 2, 3, 0))),
    (lambda f, t: f.pad(t(IMAGE), (1, 2), "constant", 0)),
    (lambda f, t: f.sigmoid(t(ROWS))),
    (lambda f, t: f.tanh(t(ROWS))),
    (lambda f, t: f.cross_entropy(t(ROWS), whole(t), label_smoothing=0.1)),
    (lambda f, t: f.nll_loss(t(ROWS), whole(t), reduction="sum")),
    (lambda f, t: f.mse_loss(t(ROWS), t(ROWS * 2))),
]


def whole(tensor):
    """Class numbers in the library to which `tensor` belongs."""
    return tv.tensor([0, 3, 1]) if tensor.__name__ == "ours" else torch.tensor([0, 3, 1])


@pytest.mark.parametrize("call", CASES, ids=range(len(CASES)))
def test_values_and_all_gradients(call):
    leaves = {"ours": [], "theirs": []}

    def ours(value):
        leaves["ours"].append(tv.tensor(value, requires_grad=value is not MEAN and value is not VAR))
        return leaves["ours"][-1]

    def theirs(value):
        leaves["theirs"].append(torch.tensor(value, requires_grad=value is not MEAN and value is not VAR))
        return leaves["theirs"][-1]

    y, expected = call(F, ours), call(T, theirs)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-12)  # float64
    upstream = np.random.default_rng(1).normal(size=expected.shape)
    (y * tv.tensor(upstream)).sum().backward()
    expected.backward(torch.tensor(upstream))
    for a, b in zip(leaves["ours"], leaves["theirs"], strict=True):
        if b.requires_grad:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-11)


def test_batch_norm_updates_running_statistics_in_place():
    ours, theirs = (
        (tv.zeros(4, dtype=tv.float64), tv.ones(4, dtype=tv.float64)),
        (torch.zeros(4).double(), torch.ones(4).double()),
    )
    F.batch_norm(tv.tensor(IMAGE), *ours, training=True, momentum=0.3)
    T.batch_norm(torch.tensor(IMAGE), *theirs, training=True, momentum=0.3)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_what_is_not_supported_is_said():
    x = tv.ones(2, 3, 4, 4)
    for wrong in (
        lambda: F.pad(x, (1, 1), mode="mirror"),
        lambda: F.pad(x, (1, 1), mode="reflect", value=2),
        lambda: F.pad(x, 3),
        lambda: F.interpolate(x, 3, scale_factor=2),
        lambda: F.interpolate(x),
        lambda: F.interpolate(x, 3, mode="cubic"),
        lambda: F.interpolate(x, 3, align_corners=True),
        lambda: F.embedding(tv.tensor([0, 4]), tv.ones(3, 2)),
        lambda: F.embedding(tv.tensor([0]), tv.ones(3, 2), max_norm=1.0),
        lambda: F.one_hot(tv.tensor([3]), 2),
        lambda: F.triplet_margin_loss(x, x, x, margin=0),
        lambda: F.l1_loss(x, x, reduction="avg"),
        lambda: F.pad(x, (1, 2, 3)),
        lambda: F.batch_norm(x, None, None),
        lambda: F.dropout(x, 2),
        lambda: F.conv2d(x, x, padding="full"),
    ):
        with pytest.raises(OptionError):
            wrong()
    with pytest.raises(ShapeError):
        F.batch_norm(tv.ones(3), None, None, training=True)
    with pytest.raises(DtypeError, match="class numbers"):
        F.nll_loss(tv.ones(2, 3), tv.ones(2))


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8"])
def test_whole_numbers_are_cut_off_as_pytorchs_are(dtype):
    def called(t):
        x = t.tensor([9, 0, 1, 100], dtype=getattr(t, dtype))
        x = x if dtype == "uint8" else x - 3
        functions = t.nn.functional
        yield from (functions.relu(x), t.nn.ReLU()(x), functions.relu6(x), t.nn.ReLU6()(x))
        yield functions.hardtanh(x, 0.5, 6.5)
        yield from () if dtype == "uint8" else (functions.hardtanh(x), functions.hardtanh(x, -1.5, 50.5))
        yield from (functions.sigmoid(x), functions.tanh(x), functions.softsign(x), functions.tanhshrink(x))
        for inplace in (t.nn.ReLU(inplace=True), t.nn.ReLU6(inplace=True), t.nn.Hardtanh(0, 4, inplace=True)):
            y = x.clone()
            assert inplace(y) is y
            yield y

    for ours, theirs in zip(called(tv), called(torch), strict=True):
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_what_pytorch_refuses_of_whole_numbers_and_truth_values_is_refused():
    with pytest.raises(OptionError, match="has no negative numbers to be moved to"):
        F.hardtanh(tv.tensor([1, 2], dtype=tv.uint8))
    for function in (F.relu, F.relu6, F.hardtanh, lambda x: F.threshold(x, 1, 2)):
        with pytest.raises(DtypeError, match="holds bool numbers"):
            function(tv.tensor([True, False]))


def test_dropout_in_place_that_drops_nothing_writes_nothing():
    for t in (tv, torch):
        leaf, wide = t.ones(3, requires_grad=True), t.ones(1).expand(3)
        for x in (leaf, wide):
            for p, training in ((0.0, True), (0.5, False)):
                assert t.nn.functional.dropout(x, p, training, inplace=True) is x
                assert t.nn.functional.alpha_dropout(x, p, training, inplace=True) is x
