"""Every file of the corpus is refused: in one line, at once, in little memory, and nothing in it is run."""

import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hostile import CANARY, CASES

from tinyvision.errors import WeightsError
from tinyvision.weights import load

ROOT = str(Path(__file__).parents[2])
LARGE = 500_000  # bytes; above, a process of its own tells time and memory better than tracemalloc does
MEMORY = 64 << 20


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
    message, seconds, peak = (_refuse_apart if len(data) > LARGE else _refuse)(path)
    assert "hostile.pth" in message
    assert len(message) <= 300
    assert message.isascii()
    assert message.isprintable()
    assert seconds < 5
    assert peak < MEMORY + 6 * len(data)
    assert os.listdir(tmp_path) == ["hostile.pth"]


def _refuse(path):
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(WeightsError) as error:
        load(path)
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return str(error.value), seconds, peak


ALONE = """
import resource, sys, time
from tinyvision.errors import WeightsError
from tinyvision.weights import load
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
idle, start = peak(), time.perf_counter()
try:
    load(sys.argv[1])
except WeightsError as error:
    print(error, time.perf_counter() - start, peak() - idle, sep="\\n")
"""


def _refuse_apart(path):
    command = [sys.executable, "-c", ALONE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": ROOT})
    assert done.returncode == 0, done.stderr
    message, seconds, peak = done.stdout.splitlines()
    return message, float(seconds), int(peak)
