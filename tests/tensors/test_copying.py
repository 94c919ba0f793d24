"""Copies, deep copies and pickles of tensors, parameters and models are what PyTorch's are."""

import copy
import pickle

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import GraphError

torch = pytest.importorskip("torch")
ENGINES = pytest.mark.parametrize("t", [tv, torch], ids=["tinyvision", "torch"])


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def with_grad(t):
    x = t.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    return x


@ENGINES
def test_a_copy_shares_memory_but_neither_gradient_nor_graph(t):
    x = with_grad(t)
    twin = copy.copy(x)
    assert twin.data_ptr() == x.data_ptr()
    assert (twin.requires_grad, twin.grad, twin.is_leaf) == (True, None, True)
    assert copy.copy(x * 2).is_leaf


@ENGINES
def test_a_deep_copy_has_memory_and_gradient_of_its_own(t):
    x = with_grad(t)
    twin = copy.deepcopy(x)
    with t.no_grad():
        twin.zero_()
        twin.grad.zero_()
    assert (x.tolist(), x.grad.tolist(), twin.requires_grad) == ([1, 2], [2, 4], True)


def test_only_leaves_are_copied_deeply():
    x = with_grad(torch)
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(x * 2)
    with pytest.raises(GraphError, match=r"copy x.detach\(\)"):
        copy.deepcopy(with_grad(tv) * 2)


@ENGINES
@pytest.mark.parametrize(
    "look",
    [
        lambda x: x[1:, ::2],
        lambda x: x.T,
        lambda x: x.reshape(-1),
        lambda x: x[:, 2],
        lambda x: x[2, 3],
        lambda x: x.expand(2, 3, 4),
        lambda x: x[:0],
    ],
)
def test_views_copied_together_share_memory_again_and_pickled_do_not(t, look):
    x = t.arange(12.0).reshape(3, 4)
    whole, seen = copy.deepcopy([x, look(x)])
    assert seen.tolist() == look(x).tolist()
    whole.add_(1)
    assert seen.tolist() == look(x + 1).tolist()
    assert x.tolist() == t.arange(12.0).reshape(3, 4).tolist()
    whole, seen = pickled([x, look(x)])
    whole.add_(1)
    assert seen.tolist() == look(x).tolist()


@ENGINES
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickled])
def test_parameters_stay_parameters(t, duplicate):
    for wanted in (True, False):
        twin = duplicate(t.nn.Parameter(t.ones(2), requires_grad=wanted))
        assert (type(twin), twin.requires_grad, twin.grad) == (t.nn.Parameter, wanted, None)


@ENGINES
def test_what_is_one_tensor_stays_one(t):
    x = t.ones(2)
    for duplicate in (copy.deepcopy, pickled):
        one, other = duplicate([x, x])
        assert one is other
    x.requires_grad_()
    assert pickled(x).requires_grad


@ENGINES
@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_models_and_their_optimizers(t, duplicate):
    t.manual_seed(0)
    model = t.nn.Sequential(t.nn.Conv2d(1, 2, 3), t.nn.BatchNorm2d(2), t.nn.ReLU(), t.nn.Flatten(), t.nn.Linear(8, 2))
    optimizer = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = t.randn(3, 1, 4, 4)
    for _ in range(2):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    twin, its_optimizer = duplicate((model, optimizer))
    assert its_optimizer.param_groups[0]["params"][0] is next(twin.parameters())
    np.testing.assert_array_equal(twin.eval()(x).detach(), model.eval()(x).detach())
    before = model(x).tolist()
    twin(x).sum().backward()
    its_optimizer.step()
    assert model(x).tolist() == before
    assert twin(x).tolist() != before


def test_what_a_subclass_adds_is_kept():
    buffer = tv.nn.Buffer(tv.ones(2), persistent=False)
    for duplicate in (copy.copy, copy.deepcopy, pickled):
        assert duplicate(buffer).persistent is False


@ENGINES
def test_formats_of_single_numbers(t):
    x = t.tensor(3.25, requires_grad=True)
    assert (f"{x}", f"{x:.1f}", f"{x:8}", f"{t.tensor(7):d}") == ("3.25", "3.2", "    3.25", "7")
    assert f"{t.tensor([1, 2])}" == "tensor([1, 2])"
    assert f"{t.tensor(True)}" == "True"


@ENGINES
def test_keys_and_members(t):
    x, y = t.tensor(1.0), t.tensor(1.0)
    assert hash(x) == id(x)
    assert len({x: 1, y: 2}) == 2
    assert 2 in t.tensor([1, 2])
    assert 3 not in t.tensor([1, 2])
    assert [v.item() for v in t.tensor([1, 2])] == [1, 2]
