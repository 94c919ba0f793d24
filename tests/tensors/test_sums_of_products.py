"""x + alpha · y and its kin: the product is reckoned in the dtype of the sum, not in that of its factors."""

import itertools

import numpy as np
import pytest

import tinyvision

torch = pytest.importorskip("torch")

SUMS = [
    lambda t, x, y, h: x.add(y, alpha=2), lambda t, x, y, h: x.sub(y, alpha=2),
    lambda t, x, y, h: t.rsub(y, x, alpha=3),
    lambda t, x, y, h: x.long().add(y, alpha=2), lambda t, x, y, h: x.clone().add_(y, alpha=2),
    lambda t, x, y, h: x.clone().sub_(y, alpha=2), lambda t, x, y, h: x.add(y, alpha=0.5),
    lambda t, x, y, h: x.add(h, alpha=100), lambda t, x, y, h: x.addcmul(y, y), lambda t, x, y, h: x.addcmul(h, h),
    lambda t, x, y, h: x.addcmul(y, y, value=3), lambda t, x, y, h: x.long().addcmul(y, y),
    lambda t, x, y, h: x.clone().addcmul_(y, y), lambda t, x, y, h: x.addcdiv(y, h), lambda t, x, y, h: x.addcdiv(h, y),
    lambda t, x, y, h: y.add(y, alpha=2), lambda t, x, y, h: x.add(y[0], alpha=2),
    lambda t, x, y, h: x.add(True, alpha=2),
    lambda t, x, y, h: t.tensor(1.0, dtype=t.float64).addr(x, x)[0], lambda t, x, y, h: t.tensor(1).addr(y, y)[0],
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SUMS)))
def test_products_have_room_in_the_sum(number):
    found = []
    for t in (torch, tinyvision):
        x, y = t.tensor([1.0, 2.0]), t.tensor([200, 3], dtype=t.uint8)
        found.append(SUMS[number](t, x, y, t.tensor([3000.0, 7.0], dtype=t.float16)))
    assert str(found[0].dtype) == str(found[1].dtype)
    assert found[0].tolist() == pytest.approx(found[1].tolist(), rel=1e-6)


@pytest.mark.parametrize(
    "equation",
    ["ij,k->ik", "ij,jk->k", "i,j->", "ij,ij->j", "ij,jk,kl->il", "ij,j,j->i", "ijk,ijk->i", "...i,...i->..."],
)
@pytest.mark.parametrize("dtype", ["int32", "uint8", "float64"])
def test_axes_of_size_1_stand_for_any_size(equation, dtype):
    """A sum over one operand alone makes whole numbers wide, as one over an axis of size 1 does not."""
    terms = equation.split("->")[0].replace("...", "").split(",")
    letters = sorted(set("".join(terms)))
    numbers = np.random.default_rng(1)
    compared = 0
    for sizes in itertools.product([1, 3], repeat=len(letters)):
        size = dict(zip(letters, sizes, strict=True))
        for alone in range(len(terms) + 1):  # the operand whose axes all have the size 1
            shapes = [[1 if k == alone else size[c] for c in term] for k, term in enumerate(terms)]
            values = [numbers.integers(1, 4, s).tolist() for s in shapes]
            try:
                expected = _einsum(torch, equation, values, dtype)
            except RuntimeError:  # PyTorch multiplies no int64 with int32, which sums of its own may have made
                continue
            assert _einsum(tinyvision, equation, values, dtype) == expected, shapes
            compared += 1
    assert compared >= 2 * len(letters)


def _einsum(library, equation, values, dtype):
    xs = [library.tensor(v, dtype=getattr(library, dtype), requires_grad=dtype == "float64") for v in values]
    y = library.einsum(equation, *xs)
    if dtype == "float64":
        (y * y).sum().backward()
    return str(y.dtype).removeprefix("torch."), y.tolist(), [x.grad.tolist() for x in xs if x.grad is not None]


@pytest.mark.parametrize("name", ["addmm", "addmv", "addr", "baddbmm"])
@pytest.mark.parametrize("beta", [0, 0.0, 2])
def test_what_is_added_no_times_has_a_gradient_of_0(name, beta):
    """Even where it is nan: it is not read."""
    shape, one, two = {
        "addmm": ((2, 2), (2, 3), (3, 2)), "addmv": ((2,), (2, 3), (3,)), "addr": ((2, 3), (2,), (3,)),
        "baddbmm": ((2, 2, 2), (2, 2, 3), (2, 3, 2)),
    }[name]  # fmt: skip
    results = []
    for library in (torch, tinyvision):
        x = library.full(shape, 1.0 if beta else float("nan"), dtype=library.float64, requires_grad=True)
        y = getattr(x, name)(library.ones(*one).double(), library.ones(*two).double(), beta=beta)
        (y * y).sum().backward()
        results.append((y.tolist(), x.grad.tolist()))
    assert results[0] == results[1]
