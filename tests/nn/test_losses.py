"""Losses as modules beside PyTorch's: every option, values and gradients."""

import itertools
import warnings

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError, TinyVisionError

torch = pytest.importorskip("torch")

WEIGHT = [0.5, 2.0, 0.0, 1.5]
OPTIONS = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"weight": WEIGHT},
    {"weight": WEIGHT, "reduction": "none"},
    {"ignore_index": 1},
    {"ignore_index": -1, "weight": WEIGHT},
]
SMOOTHED = [
    {"label_smoothing": 0.1},
    {"label_smoothing": 0.3, "weight": WEIGHT},
    {"label_smoothing": 1, "ignore_index": 0},
]


def made(name, options):
    theirs = {key: torch.tensor(v, dtype=torch.float64) if key == "weight" else v for key, v in options.items()}
    return getattr(nn, name)(**options), getattr(torch.nn, name)(**theirs)


def compared(ours, theirs, x, target):
    mine, other = tv.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    loss, expected = ours(mine, tv.tensor(target)), theirs(other, torch.tensor(target))
    # float64 on both sides, a few dozen terms: only rounding differs.
    np.testing.assert_allclose(loss.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    upstream = np.random.default_rng(5).normal(size=expected.shape)
    (loss * tv.tensor(upstream)).sum().backward()
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("options", OPTIONS + SMOOTHED, ids=str)
@pytest.mark.parametrize("shape", [(7, 4), (3, 4, 2, 5)], ids=str)
def test_cross_entropy(options, shape):
    rng = np.random.default_rng(0)
    compared(*made("CrossEntropyLoss", options), rng.normal(size=shape), labels(rng, shape, options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(7, 4), (3, 4, 2, 5)], ids=str)
def test_nll_of_numbers_that_need_not_be_logarithms(options, shape):
    rng = np.random.default_rng(0)
    compared(*made("NLLLoss", options), rng.normal(size=shape), labels(rng, shape, options))


def labels(rng, shape, options):
    found = rng.integers(0, 4, (shape[0], *shape[2:]))
    if "ignore_index" in options:
        found.reshape(-1)[::3] = options["ignore_index"]
    return found


@pytest.mark.parametrize("options", [{}, {"weight": WEIGHT, "label_smoothing": 0.2}, {"reduction": "none"}], ids=str)
def test_cross_entropy_of_probabilities(options):
    rng = np.random.default_rng(1)
    compared(*made("CrossEntropyLoss", options), rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), 5))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse(reduction):
    rng = np.random.default_rng(1)
    compared(*made("MSELoss", {"reduction": reduction}), rng.normal(size=(5, 4)), rng.normal(size=(5, 4)))


def test_class_weights_are_state_and_may_be_a_tensor_of_another_precision():
    loss = nn.CrossEntropyLoss(weight=tv.tensor(WEIGHT))
    assert (
        list(loss.state_dict())
        == list(torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHT)).state_dict())
        == ["weight"]
    )
    x, y = np.random.default_rng(0).normal(size=(5, 4)), [0, 1, 3, 3, 2]
    compared(loss, torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHT).double()), x, y)
    assert loss.double().weight.dtype == np.float64


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nn.CrossEntropyLoss(reduction="avg"), "reduction"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "label_smoothing"),
        (lambda: nn.CrossEntropyLoss(ignore_index=None), "ignore_index"),
        (lambda: nn.NLLLoss(reduction=None), "reduction"),
        (lambda: nn.MSELoss(reduction="batchmean"), "reduction"),
    ],
)
def test_options_without_meaning(make, named):
    with pytest.raises(OptionError, match=named):
        make()


def test_wrong_targets():
    x = tv.randn(3, 4)
    with pytest.raises(ShapeError, match="one number per class"):
        nn.CrossEntropyLoss(weight=[[1.0]])
    with pytest.raises(ShapeError, match="weight needs 4"):
        nn.CrossEntropyLoss(weight=[1.0, 2.0])(x, tv.tensor([0, 1, 2]))
    with pytest.raises(OptionError, match=r"labels\[2\] is 4"):
        nn.NLLLoss()(x, tv.tensor([0, 1, 4]))
    with pytest.raises(TinyVisionError, match="class numbers"):
        nn.NLLLoss()(x, tv.ones(3, 4))
    with (
        pytest.raises(ShapeError, match=r"input \(3, 1\) and target \(4, 2, 1\) differ in shape"),
        pytest.warns(UserWarning, match="broadcast"),
    ):
        nn.MSELoss()(tv.ones(3, 1), tv.ones(4, 2, 1))
    with pytest.raises(ShapeError, match="does not fit input"):
        nn.SoftMarginLoss()(tv.ones(3, 1), tv.ones(3))


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("shapes", [((3, 1), (3,)), ((3,), (2, 3)), ((2, 3), ()), ((1, 3, 1), (2, 1, 4))])
@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
def test_a_target_of_another_shape_is_broadcast_with_a_warning(name, reduction, shapes):
    if reduction == "batchmean" and name != "kl_div":
        return
    rng, results = np.random.default_rng(0), []
    arrays = [rng.uniform(0.1, 2, shape) for shape in shapes]
    dy = rng.standard_normal(np.broadcast_shapes(*shapes))
    for t in (torch, tv):
        x, target = (t.tensor(a, requires_grad=True) for a in arrays)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            loss = getattr(t.nn.functional, name)(x, target, reduction=reduction)
        assert any("broadcast" in str(w.message) or "target size" in str(w.message) for w in said) == (name != "kl_div")
        loss.backward(t.tensor(dy) if reduction == "none" else None)
        results.append([loss.detach().numpy(), x.grad.numpy(), target.grad.numpy()])
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_the_gradient_of_a_target_is_pytorchs_at_the_ends():
    x, gradients = [0.0, 0.25, 1.0], []
    for t in (torch, tv):
        target = t.tensor([0.5, 0.5, 1.0], requires_grad=True)
        t.nn.functional.binary_cross_entropy(t.tensor(x), target, reduction="sum").backward()
        gradients.append(target.grad.numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-6)
    assert gradients[1].tolist()[::2] == [np.inf, -np.inf]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss"])
@pytest.mark.parametrize("kinds", list(itertools.product(["float16", "float32", "float64"], repeat=2)))
@pytest.mark.parametrize("axes", [True, False])
def test_the_dtype_of_a_loss_is_pytorchs(name, kinds, axes):
    """A target without axes is broadcast first, and counts then; two losses keep the dtype of the input."""

    def both(t):
        one, other = (getattr(t, kind) for kind in kinds)
        target = t.tensor([1.0, -1.0, 1.0] if axes else 1.0, dtype=other)
        return getattr(t.nn.functional, name)(t.tensor([1.0, 2.0, 3.0], dtype=one), target)

    ours, theirs = both(tv), both(torch)
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=2e-3)
