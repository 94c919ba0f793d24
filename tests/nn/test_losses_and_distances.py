"""Every loss and distance of nn.functional, and the losses as modules, beside PyTorch's: value and all gradients."""

import numpy as np
import pytest

import tinyvision as tv
import tinyvision.nn.functional as F
from tinyvision import nn

torch = pytest.importorskip("torch")
T = torch.nn.functional

rng = np.random.default_rng(11)
A, B, C = rng.standard_normal((3, 4, 5))
P, Q = rng.random((2, 4, 5)) * 0.9 + 0.05
SIGNS, ROWS = np.where(rng.random((4, 5)) < 0.5, -1.0, 1.0), np.array([1.0, -1.0, -1.0, 1.0])
LABELS, W5 = np.array([3, 0, 2, 4]), rng.random(5) + 0.5
LOG = A - np.log(np.exp(A).sum(1, keepdims=True))

# name, arguments that have gradients, those that have none, options
CASES = [
    ("l1_loss", [A, B], [], {}),
    ("l1_loss", [A, B], [], {"size_average": False}),
    ("mse_loss", [A, B], [], {"reduce": False}),
    ("smooth_l1_loss", [A, B], [], {"beta": 0.5}),
    ("huber_loss", [A, B], [], {"delta": 0.5, "reduction": "sum"}),
    ("binary_cross_entropy", [P], [Q], {}),
    ("binary_cross_entropy", [P], [Q], {"weight": W5, "reduction": "none"}),
    ("binary_cross_entropy_with_logits", [A], [Q], {"reduction": "sum"}),
    ("binary_cross_entropy_with_logits", [A], [Q], {"pos_weight": W5, "weight": Q}),
    ("kl_div", [LOG], [Q], {"reduction": "batchmean"}),
    ("kl_div", [LOG], [Q], {}),
    ("soft_margin_loss", [A], [SIGNS], {}),
    ("hinge_embedding_loss", [P], [SIGNS], {"margin": 0.5}),
    ("margin_ranking_loss", [A, B], [SIGNS], {"margin": 0.3}),
    ("cosine_embedding_loss", [A, B], [ROWS], {"margin": 0.2}),
    ("triplet_margin_loss", [A, B, C], [], {}),
    ("triplet_margin_loss", [A, B, C], [], {"p": 1.0, "swap": True, "reduction": "none"}),
    ("triplet_margin_with_distance_loss", [A, B, C], [], {"swap": True}),
    ("poisson_nll_loss", [A], [np.abs(B) * 3], {"full": True}),
    ("poisson_nll_loss", [P], [np.abs(B) * 3], {"log_input": False}),
    ("gaussian_nll_loss", [A, B, P], [], {"full": True}),
    ("multilabel_soft_margin_loss", [A], [np.round(Q)], {}),
    ("multi_margin_loss", [A], [LABELS], {"p": 2, "weight": W5}),
    ("cross_entropy", [A], [LABELS], {"weight": W5, "label_smoothing": 0.1}),
    ("cross_entropy", [A[0]], [LABELS[0]], {"reduction": "none"}),
    ("cross_entropy", [A.reshape(1, 5, 2, 2)], [LABELS.reshape(1, 2, 2)], {"ignore_index": 2}),
    ("cross_entropy", [A], [Q / Q.sum(1, keepdims=True)], {"reduction": "none"}),
    ("nll_loss", [LOG], [LABELS], {"size_average": False}),
    ("normalize", [A], [], {}),
    ("normalize", [A], [], {"p": 3.0, "dim": 0}),
    ("normalize", [np.zeros((2, 3))], [], {}),
    ("normalize", [A], [], {"p": 1.0}),
    ("cosine_similarity", [A, B], [], {}),
    ("cosine_similarity", [A, B], [], {"dim": 0}),
    ("pairwise_distance", [A, B], [], {}),
    ("pairwise_distance", [A, B], [], {"p": 1.0, "keepdim": True}),
    ("rms_norm", [A, W5], [], {}),
]


