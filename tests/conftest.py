"""What all tests share: quick Hypothesis settings, and a fresh random stream for every test."""

import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import tinyvision

settings.register_profile("quick", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")


@pytest.fixture
def rng():
    """A generator of its own for each test, the same in every run."""
    return np.random.default_rng(20240607)


@pytest.fixture(autouse=True)
def _same_start():
    tinyvision.manual_seed(0)
    threads = tinyvision.get_num_threads()
    yield
    if tinyvision.get_num_threads() != threads:
        tinyvision.set_num_threads(threads)


def pytest_configure(config):
    """Some tests press Ctrl-C, which a program started in the background by a shell ignores, and its children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
