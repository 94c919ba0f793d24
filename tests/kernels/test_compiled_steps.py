"""An optimizer's step over all parameters in one loop, against its own step for each of them."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import kernels
from tinyvision.kernels.cpu import parameters


def small(a):
    """Float32, with the channels of images last in memory."""
    a = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if a.ndim == 4 else a
    return a.astype(np.float32)


STEPS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.2, "maximize": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "betas": (0.8, 0.7)}),
]


@pytest.mark.parametrize("pieces", ["whole", "cut"])
@pytest.mark.parametrize(("name", "options"), STEPS, ids=[f"{name} {len(options)}" for name, options in STEPS])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_optimizers_step_over_all_parameters_at_once(name, options, pieces, rng, loops, monkeypatch):
    if pieces == "cut":
        monkeypatch.setattr("tinyvision.blocks.SMALL_BYTES", 0)
    shapes = [(3, 2, 3, 1), (5,), (1, 4), (2, 3, 2, 2)]
    start = [small(rng.standard_normal(shape)) for shape in shapes]
    gradients = [[small(rng.standard_normal(shape)) for shape in shapes] for _ in range(3)]
    gradients[1][1][2], gradients[2][2][0, 1] = np.nan, np.inf
    ends = []
    for together in (True, False):
        monkeypatch.setattr(parameters, "ready", lambda together=together: together)
        own = [tv.Tensor.of(a.copy(order="K"), requires_grad=True) for a in start]
        optimizer = getattr(tv.optim, name)(own, **options)
        asked = []
        if together:
            monkeypatch.setattr(optimizer, "update", lambda *a, asked=asked: asked.append(a))
        for several in gradients:
            for p, g in zip(own, several, strict=True):
                p.grad = tv.Tensor.of(g)
            optimizer.step()
        assert not asked, "a parameter was left to the optimizer's own step"
        ends.append([p.array for p in own] + [a for s in optimizer.state.values() for a in s.values()])
    for got, want in zip(*ends, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("change", ["float64", "gaps", "another order", "read-only", "switched off", "no loops"])
def test_other_parameters_are_left_to_the_optimizers_own_step(change, monkeypatch):
    weight = small(np.zeros((2, 3, 4, 5)))
    monkeypatch.setattr(parameters, "ready", lambda: change != "no loops")
    gradient = weight.copy(order="C" if change == "another order" else "K")
    if change == "float64":
        weight = gradient = weight.astype(float)
    if change == "gaps":
        weight = gradient = weight[:, :, ::2]
    weight.flags.writeable = change != "read-only"
    with kernels.only(*(["adam"] if change == "switched off" else ["sgd"])):
        assert not parameters.applies([weight], [gradient])
        assert change != "switched off" or parameters.applies([weight], [gradient], "adam")
