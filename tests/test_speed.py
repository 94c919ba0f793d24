"""What only changes speed in PyTorch is accepted; what would change a result is refused by name."""

import numpy as np
import pytest

import tinyvision as torch
from tinyvision import nn
from tinyvision.errors import OptionError


def test_switches_of_backends():
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = True
    assert torch.backends.cudnn.benchmark is True
    assert torch.backends.cudnn.version() is None
    assert torch.backends.mps.is_available() is False
    with pytest.raises(AttributeError, match="did you mean benchmark"):
        torch.backends.cudnn.benchmrk = True
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = False
    torch.backends.cuda.matmul.allow_tf32 = False


def test_compiling_and_precision():
    model = nn.Linear(2, 2)
    assert torch.compile(model) is model
    assert torch.compile(mode="max-autotune")(abs) is abs
    torch.set_float32_matmul_precision("high")
    torch.use_deterministic_algorithms(True, warn_only=True)
    with pytest.raises(OptionError):
        torch.set_float32_matmul_precision("low")


def test_accelerator():
    assert torch.accelerator.is_available() == torch.cuda.is_available()
    device = torch.accelerator.current_accelerator()
    assert (device is None) == (not torch.cuda.is_available())
    torch.cuda.empty_cache()


def test_one_device_at_a_time():
    inner = nn.Linear(3, 2)
    model = nn.DataParallel(inner)
    x = torch.ones(4, 3)
    np.testing.assert_array_equal(model(x).detach().numpy(), inner(x).detach().numpy())
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert model.module is inner
    with pytest.raises(OptionError, match="one device"):
        nn.DataParallel(inner, device_ids=[0, 1])


def test_what_a_compiler_is_told_leaves_functions_as_they_are():
    def double(x):
        return 2 * x

    jit = torch.jit
    for mark in (jit.unused, jit.export, jit.script, jit.script_method, jit.ignore, jit.ignore(drop=True)):
        assert mark(double) is double
    model = torch.nn.Linear(2, 3)
    assert jit.script(model) is model
    assert not torch.jit.is_scripting()
    assert not torch.jit.is_tracing()
    assert torch.jit.annotate(list[int], [3]) == [3]


def test_missing_names_are_explained():
    with pytest.raises(AttributeError, match=r"torch.jit has no trace here: models are not compiled"):
        _ = torch.jit.trace
    with pytest.raises(AttributeError, match="did you mean tensor"):
        _ = torch.tensr
