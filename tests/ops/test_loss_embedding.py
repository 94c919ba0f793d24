"""The losses of embeddings against the same written with PyTorch's functions, and at their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, nn, ops, tensor
from tinyvision.nn import functional

from .oracle import compare, torch


def drawn(data, classes=4, most=9):
    seed, N = data.draw(st.integers(0, 1000)), data.draw(st.integers(1, most))
    rng = np.random.default_rng(seed)
    return rng, N, rng.integers(0, classes, N)


@given(st.data())
def test_arcface_like_torch(data):
    rng, N, labels = drawn(data)
    margin, scale = data.draw(st.floats(0, 1.5)), data.draw(st.floats(0.1, 64))

    def reference(x, t):
        angle = torch.acos(x) + margin
        turned = torch.where(angle < np.pi, torch.cos(angle), x - margin * np.sin(margin))
        return scale * torch.where(torch.nn.functional.one_hot(t, 4).bool(), turned, x)

    x = rng.uniform(-0.99, 0.99, (N, 4))
    compare("arcface", reference, [x, labels], {"margin": margin, "scale": scale})


@given(st.data())
def test_triplet_like_torch(data):
    rng, N, labels = drawn(data, classes=3)
    margin = data.draw(st.floats(0, 2))
    x = rng.standard_normal((N, 5))

    def reference(x, t):
        apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
        same = t[:, None] == t
        others = same & ~torch.eye(N, dtype=bool)
        far = apart.masked_fill(~others, -1).max(1).values
        near = apart.masked_fill(same, 1e9).min(1).values
        anchors = others.any(1) & ~same.all(1)
        return torch.relu(margin + far - near)[anchors].mean() if anchors.any() else (x * 0).sum()

    compare("triplet", reference, [x, labels], {"margin": margin})


def test_arcface_at_the_ends_is_finite_and_falls_with_the_angle():
    x = np.cos(np.linspace(0, np.pi, 400))[:, None]
    y, cache = ops.arcface_forward(x, np.zeros(400, int), margin=0.5, scale=2.0)
    assert (np.diff(y[:, 0]) < 0).all()
    dx, _ = ops.arcface_backward(np.ones_like(y), cache)
    assert np.isfinite(dx).all()
    beyond, _ = ops.arcface_forward(np.array([[1.0 + 1e-7, -1.0 - 1e-7]]), np.array([0]))
    assert np.isfinite(beyond).all()


def test_without_a_margin_arcface_only_scales(rng):
    x = rng.uniform(-1, 1, (3, 4))
    np.testing.assert_allclose(ops.arcface_forward(x, np.arange(3), margin=0.0, scale=5.0)[0], 5 * x, atol=1e-12)


def test_a_batch_without_a_triplet_has_no_loss():
    for labels in ([0, 0, 0], [0, 1, 2], [3]):
        x = np.ones((len(labels), 2))
        y, cache = ops.triplet_forward(x, np.array(labels))
        assert y == 0
        np.testing.assert_array_equal(ops.triplet_backward(np.ones(()), cache)[0], 0 * x)


def test_equal_embeddings_have_no_direction():
    y, cache = ops.triplet_forward(np.zeros((4, 3)), np.array([0, 0, 1, 1]), margin=0.3)
    assert y == pytest.approx(0.3)
    np.testing.assert_array_equal(ops.triplet_backward(np.ones(()), cache)[0], np.zeros((4, 3)))


def test_on_the_tape(rng):
    x = tensor(rng.standard_normal((6, 4)), requires_grad=True)
    labels = tensor([0, 1, 0, 1, 2, 2])
    nn.CrossEntropyLoss()(functional.arcface(functional.normalize(x), labels), labels).backward()
    functional.batch_hard_triplet_loss(x, labels, margin=2.0).backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert (x.grad.numpy() != 0).all()


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: ops.arcface_forward(np.ones((2, 3)), np.array([0, 3])), errors.OptionError, "from 0 to 2"),
        (lambda: ops.arcface_forward(np.ones((2, 3)), np.array([0, -1])), errors.OptionError, "from 0 to 2"),
        (lambda: ops.arcface_forward(np.ones((2, 3)), np.array([0, 1]), margin=2), errors.OptionError, "margin"),
        (lambda: ops.arcface_forward(np.ones((2, 3)), np.array([0, 1]), scale=0), errors.OptionError, "scale"),
        (lambda: ops.arcface_forward(np.ones((2, 3)), np.array([0])), errors.ShapeError, r"labels .*\(N,\)"),
        (lambda: ops.arcface_forward(np.ones((2, 3)), np.array([0.0, 1])), errors.DtypeError, "integers"),
        (lambda: ops.triplet_forward(np.ones((2, 3)), np.array([0, 1, 1])), errors.ShapeError, "do not fit"),
        (lambda: ops.triplet_forward(np.ones((0, 3)), np.zeros(0, int)), errors.ShapeError, "do not fit"),
        (lambda: ops.triplet_forward(np.ones((2, 3)), np.array([0, 1]), margin=-1), errors.OptionError, "margin"),
    ],
)
def test_mistakes(call, error, told):
    with pytest.raises(error, match=told):
        call()
