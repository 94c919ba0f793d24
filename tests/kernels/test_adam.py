"""One launch of Adam for many parameters against `optim.Adam`, which updates them one by one."""

import numpy as np
import pytest

from tinyvision import optim
from tinyvision.kernels import adam, launch
from tinyvision.tensors.tensor import Tensor

SHAPES = [(3, 5), (1,), (4000,), (2, 3, 3, 3), (2048,), (17,)]
OPTIONS = [
    (optim.Adam, {}),
    (optim.Adam, {"weight_decay": 0.1, "betas": (0.8, 0.95)}),
    (optim.AdamW, {"weight_decay": 0.1, "lr": 0.01}),
    (optim.Adam, {"maximize": True, "eps": 1e-3}),
]


@pytest.fixture
def on_gpu(monkeypatch):
    """switch(value): whether NumPy's arrays count as a GPU's."""

    def switch(value):
        monkeypatch.setattr(optim.adam.blocks, "on_cpu", lambda array: not value)
        monkeypatch.setattr("tinyvision.kernels.sgd.on_gpu_in_float32", lambda arrays: value)

    return switch


def run(kind, options, emulation, rng, steps=3, count=6, between=lambda optimizer: None):
    shapes = (SHAPES * 20)[:count]
    parameters = [
        Tensor.of(emulation.array(rng.standard_normal(s).astype(np.float32)), requires_grad=True) for s in shapes
    ]
    optimizer = kind(parameters, **options)
    for _ in range(steps):
        for p in parameters:
            p.grad = Tensor.of(emulation.array(rng.standard_normal(p.shape).astype(np.float32)))
        optimizer.step()
        between(optimizer)
    return parameters, optimizer


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
@pytest.mark.parametrize("count", [6, 100])
def test_three_steps(emulation, on_gpu, kind, options, count):
    results = []
    for value in (False, True):
        on_gpu(value)
        results.append(run(kind, options, emulation, np.random.default_rng(3), count=count))
    (right, theirs), (got, ours) = results
    assert emulation.launched == ["adam_step"] * 3 * (1 + (count > 96))
    for a, b in zip(got, right, strict=True):
        assert np.allclose(a.array, b.array, rtol=1e-5, atol=1e-6)
        assert ours.state[a]["step"] == theirs.state[b]["step"] == 3
        assert np.allclose(ours.state[a]["exp_avg_sq"], theirs.state[b]["exp_avg_sq"], rtol=1e-5, atol=1e-7)


def test_the_simple_version_is_the_same(emulation, rng):
    arrays = [emulation.array(np.abs(rng.standard_normal(300)).astype(np.float32)) for _ in range(4)]
    copies = [emulation.array(a.copy()) for a in arrays]
    rule = adam.rule(optim.AdamW([Tensor.of(np.ones(1, np.float32))]).param_groups[0], 4, decoupled=True)
    adam.step(*([a] for a in arrays), rule)
    launch.launch("adam", "adam_simple", launch.blocks(300), *copies, np.int32(300), rule)
    for a, b in zip(arrays, copies, strict=True):
        assert np.array_equal(a, b)


def test_a_captured_step_reads_its_numbers_from_memory_and_is_counted_when_replayed(emulation, on_gpu, monkeypatch):
    """Two steps as written, one captured (and so not counted), and two replays of it, under another learning rate."""
    on_gpu(False)
    expected, _ = run(optim.Adam, {}, emulation, np.random.default_rng(3), steps=4, between=_slower)
    on_gpu(True)
    got, optimizer = run(optim.Adam, {}, emulation, np.random.default_rng(3), steps=2, between=_slower)
    (group,) = optimizer.param_groups
    optimizer.live[id(group)] = emulation.array(optimizer.numbers(group))
    monkeypatch.setattr("tinyvision.optim.adam.is_capturing", lambda: True)
    rng = np.random.default_rng(3)
    for _ in range(3):  # the parameters and two steps
        for p in got:
            rng.standard_normal(p.shape)
    for _ in range(2):
        for p in got:
            p.grad = Tensor.of(emulation.array(rng.standard_normal(p.shape).astype(np.float32)))
        optimizer.count_replay(group)
        optimizer.live[id(group)][...] = optimizer.numbers(group)
        assert optimizer.update_together(got, group)  # what a replay does: the same launch, whatever Python believes
        _slower(optimizer)
    for a, b in zip(got, expected, strict=True):
        assert np.allclose(a.array, b.array, rtol=1e-5, atol=1e-6)
        assert optimizer.state[a]["step"] == 4


def _slower(optimizer):
    optimizer.param_groups[0]["lr"] *= 0.5


def test_what_is_left_to_the_readable_step(emulation, on_gpu, rng):
    on_gpu(True)
    _, optimizer = run(optim.Adam, {"amsgrad": True}, emulation, rng, steps=1)
    assert optimizer.numbers(optimizer.param_groups[0]) is None
    parameters, optimizer = run(optim.Adam, {}, emulation, rng, steps=1)
    optimizer.state[parameters[0]]["step"] = 7
    assert optimizer.numbers(optimizer.param_groups[0]) is None
    assert not optimizer.update_together(parameters, optimizer.param_groups[0])
