"""How many functions of ours a call of an op goes through: what a small op costs, which is mostly this.

Comprehensions are not counted, for newer Pythons do not call them. A number may always be lowered; to raise one, say
why.
"""

import os
import sys
import weakref
from collections import Counter

import counting_gpu
import numpy as np
import pytest
from kernels.test_counts import prepared

import tinyvision as tv
from tinyvision import kernels, nn, walks
from tinyvision.device import precision_of

MOST = {
    "add": 14,
    "add, recorded": 17,
    "relu": 24,
    "linear": 25,
    "conv2d": 72,
    "batch_norm": 105,
    "cross_entropy": 45,
    "step": 123,
}
MOST_ON_A_GPU = {
    ("SimpleCNN", "training"): 758,  # for each launch, some 20 of them
    ("ResNet-18", "training"): 4878,
    ("SimpleCNN", "inference"): 296,
    ("ResNet-18", "inference"): 1315,
}


PACKAGE = os.path.join(os.path.dirname(tv.__file__), "")


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch):
    """Leaves with hooks that other tests have left alive are counted in every walk."""
    monkeypatch.setattr(walks, "_awaited", weakref.WeakValueDictionary())


def calls(function):
    """{(file, name): how often} of the package's functions in a call, once all that is remembered has been seen."""
    seen = Counter()

    def tracer(frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            seen[code.co_filename.removeprefix(PACKAGE), code.co_name] += 1

    function(), function()
    sys.setprofile(tracer)
    try:
        function()
    finally:
        sys.setprofile(None)
    return seen


def cases():
    a, p = tv.randn(4, 8), tv.randn(4, 8, requires_grad=True)
    x, logits = tv.randn(2, 3, 8, 8, requires_grad=True), tv.randn(4, 5, requires_grad=True)
    conv, norm, linear, loss = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(3), nn.Linear(8, 5), nn.CrossEntropyLoss()
    y = tv.tensor(np.arange(4))
    return {
        "add": lambda: a + a,
        "add, recorded": lambda: p + a,
        "relu": lambda: p.relu(),
        "linear": lambda: linear(p),
        "conv2d": lambda: conv(x),
        "batch_norm": lambda: norm(x),
        "cross_entropy": lambda: loss(logits, y),
        "step": lambda: loss(linear(p), y).backward(),
    }


@pytest.mark.parametrize("name", MOST)
def test_no_number_has_grown(name):
    with kernels.only():
        seen = calls(cases()[name])
    print(name, sum(seen.values()))
    assert sum(seen.values()) <= MOST[name], seen.most_common()


@pytest.mark.parametrize(("name", "what"), MOST_ON_A_GPU)
def test_no_step_on_a_gpu_has_grown(name, what, monkeypatch):
    monkeypatch.setattr(precision_of, "cuda", "tf32")
    with counting_gpu.counting():
        seen = calls(prepared(name, what))
    print(name, what, sum(seen.values()))
    assert sum(seen.values()) <= MOST_ON_A_GPU[name, what], seen.most_common()
