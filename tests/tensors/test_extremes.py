"""Extremes so far, the most frequent number, covariances, and how pairs of results print: PyTorch's."""

import pickle

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import OptionError, ShapeError

torch = pytest.importorskip("torch")

SHAPES = [(7,), (3, 5), (2, 3, 4), ()]


@pytest.mark.parametrize("kind", ["float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["cummax", "cummin", "mode"])
def test_pairs(name, shape, kind):
    rng = np.random.default_rng(3)
    array = rng.integers(0, 4, shape).astype(kind)
    if kind == "float32" and shape == (3, 5) and name != "mode":
        array[1, 2] = np.nan
    for axis in range(-max(len(shape), 1), max(len(shape), 1)):
        for options in ({}, {"keepdim": True}) if name == "mode" else ({},):
            theirs = getattr(torch, name)(torch.tensor(array), axis, **options)
            ours = getattr(tv.tensor(array), name)(axis, **options)
            np.testing.assert_array_equal(ours.values.numpy(), theirs.values.numpy(), strict=True)
            np.testing.assert_array_equal(ours.indices.numpy(), theirs.indices.numpy(), strict=True)
            assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("line", [[1, np.nan, np.nan], [np.nan, np.nan], [np.nan, 1, 1], [2, np.nan, 1], [np.nan]])
def test_every_nan_is_a_number_of_its_own(line):
    ours, theirs = tv.tensor([line, line]).mode(), torch.tensor([line, line]).mode()
    np.testing.assert_array_equal(ours.values.numpy(), theirs.values.numpy())
    np.testing.assert_array_equal(ours.indices.numpy(), theirs.indices.numpy())


def test_the_most_frequent_of_no_lines():
    for shape, axis in (((0, 3), -1), ((3, 0), 0), ((0, 2, 4), 1)):
        for options in ({}, {"keepdim": True}):
            ours, theirs = tv.zeros(*shape).mode(axis, **options), torch.zeros(*shape).mode(axis, **options)
            assert tuple(ours.values.shape) == tuple(ours.indices.shape) == tuple(theirs.values.shape)


@pytest.mark.parametrize("name", ["cummax", "cummin", "mode"])
def test_their_gradients_go_to_the_numbers_that_were_taken(name):
    rng = np.random.default_rng(5)
    array, results = rng.integers(-3, 3, (4, 6)).astype(np.float64), []
    dy = rng.standard_normal((4,) if name == "mode" else (4, 6))
    for t in (torch, tv):
        x = t.tensor(array, requires_grad=True)
        getattr(t, name)(x, 1).values.backward(t.tensor(dy))
        results.append(x.grad.numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-14)


def test_pairs_bear_the_name_of_what_found_them():
    x = [[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]
    theirs, ours = torch.tensor(x), tv.tensor(x)
    for call in (
        lambda t: t.max(1), lambda t: t.min(0, keepdim=True), lambda t: t.sort(1), lambda t: t.topk(2, 1),
        lambda t: t.median(1), lambda t: t.kthvalue(2, 1), lambda t: t.aminmax(),
    ):  # fmt: skip
        assert repr(call(ours)) == repr(call(theirs))
    kept = pickle.loads(pickle.dumps(ours.max(1)))
    assert repr(kept) == repr(ours.max(1))
    values, indices = kept
    assert kept[0] is values is kept.values
    assert kept.indices is indices


@pytest.mark.parametrize("options", [
    {}, {"correction": 0}, {"fweights": [1, 2, 1, 3]}, {"aweights": [0.5, 1.0, 2.0, 0.1]},
    {"fweights": [1, 2, 1, 3], "aweights": [0.5, 1.0, 2.0, 0.1], "correction": 2},
], ids=str)  # fmt: skip
def test_covariances(options):
    rng, results = np.random.default_rng(1), []
    array, dy = rng.standard_normal((3, 4)), rng.standard_normal((3, 3))
    for t in (torch, tv):
        x = t.tensor(array, requires_grad=True)
        given = {k: t.tensor(np.array(v)) if isinstance(v, list) else v for k, v in options.items()}
        y = t.cov(x, **given)
        y.backward(t.tensor(dy))
        results.append((y.detach().numpy(), x.grad.numpy(), t.corrcoef(x).detach().numpy()))
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def test_covariances_of_one_row_and_of_whole_numbers():
    for x in ([1.0, 2.0, 4.0], [[1, 2], [3, 5]], [[1, 2, 4]]):
        for name in ("cov", "corrcoef"):
            ours, theirs = getattr(tv, name)(tv.tensor(x)).numpy(), getattr(torch, name)(torch.tensor(x)).numpy()
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    with pytest.raises(ShapeError, match=r"\(D, N\) or \(N,\)"):
        tv.cov(tv.zeros(2, 2, 2))
    with pytest.raises(ShapeError, match="one for each of 2 observations"):
        tv.cov(tv.zeros(2, 2), fweights=tv.ones(3))
    for wrong in ({"fweights": [1, -1]}, {"fweights": [1.0, 2.0]}, {"aweights": [0.5, -1.0]}):
        with pytest.raises(OptionError, match="0 or more"):
            tv.cov(tv.zeros(2, 2), **wrong)
    with pytest.raises(ShapeError, match="nothing along axis"):
        tv.zeros(2, 0).mode()
    for x in (tv.tensor(3.0), tv.zeros(2)):
        with pytest.raises(ShapeError, match="axis 1 does not exist"):
            x.mode(1)


def test_kinds_of_tensors_on_a_gpu_can_be_asked_for():
    assert not isinstance(tv.ones(2), (tv.cuda.FloatTensor, tv.cuda.LongTensor))
    assert "cuda.FloatTensor" in repr(tv.cuda.FloatTensor)
    with pytest.raises(AttributeError, match="a loop"):
        tv._foreach_add  # noqa: B018
