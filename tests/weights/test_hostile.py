"""Every file of the corpus is refused: in one line, at once, in little memory, and without running anything."""

import os
import time
import tracemalloc

import pytest
from hostile import CANARY, CASES

from tinyvision.errors import WeightsError
from tinyvision.weights import load


def test_the_corpus_is_large():
    assert len(CASES) >= 150


@pytest.fixture(autouse=True)
def no_canary():
    if os.path.exists(CANARY):
        os.unlink(CANARY)
    yield
    assert not os.path.exists(CANARY)


@pytest.mark.parametrize("label", CASES)
def test_refused(tmp_path, label):
    data = CASES[label]()
    path = tmp_path / "hostile.pth"
    path.write_bytes(data)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(WeightsError) as error:
        load(path)
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(error.value)
    assert "hostile.pth" in message
    assert len(message) <= 300
    assert message.isascii()
    assert message.isprintable()
    # tracemalloc slows the interpreter down about threefold; the aim is 5 s without it.
    assert seconds < 15
    assert peak < (64 << 20) + 6 * len(data)
    assert os.listdir(tmp_path) == ["hostile.pth"]
