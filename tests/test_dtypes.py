"""`x.dtype` is what scripts take it for, PyTorch's `torch.float32`, and what NumPy takes for its own."""

import copy
import pickle

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import DtypeError, OptionError

torch = pytest.importorskip("torch")

NAMES = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "bfloat16",
]  # fmt: skip
ASKED = ["is_floating_point", "is_complex", "is_signed", "itemsize"]


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_pytorchs(name):
    ours, theirs = getattr(tv, name), getattr(torch, name)
    assert (str(ours), repr(ours), f"{ours}") == (str(theirs), repr(theirs), f"{theirs}")
    assert [getattr(ours, asked) for asked in ASKED] == [getattr(theirs, asked) for asked in ASKED]
    assert isinstance(ours, tv.dtype)
    assert [ours == getattr(tv, other) for other in NAMES] == [theirs == getattr(torch, other) for other in NAMES]
    for twin in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert twin is ours


@pytest.mark.parametrize("name", NAMES[:-1])
def test_numpys_dtype_and_ours_are_equal_and_stand_for_each_other(name):
    ours, numpys = getattr(tv, name), np.dtype(name)
    x = tv.zeros(2, dtype=numpys)
    assert x.dtype is ours is tv.dtype(numpys) is tv.dtype(name) is tv.dtype(ours)
    assert ours == numpys
    assert numpys == ours
    assert numpys.type == ours
    assert ours == name
    assert x.numpy().dtype == x.dtype
    assert {ours: 7}[numpys] == {numpys: 7}[ours] == 7
    assert np.dtype(ours) is ours.dtype is ours.__numpy_dtype__ is numpys
    for made in (
        np.zeros(2, ours),
        np.ones(2).astype(ours),
        np.empty_like(np.ones(2), dtype=ours),
        np.asarray([1], ours),
    ):
        assert made.dtype == numpys
    assert np.result_type(ours, np.int8) == np.result_type(numpys, np.int8)
    assert tv.ones(2).to(ours).dtype is tv.ones(2).to(x).dtype is ours


def test_what_it_is_not():
    for other in (None, 3, "no dtype", object(), [], tv.bfloat16):
        assert tv.float64 != other
    with pytest.raises(DtypeError, match=r'bfloat16.*precision\("bf16"\)'):
        np.zeros(2, tv.bfloat16)
    swapped = tv.dtype(np.dtype(np.float32).newbyteorder())  # as an array may be that somebody puts on the tape
    assert swapped != tv.float32
    assert pickle.loads(pickle.dumps(swapped)) is swapped


def test_what_asks_for_a_dtype_gives_this_one():
    x = tv.ones(2)
    found = [tv.get_default_dtype(), tv.promote_types(tv.int8, np.float16), tv.result_type(x, 1.0)]
    assert [str(d) for d in found] == ["torch.float32", "torch.float16", "torch.float32"]
    assert tv.finfo(x.dtype).eps == torch.finfo(torch.float32).eps
    assert tv.float is tv.float32
    assert tv.long is tv.int64


def test_it_goes_to_pytorchs_files_and_back(tmp_path):
    kinds = {name: getattr(tv, name) for name in NAMES}
    tv.save(kinds, tmp_path / "kinds.pt")
    assert torch.load(tmp_path / "kinds.pt") == {name: getattr(torch, name) for name in NAMES}
    assert tv.load(tmp_path / "kinds.pt") == kinds


def test_an_average_of_weights_as_scripts_keep_it():
    """The loop of exponential moving averages, which asks every tensor of a state whether it holds floats."""
    model, average = (t.nn.Sequential(t.nn.Linear(2, 2), t.nn.BatchNorm1d(2)) for t in (tv, tv))
    for name, value in average.state_dict().items():
        if value.dtype.is_floating_point:
            value *= 0.5
            value += (1 - 0.5) * model.state_dict()[name]
    kinds = {name: value.dtype.is_floating_point for name, value in average.state_dict().items()}
    assert not kinds.pop("1.num_batches_tracked")
    assert all(kinds.values())


@pytest.mark.parametrize("name", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("x", [[[1, 2, 0], [90, 3, 7]], [[-1.5, 2.0, 3.0], [60.0, 0.0, 5.0]], [[True, False, True]]])
def test_sums_and_products_are_in_the_dtype_that_is_asked_for(name, x):
    for made in (
        lambda t, a, d: a.sum(dtype=d),
        lambda t, a, d: t.sum(a, 1, keepdim=True, dtype=d),
        lambda t, a, d: a.prod(dtype=d),
        lambda t, a, d: t.prod(a, 0, dtype=d),
        *([] if name == "bool" else [lambda t, a, d: t.cumsum(a, 1, dtype=d), lambda t, a, d: a.cumprod(0, dtype=d)]),
        lambda t, a, d: t.nansum(a, 1, dtype=d),
    ):
        ours, theirs = (made(t, t.tensor(x), getattr(t, name)) for t in (tv, torch))
        assert str(ours.dtype) == str(theirs.dtype)
        assert ours.tolist() == theirs.tolist()


STEPS = [
    (5,), (2.5,), (0, 5, 1.5), (0.5, 4.0, 1.0), (0.0, -8.000001, -4.0), (5, 0, -1.5), (1.9, 7.2, 2), (3.9, 4.1, 1),
    (0, 0.5, 1), (-2.5, 2.5, 1.0),
]  # fmt: skip


@pytest.mark.parametrize("limits", STEPS)
def test_counting_in_whole_numbers_cuts_as_pytorch_does(limits):
    for name in ("int64", "int32", "uint8", "float64"):
        if name != "uint8" or min(limits) >= 0:
            ours, theirs = (t.arange(*limits, dtype=getattr(t, name)).tolist() for t in (tv, torch))
            assert ours == theirs, name
    with pytest.raises(OptionError, match=r"in int64 a step of 0.25 is none"):
        tv.arange(0, 1, 0.25, dtype=tv.int64)


def test_truth_values_are_close_where_they_are_equal():
    a, b = [True, False, True], [True, True, True]
    for t in (tv, torch):
        assert t.isclose(t.tensor(a), t.tensor(b)).tolist() == [True, False, True]
        assert t.allclose(t.tensor(a), t.tensor(a))
        assert not t.allclose(t.tensor(a), t.tensor(b))
