"""What may stand in the brackets: read and written in the places that PyTorch reads and writes, or refused."""

import array
import collections
import warnings

import numpy as np
import pytest

import tinyvision

torch = pytest.importorskip("torch")

INDICES = [
    range(2), (range(3), 1), (slice(None), range(2)), (None, range(2)), (..., range(2)), (0, range(1, 3)), range(0),
    (range(3), [2, 1, 0]), ([[0, 1]], range(2)), (True, range(2)), ([True, False, True], range(2)),
    (np.int64(1), [0, 1]), (np.uint8(2),), (np.array(1), range(2)), collections.deque([0, 1]), array.array("l", [0, 1]),
    [[0, 1], [1, 2]], [[0, 1]], [[0, 1], 2], [slice(0, 1), 1], [None, 0], [..., 1], [(0, 1), (1, 2)], [range(2)], [[]],
    [np.array([0, 1]), np.array([1, 2])], [np.int64(0), np.int64(2)], [np.array(0), np.array(1)], [[True, False, True]],
    [[0, 1]] * 33, np.array([[0, 1], [1, 2]]), [], [0, 2], ((0, 1),),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=lambda index: str(index)[:30])
def test_reads_and_writes_as_pytorch_does(index):
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of lists that it takes for tuples
        for engine in (torch, tinyvision):
            x = engine.arange(12.0).reshape(3, 4)
            part = x[index].tolist()
            x[index] = -1
            found.append((part, x.tolist()))
    assert found[1] == found[0]


def test_places_may_be_tensors_in_a_list():
    rows, columns = tinyvision.tensor([0, 1]), tinyvision.tensor([1, 2])
    x = tinyvision.arange(12.0).reshape(3, 4)
    assert x[[rows, columns]].tolist() == [1, 6]
    assert x[[rows]].shape == (2, 4)


@pytest.mark.parametrize("index", [{0, 1}, "a", 1.0, np.float32(1), (1.5,), iter([0, 1])], ids=str)
def test_what_names_no_place_is_refused(index):
    x = tinyvision.arange(12.0).reshape(3, 4)
    with pytest.raises(tinyvision.errors.DtypeError, match="index"):
        x[index]
    with pytest.raises(tinyvision.errors.DtypeError, match="index"):
        x[index] = 1


@pytest.mark.parametrize(
    "change",
    ["torch.nn.ReLU(True)(y)", "y.mul_(3)", "y[:, 0].zero_()", "y.__setitem__((..., 0), 2.0)"],
)
@pytest.mark.parametrize("pool", ["max_pool2d(x, 2)", "max_pool2d(x, 3, 2, 1)", "max_pool1d(x[0], 2)"])
def test_the_result_of_a_pooling_may_be_written_over(pool, change, rng):
    numbers, found = rng.standard_normal((2, 3, 8, 8)), []
    for engine in (torch, tinyvision):
        x = engine.tensor(numbers, requires_grad=True)
        y = eval(f"F.{pool}", {"F": engine.nn.functional, "x": x})
        eval(change, {"y": y, "torch": engine})
        (y * y).sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
