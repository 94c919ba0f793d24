"""Everything in this folder needs a GPU that works: `pytest -m gpu`. Elsewhere it is skipped, with the reason."""

import pytest

from tinyvision.device import cuda_problem, free_memory, require_cuda


def pytest_collection_modifyitems(items):
    """Mark the whole folder."""
    for item in items:
        if "tests/gpu/" in str(item.path).replace("\\", "/"):
            item.add_marker(pytest.mark.gpu)


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
