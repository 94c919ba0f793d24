"""x + alpha · y and its kin: the product is reckoned in the dtype of the sum, not in that of its factors."""

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
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SUMS)))
def test_products_have_room_in_the_sum(number):
    found = []
    for t in (torch, tinyvision):
        x, y = t.tensor([1.0, 2.0]), t.tensor([200, 3], dtype=t.uint8)
        found.append(SUMS[number](t, x, y, t.tensor([3000.0, 7.0], dtype=t.float16)))
    assert str(found[0].dtype) == str(found[1].dtype)
    assert found[0].tolist() == pytest.approx(found[1].tolist(), rel=1e-6)
