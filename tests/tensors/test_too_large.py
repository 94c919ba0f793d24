"""What no memory has room for is refused by one error of ours, a RuntimeError as PyTorch's is."""

import pytest

import tinyvision as tv
from tinyvision.errors import DeviceError, OutOfMemoryError

torch = pytest.importorskip("torch")
MANY, MORE = 10**17, 10**12  # more bytes than addresses; and MORE times MORE, more than can be counted


@pytest.mark.parametrize("make", [
    lambda t: t.zeros(MANY), lambda t: t.zeros(MORE, MORE), lambda t: t.ones(size=(MANY,)), lambda t: t.empty(MANY),
    lambda t: t.full((MANY,), 1.0), lambda t: t.eye(10**9), lambda t: t.arange(MANY), lambda t: t.linspace(0, 1, MANY),
    lambda t: t.rand(MANY), lambda t: t.randn(MORE, MORE), lambda t: t.randint(5, (MANY,)), lambda t: t.randperm(MANY),
    lambda t: t.zeros(1).new_zeros(MANY), lambda t: t.zeros(1).new_ones(MORE, MORE), lambda t: t.ones(3).repeat(MANY),
    lambda t: t.ones(1).expand(MANY) + 1, lambda t: t.ones(1).expand(MORE, 10**5) * t.ones(1),
    lambda t: t.nn.Linear(10**9, 10**9), lambda t: t.nn.functional.pad(t.ones(1, 1), (MANY, 0)),
    lambda t: t.nn.functional.interpolate(t.ones(1, 1, 1, 1), scale_factor=1e9),
    lambda t: t.nn.functional.interpolate(t.ones(1, 1, 1, 1), size=(10**9, 10**9), mode="bilinear"),
])  # fmt: skip
def test_impossible_sizes_are_refused(make):
    with pytest.raises(RuntimeError):
        make(torch)
    with pytest.raises(OutOfMemoryError, match=r"^cpu: not enough memory \(|no memory has room for so many") as caught:
        make(tv)
    assert isinstance(caught.value, DeviceError)


def test_the_message_names_the_shape_and_the_remedy():
    with pytest.raises(MemoryError, match=r"cpu: not enough memory \(.*\(100000000000000000,\).*smaller batch"):
        tv.zeros(MANY)
    with pytest.raises(RuntimeError, match=r"the shape \(1000000000000, 1000000000000\)"):
        tv.zeros(MORE, MORE)


def test_other_errors_are_told_as_before():
    x = tv.ones(2, 3)
    with pytest.raises(ValueError, match="matmul") as caught:
        x @ x
    assert not isinstance(caught.value, OutOfMemoryError)
