"""Devices: names, moving nests of arrays, and precision. What a missing GPU says is in test_device_availability.py."""

import numpy as np
import pytest
from strict import StrictArray

import tinyvision as tv
from tinyvision.device import CPU, Device, device, device_of, get_precision, precision, to_device, to_numpy
from tinyvision.errors import DeviceError, OptionError


def test_names():
    assert device("cpu") is CPU
    assert device("cuda") == device("cuda:0") == Device("cuda", 0)
    assert device("cuda:2").index == 2
    assert device(CPU) is CPU
    assert str(device("cuda")) == "cuda:0"
    assert str(CPU) == "cpu"
    assert repr(CPU) == "device(type='cpu')"
    assert device("cpu") != device("cuda")
    assert len({device("cuda"), device("cuda:0"), CPU}) == 2
    for wrong in ("gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "", None, True, -1, 1.5):
        with pytest.raises(DeviceError, match='expected "cpu", "cuda", "cuda:N" or the number of a GPU'):
            device(wrong)


@pytest.mark.parametrize("name", ["mps", "mps:0", "xpu", "xla", "meta"])
@pytest.mark.parametrize(
    "target", [tv.tensor([1.0, 2.0]), tv.nn.Linear(2, 2)], ids=lambda target: type(target).__name__
)
def test_a_device_of_pytorchs_that_is_not_here_is_no_misspelt_dtype(target, name):
    with pytest.raises(DeviceError, match=f'expected "cpu", "cuda", .* got {name!r}'):
        target.to(name)


def test_where_an_array_lives():
    assert device_of(np.zeros(3)) == device_of(np.float32(1)) == CPU
    assert device_of(StrictArray(np.zeros(3))).type == "StrictArray"


def test_moving_a_nest_to_the_cpu():
    there = StrictArray(np.arange(3))
    here = np.ones(2)
    tree = {"a": [there, here], "b": (there, "word", None, 3)}
    moved = to_device(tree, "cpu")
    assert moved["a"][1] is here, "what is there already stays"
    for array in (moved["a"][0], moved["b"][0]):
        assert isinstance(array, np.ndarray)
        assert array.tolist() == [0, 1, 2]
    assert moved["b"][1:] == ("word", None, 3)


def test_to_numpy():
    assert to_numpy(StrictArray(np.arange(3))).tolist() == [0, 1, 2]
    assert to_numpy(tv.tensor([1.0], requires_grad=True)).tolist() == [1]
    assert to_numpy([1, 2]).tolist() == [1, 2]


def test_precision_is_put_back():
    assert get_precision() == "ieee"
    with precision("tf32"):
        assert get_precision() == "tf32"
    assert get_precision() == "ieee"
    with pytest.raises(ZeroDivisionError), precision("tf32"):
        raise ZeroDivisionError
    assert get_precision() == "ieee"
    for wrong in ("half", None, "IEEE"):
        with pytest.raises(OptionError, match='expected "ieee", "tf32", "bf16" or "fp16"'), precision(wrong):
            pass


def test_waiting_for_the_cpu_is_no_work():
    tv.synchronize("cpu")
