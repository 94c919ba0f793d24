"""`torch.autograd.functional` and gradgradcheck, against PyTorch."""

import numpy as np
import pytest
import tinyvision.autograd.functional as ours

import tinyvision
from tinyvision import autograd
from tinyvision.errors import GraphError, OptionError, ShapeError

torch = pytest.importorskip("torch")
theirs = torch.autograd.functional

rng = np.random.default_rng(3)
A, B, V = rng.standard_normal(3), rng.standard_normal((2, 3)), rng.standard_normal(2)


def rows(a, b):
    return (a * b).sin().sum(1)


def number(a, b):
    return (a * b).sin().prod() + (a**3).sum()


CASES = {
    "jacobian of one": lambda t, f, a, b: f.jacobian(lambda a: a * a, a),
    "jacobian of two": lambda t, f, a, b: f.jacobian(rows, (a, b)),
    "jacobian of several outputs": lambda t, f, a, b: f.jacobian(lambda a, b: (a * b, a.sum()), (a, b)),
    "jacobian of a matrix": lambda t, f, a, b: f.jacobian(lambda b: b @ b.t(), b, vectorize=True),
    "jacobian of a number": lambda t, f, a, b: f.jacobian(lambda a: (a**2).sum(), a),
    "hessian of one": lambda t, f, a, b: f.hessian(lambda a: (a**3).prod(), a),
    "hessian of two": lambda t, f, a, b: f.hessian(number, (a, b)),
    "hessian of what is linear": lambda t, f, a, b: f.hessian(lambda a: a.sum(), a),
    "vjp": lambda t, f, a, b: f.vjp(rows, (a, b), t.tensor(V)),
    "vjp of a number": lambda t, f, a, b: f.vjp(number, (a, b)),
    "hvp": lambda t, f, a, b: f.hvp(number, (a, b), (t.tensor(A[::-1].copy()), b * 2)),
    "hvp of one": lambda t, f, a, b: f.hvp(lambda a: (a**3).prod(), a, t.tensor(A)),
    "vhp": lambda t, f, a, b: f.vhp(number, (a, b), (t.tensor(A[::-1].copy()), b * 2)),
}


def flat(found):
    return [array for part in found for array in flat(part)] if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("name", CASES)
def test_they_are_pytorchs(name):
    expected, found = (
        flat(CASES[name](t, f, t.tensor(A), t.tensor(B))) for t, f in ((torch, theirs), (tinyvision, ours))
    )
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert not a.requires_grad
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def test_with_create_graph_they_can_be_gone_back_through():
    results = []
    for t, f in ((torch, theirs), (tinyvision, ours)):
        a = t.tensor(A, requires_grad=True)
        hessian = f.hessian(lambda a: (a**3).prod(), a, create_graph=True)
        _, product = f.hvp(lambda a: (a**4).sum(), a, t.tensor(A), create_graph=True)
        (hessian.square().sum() + product.prod()).backward()
        results.append(a.grad.numpy())
    np.testing.assert_allclose(*results, rtol=1e-10)


def test_what_does_not_fit_is_told():
    a = tinyvision.tensor(A)
    with pytest.raises(ShapeError, match="v has the shapes"):
        ours.hvp(lambda a: (a**3).sum(), a, tinyvision.ones(2))
    with pytest.raises(ShapeError, match="v is needed"):
        ours.vjp(lambda a: a * a, a)
    with pytest.raises(GraphError, match="must give a single number"):
        ours.hessian(lambda a: a * a, a)
    with pytest.raises(GraphError, match="does not depend"):
        ours.jacobian(lambda a: tinyvision.ones(2) * 3, a, strict=True)
    with pytest.raises(OptionError, match="inputs must be a tensor"):
        ours.jacobian(lambda a: a, 3)
    assert ours.jacobian(lambda a: tinyvision.ones(2) * 3, a).tolist() == [[0, 0, 0]] * 2


def test_gradgradcheck_finds_a_backward_whose_own_gradient_is_wrong():
    class Cube(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x * x.detach()

    x, w = (tinyvision.tensor(a, requires_grad=True) for a in (B, B.T.copy()))
    assert autograd.gradcheck(Cube.apply, x)
    with pytest.raises(GraphError, match="do not agree"):
        autograd.gradgradcheck(Cube.apply, x)
    assert not autograd.gradgradcheck(Cube.apply, x, raise_exception=False)
    assert autograd.gradgradcheck(lambda x, w: (x @ w).exp(), [x, w])
    assert autograd.gradgradcheck(lambda x, w: (x @ w).exp(), [x, w], tinyvision.tensor(B[:, :2]), eps=1e-6)
