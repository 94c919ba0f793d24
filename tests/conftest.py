"""What all tests share: quick Hypothesis settings, and a fresh random stream for every test."""

import os
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import benchmarks
import tinyvision

# Importing `benchmarks` takes the variable away. NumPy has read it in this process, and the processes that tests start
# must get the same kernel: some compare every bit of what they learn.
if benchmarks.CORETYPE_FOUND is not None:
    os.environ["OPENBLAS_CORETYPE"] = benchmarks.CORETYPE_FOUND

# Training commands that tests start are not to compile loops beside themselves.
os.environ["TINYVISION_COMPILE"] = "off"

settings.register_profile("quick", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")


@pytest.fixture
def rng():
    """A generator of its own for each test, the same in every run."""
    return np.random.default_rng(20240607)


THREADS = tinyvision.get_num_threads()


@pytest.fixture(autouse=True)
def _same_start():
    tinyvision.manual_seed(0)
    _as_many_threads()  # a module's fixture, which comes before this one, may have changed them
    yield
    _as_many_threads()


def _as_many_threads():
    if tinyvision.get_num_threads() != THREADS:
        tinyvision.set_num_threads(THREADS)


@pytest.fixture
def loops_as_here(monkeypatch, tmp_path):
    """Processes that a test starts have compiled loops only if this one has them, and not because another test has made
    some meanwhile: they round differently."""
    from tinyvision.kernels.cpu.compiled import ready

    if not ready():
        monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "home"))


def pytest_addoption(parser):
    """How long the tests on a GPU may take, which is somebody's to lend."""
    text = "of `pytest -m gpu`: what has not begun after so many is skipped; the most telling tests come first"
    parser.addoption("--minutes", type=float, default=None, metavar="N", help=text)


def pytest_configure(config):
    """Some tests press Ctrl-C, or close a terminal, which a program in the background ignores, and its children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