@pytest.mark.filterwarnings("ignore:size_average and reduce", "ignore:reduction. .mean")
@pytest.mark.parametrize(("name", "smooth", "fixed", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_like_torch(name, smooth, fixed, options):
    ours = [tv.tensor(a, requires_grad=True) for a in smooth]
    theirs = [torch.tensor(a, requires_grad=True) for a in smooth]
    mine, other = (
        {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        for make in (tv.tensor, torch.tensor)
    )
    if name == "rms_norm":
        y, expected = F.rms_norm(ours[0], (5,), ours[1]), T.rms_norm(theirs[0], (5,), theirs[1])
    else:
        y = getattr(F, name)(*ours, *(tv.tensor(a) for a in fixed), **mine)
        expected = getattr(T, name)(*theirs, *(torch.tensor(a) for a in fixed), **other)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    upstream = np.random.default_rng(3).standard_normal(tuple(expected.shape))
    (y * tv.tensor(upstream)).sum().backward()
    expected.backward(torch.tensor(upstream))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_rms_norm_in_float16_is_computed_in_float32():
    """Squares of numbers above 256 are infinite in float16: all came out as 0."""
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal((4, 6)) * 400).astype(np.float16), rng.standard_normal(6).astype(np.float16)
    ours, exact = (t.tensor(x.astype(kind), requires_grad=True) for t, kind in ((tv, "f2"), (torch, "f8")))
    scale, exactly = (t.tensor(weight.astype(kind), requires_grad=True) for t, kind in ((tv, "f2"), (torch, "f8")))
    y, expected = F.rms_norm(ours, (6,), scale), T.rms_norm(exact, (6,), exactly, eps=float(np.finfo(np.float16).eps))
    assert y.dtype == tv.float16
    y.sum().backward()
    expected.sum().backward()
    for one, other in ((y, expected), (ours.grad, exact.grad), (scale.grad, exactly.grad)):
        one, other = one.detach().numpy(), other.detach().numpy()
        np.testing.assert_allclose(one, other, rtol=4e-3, atol=4e-3 * np.abs(other).max())


LAYERS = [
    ("L1Loss", {}, [A, B]),
    ("SmoothL1Loss", {"beta": 0.3}, [A, B]),
    ("HuberLoss", {"delta": 2.0}, [A, B]),
    ("BCELoss", {"weight": W5}, [P, Q]),
    ("BCEWithLogitsLoss", {"pos_weight": W5, "reduction": "sum"}, [A, Q]),
    ("KLDivLoss", {"reduction": "batchmean"}, [LOG, Q]),
    ("SoftMarginLoss", {}, [A, SIGNS]),
    ("HingeEmbeddingLoss", {}, [P, SIGNS]),
    ("MarginRankingLoss", {"margin": 0.5}, [A, B, SIGNS]),
    ("CosineEmbeddingLoss", {}, [A, B, ROWS]),
    ("TripletMarginLoss", {"margin": 2.0}, [A, B, C]),
    ("PoissonNLLLoss", {}, [A, P]),
    ("GaussianNLLLoss", {}, [A, B, P]),
    ("MultiLabelSoftMarginLoss", {}, [A, np.round(Q)]),
    ("MultiMarginLoss", {}, [A, LABELS]),
    ("CosineSimilarity", {"dim": 0}, [A, B]),
    ("PairwiseDistance", {"p": 1.0}, [A, B]),
]


@pytest.mark.parametrize(("name", "options", "inputs"), LAYERS, ids=[name for name, _, _ in LAYERS])
def test_modules_like_torch(name, options, inputs):
    mine, other = (
        {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        for make in (tv.tensor, torch.tensor)
    )
    ours, theirs = getattr(nn, name)(**mine), getattr(torch.nn, name)(**other)
    y, expected = ours(*map(tv.tensor, inputs)), theirs(*map(torch.tensor, inputs))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-10)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)


def test_the_old_spelling_of_a_reduction_warns_and_works():
    x, y = tv.tensor(A), tv.tensor(B)
    for options, modern in (
        ({"size_average": False}, "sum"),
        ({"size_average": True}, "mean"),
        ({"reduce": False}, "none"),
    ):
        with pytest.warns(UserWarning, match=f"use reduction='{modern}' instead"):
            old = nn.MSELoss(**options)
        assert old.reduction == modern
        np.testing.assert_array_equal(old(x, y).numpy(), nn.MSELoss(reduction=modern)(x, y).numpy())
    with pytest.warns(UserWarning, match="size_average"):
        assert nn.CrossEntropyLoss(None, False).reduction == "sum"


def test_softmax_without_a_dim_warns_as_pytorch_does():
    for shape in ((4,), (2, 3), (2, 3, 4), (2, 3, 4, 5)):
        x = np.random.default_rng(0).standard_normal(shape)
        for name in ("softmax", "log_softmax"):
            with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name} has been deprecated"):
                ours = getattr(F, name)(tv.tensor(x))
            with pytest.warns(UserWarning, match="Implicit dimension"):
                theirs = getattr(T, name)(torch.tensor(x))
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_the_number_of_classes_may_be_counted_by_a_tensor():
    labels = tv.tensor([1, 0, 2])
    assert F.one_hot(labels, labels.max() + 1).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_one_hot_and_embedding_like_torch():
    labels = np.array([[0, 2], [1, 2]])
    for classes in (-1, 4):
        ours, theirs = F.one_hot(tv.tensor(labels), classes), T.one_hot(torch.tensor(labels), classes)
        assert ours.dtype == np.int64
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    layer, other = nn.Embedding(3, 5, padding_idx=-1), torch.nn.Embedding(3, 5, padding_idx=-1)
    assert repr(layer) == repr(other)
    assert layer.weight.detach().numpy()[2].tolist() == [0] * 5
    layer.load_state_dict(other.state_dict())
    upstream = np.random.default_rng(0).standard_normal((2, 2, 5)).astype(np.float32)
    (layer(tv.tensor(labels)) * tv.tensor(upstream)).sum().backward()
    (other(torch.tensor(labels)) * torch.tensor(upstream)).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), other.weight.grad.numpy(), rtol=1e-6)


