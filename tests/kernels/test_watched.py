"""The package's kernels while every access is looked at: none races, reads out of bounds or what nobody has written."""

import pytest

from tinyvision.kernels import activation, conv, launch, linear, loss, norm, pool

from .compare import run_both

WINDOW = {"kernel_size": 3, "stride": 2, "padding": 1}
CASES = {
    "relu": (lambda: activation.DROP_INS[0], [(2, 3, 5, 7)], {}),
    "max pooling": (lambda: _named(pool, "max_pool2d"), [(2, 3, 9, 7)], WINDOW),
    "average pooling": (lambda: _named(pool, "avg_pool2d"), [(2, 4, 9, 7)], WINDOW),
    "batch-norm": (lambda: _named(norm, "batchnorm_train"), [(3, 5, 6, 7), (5,), (5,)], {}),
    "linear": (lambda: linear.DROP_INS[0], [(5, 7), (6, 7), (6,)], {}),
    "convolution": (lambda: conv.DROP_INS[0], [(2, 3, 6, 5), (4, 3, 3, 3), (4,)], {"stride": 1, "padding": 1}),
}


def _named(module, op):
    return next(one for one in module.DROP_INS if one.op[0].__name__ == f"{op}_forward")


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_seen(emulate, rng, monkeypatch, name):
    monkeypatch.setattr(launch, "capturing", lambda: True)
    find, shapes, options = CASES[name]
    emulation = emulate(watched=True)
    run_both(emulation, find(), [rng.standard_normal(s) for s in shapes], options, rng, 1e-4)
    assert emulation.launched


def test_of_the_loss(emulate, rng):
    emulation = emulate(watched=True)
    arrays = [rng.standard_normal((6, 5)), rng.integers(0, 5, 6)]
    run_both(emulation, loss.DROP_INS[0], arrays, {}, rng, 1e-5, needs=(True, False))
    assert emulation.launched
