"""Options by the names under which PyTorch has them."""

import numpy as np
import pytest
import torch

import tinyvision as tv
from tinyvision.errors import DeviceError

CALLS = [
    lambda t, x: x.clone(memory_format=t.preserve_format),
    lambda t, x: x.detach().numpy(force=True),
    lambda t, x: x.numpy(force=True),
    lambda t, x: x.to("cpu", copy=True),
    lambda t, x: x.to(t.float64, non_blocking=True, copy=True),
    lambda t, x: x.expand(size=(2, 2, 3)),
    lambda t, x: t.reshape(input=x, shape=(3, 2)),
    lambda t, x: t.tril_indices(3, 4, -1, dtype=t.int32, device="cpu"),
    lambda t, x: t.triu_indices(row=3, col=4, offset=1, dtype=t.int64),
]


@pytest.mark.parametrize("call", CALLS)
def test_the_names_of_options_are_pytorchs(call, rng):
    numbers = rng.standard_normal((2, 3)).astype(np.float32)
    ours, theirs = tv.tensor(numbers, requires_grad=True), torch.tensor(numbers, requires_grad=True)
    found, wanted = call(tv, ours), call(torch, theirs)
    assert str(found.dtype).rpartition(".")[2] == str(wanted.dtype).rpartition(".")[2]
    np.testing.assert_array_equal(
        np.asarray(found.detach() if hasattr(found, "detach") else found),
        np.asarray(wanted.detach() if hasattr(wanted, "detach") else wanted),
    )


@pytest.mark.parametrize("kind", ["float", "double", "half", "long", "int", "short", "byte", "char", "bool"])
@pytest.mark.parametrize("order", ["channels_last", "contiguous_format", "preserve_format"])
def test_kinds_of_numbers_take_an_order_in_memory(kind, order):
    sides = []
    for t in (tv, torch):
        x = t.arange(24.0).reshape(1, 2, 3, 4)
        y = getattr(x, kind)(memory_format=getattr(t, order))
        sides.append((y.tolist(), y.stride(), str(y.dtype).rpartition(".")[2]))
    assert sides[0] == sides[1]


def test_a_forced_copy_is_never_itself():
    x = tv.ones(2)
    assert x.to("cpu") is x
    assert x.to("cpu", copy=True) is not x
    y = x.to("cpu", copy=True)
    y[0] = 5
    assert x[0] == 1
    assert x.double().to(tv.float64, copy=True).dtype == np.float64


def test_the_options_of_a_backward_may_come_by_place():
    x = tv.ones(2, requires_grad=True)
    x.sum().backward(None, True, False)
    x.sum().backward(None, True, False, [x])
    assert x.grad.tolist() == [2, 2]


def test_options_of_saving_that_change_nothing(tmp_path):
    path = tmp_path / "a.pt"
    tv.save({"a": tv.ones(2)}, path, pickle_protocol=4, _use_new_zipfile_serialization=False)
    assert torch.load(path)["a"].tolist() == tv.load(path)["a"].tolist() == [1, 1]


def test_no_dtype_means_the_usual_one_and_not_float64():
    assert tv.tril_indices(2, 2, dtype=None).dtype == np.int64
    assert tv.triu_indices(2, 2, dtype=None).dtype == np.int64


def test_the_cpu_is_the_default_device_and_no_other_can_be():
    with tv.device("cpu") as where:
        assert tv.ones(1).device == where
    with pytest.raises(DeviceError, match="device="), tv.device("cuda"):
        pass
