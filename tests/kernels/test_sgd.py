"""One launch of SGD for many parameters against `optim.SGD`, which updates them one by one."""

import numpy as np
import pytest

from tinyvision import kernels, optim
from tinyvision.kernels import launch, sgd
from tinyvision.tensors.tensor import Tensor

SHAPES = [(3, 5), (1,), (4000,), (2, 3, 3, 3), (2048,), (17,)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
        {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.01},
        {"momentum": 0.9, "maximize": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [6, 200])
def test_three_steps(emulation, rng, options, count):
    shapes = (SHAPES * 40)[:count]
    start = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    ours, simple = [emulation.array(a) for a in start], [emulation.array(a) for a in start]
    velocities, others = (
        [emulation.empty(a, a.shape) if options.get("momentum") else None for a in start] for _ in range(2)
    )
    theirs = [Tensor.of(a.copy(), requires_grad=True) for a in start]
    optimizer = optim.SGD(theirs, lr=0.1, **options)
    for step in range(3):
        gradients = [rng.standard_normal(s).astype(np.float32) for s in shapes]
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = Tensor.of(g.copy())
        optimizer.step()
        gradients = [emulation.array(g) for g in gradients]
        sgd.step(ours, gradients, velocities, optimizer.param_groups[0], first=step == 0)
        rule = sgd.rule(optimizer.param_groups[0], first=step == 0)
        for w, g, v in zip(simple[:6], gradients, others, strict=False):
            launch.launch("sgd", "sgd_simple", launch.blocks(w.size), w, g, v, np.int32(w.size), rule)
    for got, one in zip(ours, simple[:6], strict=False):
        assert np.array_equal(got, one)
    for got, right in zip(ours, theirs, strict=True):
        # The same operations in the same order; the compiler may fuse a product and a sum, which saves one rounding.
        assert np.allclose(got, right.array, rtol=1e-5, atol=1e-6)


def test_memory_order(rng):
    a = np.zeros((2, 3, 4, 5), np.float32)
    assert sgd.packed(a)
    assert sgd.packed(a.transpose(0, 3, 1, 2))
    assert not sgd.packed(a[:, ::2])


def test_arrays_on_the_cpu_are_left_to_the_readable_step():
    a = np.zeros(3, np.float32)
    assert "sgd" in kernels.names()
    assert not sgd.applies([a], [a])


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_the_optimizer_launches_once_and_does_the_same(emulation, rng, monkeypatch, momentum):
    start = [rng.standard_normal(s).astype(np.float32) for s in SHAPES]
    gradients = [[rng.standard_normal(s).astype(np.float32) for s in SHAPES] for _ in range(3)]
    results = []
    for on_gpu in (False, True):
        monkeypatch.setattr(optim.sgd.blocks, "on_cpu", lambda array, on_gpu=on_gpu: not on_gpu)
        monkeypatch.setattr(sgd, "on_gpu_in_float32", lambda arrays, on_gpu=on_gpu: on_gpu)
        parameters = [Tensor.of(emulation.array(a), requires_grad=True) for a in start]
        optimizer = optim.SGD(parameters, lr=0.1, momentum=momentum, weight_decay=0.01)
        for several in gradients:
            for p, g in zip(parameters, several, strict=True):
                p.grad = Tensor.of(emulation.array(g))
            parameters[1].grad = None
            optimizer.step()
        results.append(parameters)
        assert len(emulation.launched) == (3 if on_gpu else 0)
    for a, b in zip(*results, strict=True):
        assert np.allclose(a.array, b.array, rtol=1e-5, atol=1e-6)
        assert a.version == b.version
