"""Every loss with tensors of every shape, beside PyTorch's: which go together, and what comes out of those that do."""

import itertools

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import OptionError, ShapeError, TinyVisionError
from tinyvision.nn import functional as F

torch = pytest.importorskip("torch")

SHAPES = [(), (1,), (3,), (4,), (4, 1), (1, 3), (4, 2), (4, 3), (2, 4, 3), (4, 3, 2)]
PAIRS = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "hinge_embedding_loss", "huber_loss",
    "kl_div", "l1_loss", "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss",
]  # fmt: skip
TRIPLES = [
    "cosine_embedding_loss", "gaussian_nll_loss", "margin_ranking_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip
WEIGHTED = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "l1_loss", "mse_loss",
    "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
]  # fmt: skip
CLASSES = ("cross_entropy", "multi_margin_loss", "nll_loss")
OWN = {"arcface", "batch_hard_triplet_loss", "box_iou_loss", "dice_loss", "sigmoid_focal_loss"}


def refused_here(name, shapes):
    """What is ours to refuse: PyTorch broadcasts scores and labels of several classes, and then takes another axis for
    the classes; it takes a number for scores of one class, and one label () for a batch of one."""
    return name == "multilabel_soft_margin_loss" or (name == "multi_margin_loss" and shapes in ([(), ()], [(1, 3), ()]))


def outcome(function, tensor, arrays, options):
    try:
        made = {name: tensor(a) if isinstance(a, np.ndarray) else a for name, a in options.items()}
        found = function(*map(tensor, arrays), **made)
    except Exception as error:
        if tensor is tv.tensor and not isinstance(error, TinyVisionError):
            raise
        return None
    return np.asarray(found.array if tensor is tv.tensor else found)


def compare(name, arrays, options):
    options = {"reduction": "none", **options}
    expected = outcome(getattr(torch.nn.functional, name), torch.tensor, arrays, options)
    found = outcome(getattr(F, name), tv.tensor, arrays, options)
    shapes = [a.shape for a in arrays]
    said = f"{name} of {shapes}, {[a.dtype for a in arrays]} and {options}: PyTorch {expected}, here {found}"
    if found is None or expected is None:
        assert found is expected or refused_here(name, shapes), said
        return expected is not None
    assert found.shape == expected.shape, said
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=said)
    return True


def test_every_loss_is_here():
    there = {name for name in dir(torch.nn.functional) if name.endswith("_loss") or "cross_entropy" in name}
    here = {name for name in [*F.__all__] if name.endswith("_loss") or "cross_entropy" in name}
    assert here & there - OWN == {*PAIRS, *TRIPLES} - {"kl_div"}


@pytest.mark.filterwarnings("ignore")  # of what is broadcast, which is looked at elsewhere
@pytest.mark.parametrize("whole", [False, True], ids=["floats", "whole numbers"])
@pytest.mark.parametrize("name", PAIRS)
def test_two_tensors(name, whole):
    rng, taken = np.random.default_rng(7), 0
    for shapes in itertools.product(SHAPES, SHAPES):
        if whole and name == "cross_entropy" and shapes == ((1,), (1,)):
            continue  # PyTorch takes the number of one of one class for its probability, and refuses it
        input = rng.uniform(0.1, 0.9, shapes[0])
        target = rng.integers(0, 1 if input.shape[-1:] == (1,) else 2, shapes[1]) if whole else rng.random(shapes[1])
        taken += compare(name, [input, target], {})
    assert taken or whole != (name in CLASSES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weight(name, reduction):
    rng, classes = np.random.default_rng(7), name in CLASSES
    for target in [(4,)] if classes else [(4, 3), (3,), (4, 1)]:
        for shape in SHAPES:
            labels = rng.integers(0, 2, target)
            arrays = [rng.uniform(0.1, 0.9, (4, 3)), labels if classes else labels.astype(np.float64)]
            compare(name, arrays, {"weight": rng.random(shape), "reduction": reduction})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TRIPLES)
