"""Everything in this folder needs a GPU that works: `pytest -m gpu`. Elsewhere it is skipped, with the reason.

The most telling tests come first (`URGENT`), so that a run that is bounded, `pytest -m gpu --minutes 6`, or cut off,
has said the most by then."""

import time

import pytest

from tinyvision.device import cuda_problem, free_memory, require_cuda

# By what a test's id holds: what a user does with a GPU; the kernels, on layers of real networks and then op by op; the
# readable bodies there; what checks gradients; and the same in float64, which no kernel takes.
URGENT = (
    "test_training_on_gpu", "of_a_real_network", "two_devices", "-kernels-float32]", "-plain-float32]",
    "test_checking_on_gpu", "-kernels-float64]", "",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Mark the whole folder, and put the most telling first."""
    places = [i for i, item in enumerate(items) if "tests/gpu/" in str(item.path).replace("\\", "/")]
    for place, item in zip(places, sorted((items[i] for i in places), key=urgency), strict=True):
        item.add_marker(pytest.mark.gpu)
        items[place] = item


def urgency(item):
    """The place of a test in URGENT."""
    return next(i for i, part in enumerate(URGENT) if part in item.nodeid)


@pytest.fixture(scope="session")
def last_start(request):
    """The moment of the monotonic clock after which no test begins, or None."""
    minutes = request.config.getoption("--minutes")
    return None if minutes is None else time.monotonic() + 60 * minutes


@pytest.fixture(autouse=True)
def _in_time(last_start):
    if last_start is not None and time.monotonic() > last_start:
        pytest.skip("no time was left for it (--minutes)")


@pytest.fixture(scope="session")
def working_gpu():
    """The cupy module, or a skip that says what is missing."""
    problem = cuda_problem()
    if problem:
        pytest.skip(problem)
    return require_cuda()


@pytest.fixture(autouse=True)
def cupy(working_gpu):
    """The cupy module; what a test leaves in CuPy's pool is given back."""
    yield working_gpu
    free_memory()
