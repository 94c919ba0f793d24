"""resize_ and resize_as_: PyTorch's shapes, numbers and shared memory, as far as they are defined."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import GraphError, ShapeError

torch = pytest.importorskip("torch")

# Each line changes x, a tensor of 0 to 11 with the rows' view v; what is new is written before it is read.
PROGRAMS = """
x.resize_(12)
x.resize_(4, 3)
x.resize_(2, 3)
x.resize_(2, 3).mul_(10)
x.resize_(1, 2); x.resize_(3, 4)
x.resize_(0); x.resize_(2, 2, 3)
x.resize_((2, 6)); x[0, 0] = 50
x.resize_(torch.Size([2, 2]))
x.t().resize_(2, 3).mul_(10)
x[1:].resize_(2, 2).mul_(10)
x[1:].resize_(1, 2).resize_(2, 4).add_(1)
x[:, 1:].resize_(2, 3).mul_(10)
x.resize_as_(x[:2]).add_(1)
x.data.resize_(6).mul_(10)
x = x.clone(); x.resize_(4, 5); x[2:] = 7
x = x.new().resize_as_(x).copy_(x)
x = torch.FloatTensor(1); x.resize_(2, 3, 1).fill_(3)
x = torch.empty(0, dtype=torch.int64).resize_(3).zero_()
"""


@pytest.mark.parametrize("program", PROGRAMS.strip().splitlines())
def test_as_pytorch(program):
    found = []
    for engine in (torch, tv):
        x = engine.arange(12.0).view(3, 4).clone()
        names = {"torch": engine, "x": x, "v": x[1:]} if "clone" not in program else {"torch": engine, "x": x}
        exec(program, names)
        found.append([(str(names[n].numpy().dtype), names[n].numpy().copy()) for n in "xv" if n in names])
    for (kind, theirs), (other_kind, ours) in zip(*found, strict=True):
        assert kind == other_kind
        np.testing.assert_array_equal(ours, theirs)


def test_what_is_refused():
    x = tv.ones(2, 3)
    with pytest.raises(ShapeError, match="-1 is for reshape"):
        x.resize_(-1)
    view = x[0]
    with pytest.raises(GraphError, match="views share this memory"):
        x.resize_(3, 3)
    with pytest.raises(GraphError, match="views share this memory"):
        view.resize_(9)
    weight = tv.nn.Parameter(np.ones(3))
    for asks in (weight, weight * 2):
        with pytest.raises(GraphError, match="keeps its size"):
            asks.resize_(2)
    with pytest.raises(tv.errors.DtypeError, match="resize_as_: other must be a tensor"):
        x.resize_as_(3)


def test_a_backward_that_needs_the_numbers_says_that_they_changed():
    for engine, error in ((torch, RuntimeError), (tv, GraphError)):
        weight, x = engine.ones(3, requires_grad=True), engine.ones(3)
        y = (weight * x).sum()
        x.resize_(2).add_(1)
        with pytest.raises(error):
            y.backward()
