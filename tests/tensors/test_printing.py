"""Tensors are printed as PyTorch prints them, letter by letter."""

import numpy as np
import pytest

import tinyvision

torch = pytest.importorskip("torch")


def a_tensor(rng):
    """An array of some kind, shape and size of numbers."""
    long = rng.random() < 0.1
    shape = tuple(rng.integers(1, 60, rng.integers(1, 4))) if long else tuple(rng.integers(0, 8, rng.integers(0, 5)))
    normal = np.asarray(rng.standard_normal(shape))
    special = np.where(rng.random(shape) < 0.3, rng.choice([np.nan, np.inf, -np.inf, 0, -0.0]), normal)
    kinds = [
        (normal * 10.0 ** rng.integers(-6, 6)).astype(np.float32),
        np.round(normal * 10.0 ** rng.integers(0, 10)).astype(np.float32),
        (normal * 10.0 ** rng.integers(-12, 12, shape)).astype(np.float32),
        (special * rng.choice([1, 1e-5, 1e6])).astype(np.float32),
        normal,
        normal.astype(np.float16),
        (normal * 100).astype(np.int64),
        (normal * 10).astype(np.int32),
        np.abs(normal * 10).astype(np.uint8),
        normal > 0,
    ]
    return kinds[rng.integers(len(kinds))]


@pytest.mark.parametrize("seed", range(20))
def test_as_pytorch_prints_them(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        array = a_tensor(rng)
        assert repr(tinyvision.tensor(array)) == repr(torch.tensor(array))


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"sci_mode": True},
        {"sci_mode": False, "linewidth": 40},
        {"threshold": 4, "edgeitems": 1},
        {"profile": "short"},
        {"profile": "full"},
    ],
    ids=str,
)
def test_with_other_options(options):
    arrays = [a_tensor(np.random.default_rng(seed)) for seed in range(40)]
    try:
        for engine in (torch, tinyvision):
            engine.set_printoptions(**options)
        for array in arrays:
            assert repr(tinyvision.tensor(array)) == repr(torch.tensor(array))
    finally:
        for engine in (torch, tinyvision):
            engine.set_printoptions(profile="default", sci_mode=None)


def test_what_is_said_beside_the_numbers():
    def said(engine):
        x = engine.ones(2, requires_grad=True)
        y = engine.ones(3, 4, 2, dtype=engine.float64, requires_grad=True)
        return [x, x * 2, x.sum(), (x * 2).tanh().exp(), y, engine.nn.Parameter(x), x.shape, y.shape[1:], x.size()]

    for ours, theirs in zip(said(tinyvision), said(torch), strict=True):
        assert repr(ours) == repr(theirs)


def test_the_default_dtype_needs_no_word():
    for engine in (torch, tinyvision):
        engine.set_default_dtype(engine.float64)
    try:
        for array in (np.ones(2), np.ones(2, np.float32), np.ones(0), np.ones((0, 3), np.float32)):
            assert repr(tinyvision.tensor(array)) == repr(torch.tensor(array))
    finally:
        for engine in (torch, tinyvision):
            engine.set_default_dtype(engine.float32)


def test_losses_and_layers_name_pytorchs_backward():
    rng = np.random.default_rng(0)
    numbers, planes = rng.uniform(0.1, 0.9, (2, 4)).astype(np.float32), rng.standard_normal((2, 4, 6, 6), np.float32)
    for make in (
        lambda t, x, im: t.nn.functional.mse_loss(x, x.detach() * 2),
        lambda t, x, im: t.nn.functional.cross_entropy(x, t.tensor([1, 2])),
        lambda t, x, im: t.nn.Linear(4, 3)(x), lambda t, x, im: t.nn.Conv2d(4, 3, 3)(im),
        lambda t, x, im: t.nn.BatchNorm2d(4)(im), lambda t, x, im: t.nn.BatchNorm2d(4).eval()(im),
        lambda t, x, im: t.nn.functional.max_pool2d(im, 2), lambda t, x, im: t.nn.functional.avg_pool2d(im, 2),
        lambda t, x, im: x.view(-1), lambda t, x, im: t.cat([x, x]), lambda t, x, im: x.clone(),
        lambda t, x, im: x.double(), lambda t, x, im: x.log1p(), lambda t, x, im: t.nn.GroupNorm(2, 4)(im),
    ):  # fmt: skip
        names = []
        for t in (torch, tinyvision):
            x, im = t.tensor(numbers, requires_grad=True), t.tensor(planes, requires_grad=True)
            names.append(make(t, x, im).grad_fn.name())
        assert names[0] == names[1]
