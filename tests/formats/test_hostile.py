"""Every file of the corpus is refused: in one line, at once, in little memory, and nothing in it is run."""

import gc
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from tinyvision.errors import WeightsError
from tinyvision.weights import load_arrays as load

from .hostile import CANARY, CASES

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
    assert seconds < 5  # of this process: the machine may have other things to do
    assert peak < MEMORY + 6 * len(data)
    assert os.listdir(tmp_path) == ["hostile.pth"]


def _refuse(path):
    tracemalloc.start()
    gc.disable()  # which would walk over all that the tests before have left
    start = time.process_time()
    with pytest.raises(WeightsError) as error:
        load(path)
    seconds = time.process_time() - start
    gc.enable()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return str(error.value), seconds, peak


ALONE = """
import sys, time
from tinyvision.errors import WeightsError
from tinyvision.weights import load_arrays as load
def peak():
    # Not getrusage: its peak is handed down from the process that started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
idle, start = peak(), time.process_time()
try:
    load(sys.argv[1])
except WeightsError as error:
    print(error, time.process_time() - start, peak() - idle, sep="\\n")
"""


def _refuse_apart(path):
    command = [sys.executable, "-c", ALONE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | {"PYTHONPATH": ROOT})
    assert done.returncode == 0, done.stderr
    message, seconds, peak = done.stdout.splitlines()
    return message, float(seconds), int(peak)
