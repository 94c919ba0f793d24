"""The emulated GPU and the compiled loops, for every test in this folder."""

import numpy as np
import pytest

from tinyvision.kernels.cpu import compiled
from tinyvision.kernels.emulator import problem

from .ahead import AHEAD, in_a_process, needs_numba
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


@pytest.fixture(scope="session")
def compiled_home(tmp_path_factory):
    """A TINYVISION_HOME of this run with every loop compiled, in a process of its own."""
    home = tmp_path_factory.mktemp("compiled") / "home"
    assert in_a_process(AHEAD, TINYVISION_HOME=str(home)) == ["False", "True"]
    return home


@pytest.fixture(scope="session")
def machine_code(compiled_home):
    """Every loop as machine code, from disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYVISION_HOME", str(compiled_home))
        loops = [one for _, one in compiled._loops()]
        with compiled._kept_in(compiled.folder()):
            machines = [(one, compiled._machine(one)) for one in loops]
            return [(one, machine, compiled._shared(one, machine)) for one, machine in machines]


@pytest.fixture(params=["python", pytest.param("compiled", marks=needs_numba)])
def loops(request, monkeypatch):
    """The loops as plain Python, and as machine code."""
    if request.param == "compiled":
        for one, machine, shared in request.getfixturevalue("machine_code"):
            monkeypatch.setattr(one, "run", machine)
            monkeypatch.setattr(one, "shared", shared)
    else:
        for _, one in compiled._loops():
            monkeypatch.setattr(one, "run", one.function)
            monkeypatch.setattr(one, "shared", None)
