"""A machine whose only GPU is `strict.StrictArray`: all of the engine runs with device="cuda", without a GPU.

What NumPy would forgive and CuPy would not raises here. The drop-ins are switched off, since they launch real kernels;
`pytest -p pretended_gpu tests/gpu` runs the tests that are meant for a real GPU, as far as they need none of its own.
"""

import sys
import types
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from strict import StrictArray

from tinyvision import kernels
from tinyvision.arrays import is_type_of_cupys

device = sys.modules["tinyvision.device"]


class _Stream:
    ptr = 0

    def __init__(self, non_blocking=False):
        pass

    def record(self):
        return self

    def wait_event(self, event):
        pass

    def synchronize(self):
        pass

    def is_capturing(self):
        return False


class _Device:
    def __init__(self, index):
        assert index == 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def synchronize(self):
        pass


class OutOfMemoryError(MemoryError):
    """Named as CuPy's."""


def _set(array, numbers, stream=None):
    assert (array.shape, array.dtype) == (numbers.shape, numbers.dtype)
    array._hidden[...] = numbers


def _cupy():
    cupy = types.ModuleType("cupy")
    cupy.asarray, cupy.exp = StrictArray, np.exp
    cupy.empty = lambda shape, dtype: StrictArray(np.empty(shape, dtype))
    pool = types.SimpleNamespace(free_all_blocks=lambda: None)
    cupy.get_default_memory_pool = cupy.get_default_pinned_memory_pool = lambda: pool
    cupy.cuda = types.SimpleNamespace(
        Device=_Device, Stream=_Stream, get_current_stream=_Stream, alloc_pinned_memory=bytearray
    )
    return cupy


@contextmanager
def _asked_anew():
    """Whose a type is, the engine remembers; and StrictArray is CuPy's for a while only."""
    is_type_of_cupys.cache_clear()
    try:
        yield
    finally:
        is_type_of_cupys.cache_clear()


@contextmanager
def pretending():
    """The stand-in for the cupy module, and a device module that has found it to work."""
    with (
        patch.dict(sys.modules, cupy=_cupy()),
        patch.dict(device._checked, {0: True}),
        patch.object(StrictArray, "__module__", "cupy"),
        _asked_anew(),
        patch.object(StrictArray, "device", types.SimpleNamespace(id=0), create=True),
        patch.object(StrictArray, "set", _set, create=True),
        kernels.only(),
    ):
        yield sys.modules["cupy"]


@pytest.fixture
def pretended_gpu():
    """The pretence, for one test."""
    with pretending() as cupy:
        yield cupy


def pytest_configure(config):
    """The pretence for a whole run, where this file is a plugin."""
    stack = ExitStack()
    stack.enter_context(pretending())
    config.add_cleanup(stack.close)