def test_maxima_go_back_where_they_came_from():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 8))
    y, places = F.max_pool2d(tv.tensor(x), 2, return_indices=True)
    other, other_places = T.max_pool2d(torch.tensor(x), 2, return_indices=True)
    np.testing.assert_array_equal(places.numpy(), other_places.numpy())
    mine, theirs = tv.tensor(y.numpy(), requires_grad=True), other.clone().requires_grad_()
    back, expected = nn.MaxUnpool2d(2)(mine, places), torch.nn.MaxUnpool2d(2)(theirs, other_places)
    np.testing.assert_array_equal(back.detach().numpy(), expected.detach().numpy())
    upstream = np.random.default_rng(1).standard_normal(x.shape)
    (back * tv.tensor(upstream)).sum().backward()
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy())


def test_what_segments_and_detects():
    rng = np.random.default_rng(2)
    p, masks = rng.random((2, 1, 4, 5)), np.round(rng.random((2, 1, 4, 5)))
    dice = 1 - (2 * (p * masks).sum((2, 3)) + 1) / (p.sum((2, 3)) + masks.sum((2, 3)) + 1)
    np.testing.assert_allclose(nn.DiceLoss()(tv.tensor(p), tv.tensor(masks)).item(), dice.mean())
    boxes = np.array([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 2.0]])
    assert nn.BoxIoULoss()(tv.tensor(boxes), tv.tensor(boxes)).item() == pytest.approx(0, abs=1e-6)
    scores = tv.tensor(np.array([[50.0, -50.0]]))
    assert nn.FocalLoss()(scores, tv.tensor(np.array([[1.0, 0.0]]))).item() == pytest.approx(0)


def test_alpha_dropout_keeps_mean_and_variance():
    y = F.alpha_dropout(tv.randn(200, 500), 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03


def test_unasked_no_layer_changes_its_input():
    kinds = [kind for kind in vars(nn).values() if getattr(kind, "inplace", None) is False]
    assert {nn.ReLU, nn.Threshold, nn.Dropout} <= {*kinds}
    for kind in kinds:
        shape = (2, 9, 3, 2, 4)[: {nn.Dropout1d: 3, nn.Dropout2d: 4}.get(kind, 5)]
        x = tv.tensor(np.random.default_rng(0).standard_normal(shape) * 2)
        before = x.numpy().copy()
        y = kind(0.1, 20.0)(x) if kind is nn.Threshold else kind()(x)
        assert not y.equal(x)
        np.testing.assert_array_equal(x.numpy(), before)


@pytest.mark.parametrize("layer", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardtanh, nn.ReLU6, nn.SELU, nn.CELU])
def test_inplace_changes_the_input_like_torch(layer):
    x = np.random.default_rng(0).standard_normal((3, 4)) * 2
    ours, theirs = tv.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    middle, other = ours * 2, theirs * 2
    y = layer(inplace=True)(middle)
    z = getattr(torch.nn, layer.__name__)(inplace=True)(other)
    np.testing.assert_allclose(middle.detach().numpy(), other.detach().numpy(), rtol=1e-12)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-10)