def test_three_tensors(name):
    rng = np.random.default_rng(7)
    triples = list(itertools.product(SHAPES, SHAPES, SHAPES))
    some = [triples[at] for at in rng.permutation(len(triples))[:300]] + [((4, 3),) * 2 + (s,) for s in SHAPES]
    assert sum(compare(name, [rng.uniform(0.1, 0.9, shape) for shape in shapes], {}) for shapes in some) > 3


@pytest.mark.parametrize("ignored", [-100, -1, 0, 1])
def test_probabilities_and_an_ignored_class(ignored):
    input, target = np.random.default_rng(7).random((2, 4, 3))
    assert compare("cross_entropy", [input, target], {"ignore_index": ignored}) == (ignored < 0)
    if ignored >= 0:
        with pytest.raises(OptionError, match=f"ignore_index={ignored} can ignore none"):
            tv.nn.CrossEntropyLoss(ignore_index=ignored)(tv.tensor(input), tv.tensor(target))


@pytest.mark.parametrize("shapes", [*itertools.product([(2, 3), (1, 3), (2, 1), (4, 1, 3), (3,)], repeat=2)])
@pytest.mark.parametrize("dim", [-1, -2])
def test_cosines_of_what_is_broadcast(shapes, dim):
    """Also along the axis of the vectors themselves, whose length is that of what was broadcast."""
    if dim == -2 and shapes == ((3,), (3,)):
        return
    rng, (two, one) = np.random.default_rng(7), ([], [])
    for shape in shapes:
        a = rng.normal(size=shape)
        one.append(tv.tensor(a, requires_grad=True))
        two.append(torch.tensor(a, requires_grad=True))
    found, expected = F.cosine_similarity(*one, dim=dim), torch.cosine_similarity(*two, dim=dim)
    np.testing.assert_allclose(found.array, expected.detach(), rtol=1e-12)
    dy = rng.normal(size=tuple(expected.shape))
    found.backward(tv.tensor(dy))
    expected.backward(torch.tensor(dy))
    for x, y in zip(one, two, strict=True):
        np.testing.assert_allclose(x.grad.array, y.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("log_input", [True, False])
def test_stirling_s_formula_has_a_slope(log_input):
    rng = np.random.default_rng(7)
    sides = []
    for engine in (tv, torch):
        x, target = (engine.tensor(a, requires_grad=True) for a in (rng.random(9) + 0.1, rng.random(9) * 4))
        loss = engine.nn.functional.poisson_nll_loss(x, target, log_input, full=True, reduction="none")
        loss.backward(engine.tensor(rng.normal(size=9)))
        sides.append([np.asarray(a.detach().numpy()) for a in (loss, x.grad, target.grad)])
        rng = np.random.default_rng(7)
    for found, expected in zip(*sides, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_weights_of_observations_have_a_gradient():
    sides = []
    for engine in (tv, torch):
        rng = np.random.default_rng(7)
        x, w = (engine.tensor(rng.random(shape), requires_grad=True) for shape in ((3, 5), (5,)))
        engine.cov(x, aweights=w).backward(engine.tensor(rng.normal(size=(3, 3))))
        sides.append((x.grad.numpy(), w.grad.numpy()))
    for found, expected in zip(*sides, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


def test_what_does_not_fit_is_named():
    x = tv.ones(4, 3)
    with pytest.raises(ShapeError, match=r"margin_ranking_loss: input1 \(4, 3\) and input2 \(4, 3\) and target \(3,\)"):
        F.margin_ranking_loss(x, x, tv.ones(3))
    with pytest.raises(ShapeError, match=r"weight \(3,\) does not fit input \(4, 3\)"):
        F.huber_loss(x, x, weight=tv.ones(3))
    with pytest.raises(ShapeError, match=r"var \(1,\) must be shaped like input \(4, 3\)"):
        F.gaussian_nll_loss(x, x, tv.ones(1))
    with pytest.raises(ShapeError, match=r"target \(4,\) and weight \(5,\)"):
        F.multi_margin_loss(x, tv.tensor([0, 1, 2, 0]), weight=tv.ones(5))
