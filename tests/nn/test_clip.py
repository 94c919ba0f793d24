"""Gradient clipping beside PyTorch's."""

import math

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import GraphError, OptionError

torch = pytest.importorskip("torch")


def parameters(scale=1.0, special=None):
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for shape in ((3, 4), (5,), (2, 3, 2, 2), ()):
        value, gradient = rng.normal(size=shape), rng.normal(size=shape) * scale
        if special is not None and shape == (5,):
            gradient[2] = special
        ours.append(nn.Parameter(np.array(value)))
        ours[-1].grad = tv.tensor(np.asarray(gradient))
        theirs.append(torch.nn.Parameter(torch.tensor(value)))
        theirs[-1].grad = torch.tensor(gradient)
    ours.append(nn.Parameter(np.ones(2)))  # without a gradient
    return ours, theirs


@pytest.mark.parametrize("norm_type", [2, 2.0, 1, 3.5, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.1, 1, 1e3])
def test_norm(max_norm, norm_type):
    ours, theirs = parameters()
    norm = nn.utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert norm.item() == pytest.approx(expected.item(), rel=1e-12)  # float64
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)
    assert ours[-1].grad is None


def test_norm_just_below_the_limit_is_scaled_as_in_pytorch():
    p, q = nn.Parameter(np.ones(1)), torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    p.grad, q.grad = tv.tensor(np.array([1 - 1e-7])), torch.tensor([1 - 1e-7], dtype=torch.float64)
    nn.utils.clip_grad_norm_(p, 1.0)
    torch.nn.utils.clip_grad_norm_(q, 1.0)
    assert p.grad.item() == pytest.approx(q.grad.item(), rel=1e-14)


def test_value():
    ours, theirs = parameters()
    nn.utils.clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for p, q in zip(ours, theirs, strict=False):
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


@pytest.mark.parametrize("special", [math.inf, math.nan])
def test_a_norm_that_is_not_finite_changes_nothing(special):
    ours, _ = parameters(special=special)
    before = [p.grad.numpy().copy() for p in ours[:-1]]
    assert not math.isfinite(nn.utils.clip_grad_norm_(ours, 1.0).item())
    for p, b in zip(ours, before, strict=False):
        np.testing.assert_array_equal(p.grad.numpy(), b)
    with pytest.raises(GraphError, match="norm of the gradients is"):
        nn.utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)


def test_large_float32_gradients_do_not_overflow():
    p = nn.Parameter(np.ones(4, np.float32))
    p.grad = tv.tensor([1e20, -1e20, 1e20, 1e20])
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == pytest.approx(2e20, rel=1e-6)
    np.testing.assert_allclose(p.grad.numpy(), [0.5, -0.5, 0.5, 0.5], rtol=1e-6)


def test_mistakes_and_nothing_to_clip():
    for wrong in ((0,), (-1,), ("much",), (1, 0), (1, "two"), (math.nan,)):
        with pytest.raises(OptionError):
            nn.utils.clip_grad_norm_(parameters()[0], *wrong)
    with pytest.raises(OptionError):
        nn.utils.clip_grad_value_(parameters()[0], 0)
    assert nn.utils.clip_grad_norm_([nn.Parameter(np.ones(2))], 1.0).item() == 0
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0


@pytest.mark.parametrize("order", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("most", [0.5, 100.0])
def test_the_norm_alone_and_clipping_by_it_are_pytorchs(order, most, rng):
    shapes, seen = [(3, 4), (5,), ()], []
    numbers = [rng.standard_normal(s) for s in shapes]
    for t in (torch, tv):
        parameters = [t.nn.Parameter(t.zeros(s, dtype=t.float64)) for s in shapes]
        for p, n in zip(parameters, numbers, strict=True):
            p.grad = t.tensor(n, dtype=t.float64)
        norm = t.nn.utils.get_total_norm([p.grad for p in parameters], order)
        t.nn.utils.clip_grads_with_norm_(parameters, most, norm)
        seen.append((norm.item(), [p.grad.numpy() for p in parameters]))
    assert seen[1][0] == pytest.approx(seen[0][0], rel=1e-12)
    for ours, theirs in zip(seen[1][1], seen[0][1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_norm_that_is_not_finite_is_told():
    bad = [tv.tensor([1.0, float("nan")])]
    assert math.isnan(nn.utils.get_total_norm(bad).item())
    assert nn.utils.get_total_norm([]).item() == torch.nn.utils.get_total_norm([]).item() == 0
    with pytest.raises(GraphError, match="the norm is nan"):
        nn.utils.get_total_norm(bad, error_if_nonfinite=True)
    with pytest.raises(OptionError, match="expected tensors"):
        nn.utils.get_total_norm([np.ones(2)])
    with pytest.raises(OptionError, match="positive"):
        nn.utils.get_total_norm(bad, 0.0)
