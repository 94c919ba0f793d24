"""The emulated GPU, for every test in this folder."""

import numpy as np
import pytest

from tinyvision.kernels.emulator import problem

from .emulator import Emulation


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Where the built texts are kept for the length of a test run."""
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def emulate(monkeypatch, built):
    """emulate(change=None, order=0): put the emulator in the GPU's place."""
    if problem() is not None:
        pytest.skip(problem())
    return lambda **options: Emulation(monkeypatch, built, **options)


@pytest.fixture
def emulation(emulate):
    """The emulator, with the texts as they are."""
    return emulate()


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)
