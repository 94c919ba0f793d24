"""L-BFGS beside torch.optim's: every step, the count of calls, the state both ways, and what is refused."""

import io

import numpy as np
import pytest
import torch

import tinyvision
from tinyvision import optim
from tinyvision.errors import CheckpointError, OptionError


def valley(t, rng):
    """Rosenbrock's function of six numbers."""
    x = t.tensor(rng.normal(size=6)).requires_grad_()
    return [x], lambda: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def bowl(t, rng):
    """A quadratic form of two parameters together, and one without a gradient."""
    root, b = t.tensor(rng.normal(size=(9, 9))), t.tensor(rng.normal(size=9))
    p, q, unused = (t.tensor(rng.normal(size=size)).requires_grad_() for size in ((3, 2), 3, 2))

    def loss():
        v = t.cat([p.reshape(-1), q])
        return (root @ v).pow(2).sum() / 2 + 0.1 * v.pow(2).sum() - b.dot(v)

    return [p, unused, q], loss


def style(t, rng):
    """A picture whose features are to have a given Gram matrix."""
    picture = t.tensor(rng.normal(size=(1, 2, 6, 6))).requires_grad_()
    weight, gram = t.tensor(rng.normal(size=(3, 2, 3, 3))), t.tensor(rng.normal(size=(3, 3)))

    def loss():
        features = t.nn.functional.conv2d(picture, weight, padding=1).relu().reshape(3, -1)
        return (features @ features.t() / 36 - gram).pow(2).sum()

    return [picture], loss


def steps(t, problem, options, count, seed=0, load=None):
    """(loss, parameters, calls, steps) after each of `count` calls of step, and the optimizer."""
    parameters, loss = problem(t, np.random.default_rng(seed))
    optimizer = t.optim.LBFGS(parameters, **options)

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    seen = []
    for number in range(count):
        value = optimizer.step(closure)
        state = optimizer.state_dict()["state"][0]
        flat = np.concatenate([p.detach().numpy().reshape(-1) for p in parameters])
        seen.append((value.item(), flat, state["func_evals"], state["n_iter"]))
        if load is not None and number == 0:
            load(optimizer, parameters)
    return seen, optimizer


def agree(ours, theirs):
    for (loss, flat, *counts), (expected_loss, expected, *expected_counts) in zip(ours, theirs, strict=True):
        assert counts == expected_counts
        assert loss == pytest.approx(expected_loss, rel=1e-8)
        np.testing.assert_allclose(flat, expected, rtol=1e-6, atol=1e-7)


WOLFE = {"line_search_fn": "strong_wolfe"}
OPTIONS = [
    {},
    {"lr": 0.5, "max_iter": 5},
    {"lr": 0.1, "max_iter": 1},
    {"lr": 0.05, "history_size": 2},
    {"tolerance_grad": 0.5},
    WOLFE,
    {**WOLFE, "history_size": 3, "max_iter": 6},
    {**WOLFE, "lr": 0.3, "max_iter": 4},
    {**WOLFE, "max_eval": 3},
    {**WOLFE, "max_eval": 1},
    {**WOLFE, "tolerance_change": 1e-3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("problem", [valley, bowl, style])
def test_every_step(problem, options):
    agree(*(steps(t, problem, options, 3)[0] for t in (tinyvision, torch)))


def waves(t, rng):
    """A line with many minima, corners and steep walls: a search for one has to cut its bracket again and again."""
    x = t.tensor(rng.normal(size=1) * 3).requires_grad_()
    steep, power = rng.choice([1.0, 3.0]), rng.uniform(1, 6)
    parts = (rng.normal(size=(4, 3)) * [steep, 3 * steep, 1]).tolist()
    return [x], lambda: (x.abs() ** power + sum(h * (w * x - p).sin() for h, w, p in parts)).sum()


def nudged(t, rng):
    """The same, begun a few roundings further on."""
    parameters, loss = waves(t, rng)
    parameters[0].data.mul_(1 + 1e-14)
    return parameters, loss


@pytest.mark.parametrize("options", [{}, {"lr": 10.0}, {"lr": 1e-3}, {"max_eval": 6}], ids=str)
def test_every_search_of_a_line(options):
    options, stable = {**WOLFE, "max_iter": 2, **options}, 0
    for seed in range(500, 600):
        theirs, further = (steps(torch, problem, options, 1, seed)[0] for problem in (waves, nudged))
        try:
            agree(further, theirs)
        except AssertionError:  # one that magnifies roundings says nothing about the search
            continue
        agree(steps(tinyvision, waves, options, 1, seed)[0], theirs)
        stable += 1
    assert stable > 80


@pytest.mark.parametrize("options", [{"lr": 0.2, "max_iter": 4}, {**WOLFE, "max_iter": 3}], ids=str)
def test_a_state_of_either_library_continues_in_the_other(options):
    theirs, _ = steps(torch, bowl, options, 4)
    ours, _ = steps(tinyvision, bowl, options, 4)
    agree(ours, theirs)
    after_one = {t: steps(t, bowl, options, 1) for t in (tinyvision, torch)}

    def from_the_other(other):
        def load(optimizer, parameters):
            optimizer.state.clear()
            optimizer.load_state_dict(other)

        return load

    state = after_one[torch][1].state_dict()
    agree(steps(tinyvision, bowl, options, 4, load=from_the_other(state))[0], theirs)
    file = io.BytesIO()
    tinyvision.save(after_one[tinyvision][1].state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert set(state["state"][0]) == set(after_one[torch][1].state_dict()["state"][0])
    agree(steps(torch, bowl, options, 4, load=from_the_other(state))[0], theirs)
    file.seek(0)
    agree(steps(tinyvision, bowl, options, 4, load=from_the_other(tinyvision.load(file)))[0], theirs)


def test_parameters_that_are_there_already_stay():
    x = tinyvision.zeros(3, requires_grad=True)
    optimizer = optim.LBFGS([x])

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 0
    assert optimizer.state_dict()["state"][0] == {"func_evals": 1, "n_iter": 0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1}, "lr must be 0 or more"),
        ({"max_iter": 0}, "max_iter must be an integer of 1 or more, got 0"),
        ({"max_iter": 2.5}, "max_iter"),
        ({"max_eval": 0}, "max_eval"),
        ({"history_size": 0}, "history_size"),
        ({"tolerance_grad": -1e-3}, "tolerance_grad must be 0 or more"),
        ({"tolerance_change": "small"}, "tolerance_change"),
        ({"line_search_fn": "armijo"}, "None or \"strong_wolfe\", got 'armijo'"),
    ],
)
def test_values_without_meaning(options, words):
    with pytest.raises(OptionError, match=words):
        optim.LBFGS([tinyvision.ones(2, requires_grad=True)], **options)


def test_mistakes():
    x = tinyvision.ones(2, requires_grad=True)
    with pytest.raises(OptionError, match="one group"):
        optim.LBFGS([{"params": [x]}, {"params": [tinyvision.ones(1, requires_grad=True)]}])
    optimizer = optim.LBFGS([x])
    with pytest.raises(OptionError, match=r"step\(closure\) asks for the loss several times"):
        optimizer.step()
    with pytest.raises(OptionError, match="the closure must return the loss, one number; got None"):
        optimizer.step(lambda: (x * x).sum().backward())
    group = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"} | {"params": [0]}
    with pytest.raises(CheckpointError, match=r"d is \(3,\), but the parameters have 2 numbers together"):
        optimizer.load_state_dict({"state": {0: {"d": np.zeros(3)}}, "param_groups": [group]})
