"""Adadelta, Adagrad, Adamax, NAdam and RAdam step by step beside torch.optim, over random options."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyvision as tv
from tinyvision import nn, optim
from tinyvision.errors import CheckpointError, OptionError

from .test_optimizers import STEPS, made, run

torch = pytest.importorskip("torch")

ALL = ("Adadelta", "Adagrad", "Adamax", "NAdam", "RAdam")
# As for Adam: a mean of squares that forgets at once would magnify the last bits without bound.
BETAS = st.tuples(st.floats(0, 0.99), st.floats(0.5, 0.99))
COMMON = {
    "lr": st.floats(1e-3, 1),
    "eps": st.sampled_from([1e-8, 1e-3]),
    "weight_decay": st.sampled_from([0, 0.01, 0.5]),
    "maximize": st.booleans(),
}
OWN = {
    "Adadelta": {"rho": st.floats(0.5, 0.99)},
    "Adagrad": {"lr_decay": st.sampled_from([0, 0.1]), "initial_accumulator_value": st.sampled_from([0, 0.1])},
    "Adamax": {"betas": BETAS},
    "NAdam": {"betas": BETAS, "momentum_decay": st.sampled_from([0, 4e-3, 1]), "decoupled_weight_decay": st.booleans()},
    "RAdam": {"betas": BETAS, "decoupled_weight_decay": st.booleans()},
}


@pytest.fixture(autouse=True)
def _float64():
    """PyTorch keeps NAdam's product of momenta in its default dtype; a Python number here, which is float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ALL)
def test_every_step(name):
    options_of = st.fixed_dictionaries({**COMMON, **OWN[name]})

    @settings(max_examples=15, deadline=None)
    @given(options_of, options_of)
    def check(options, others):
        ours, theirs = made()
        groups = [lambda p: {"params": p[:2]}, lambda p: {"params": p[2:], **others}]
        others.pop("initial_accumulator_value", None)  # PyTorch ignores a group's own, and here it is refused
        mine = getattr(optim, name)([g(ours) for g in groups], foreach=True, **options)
        run(ours, theirs, mine, getattr(torch.optim, name)([g(theirs) for g in groups], **options), STEPS)

    check()


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_pytorchs(name):
    ours, theirs = made()
    mine, other = getattr(optim, name)(ours), getattr(torch.optim, name)(theirs)
    for key, value in mine.defaults.items():
        assert other.defaults[key] == value, key
    run(ours, theirs, mine, other, 8)  # with RAdam, past the steps that are not rectified


@pytest.mark.parametrize("name", ALL)
def test_a_state_of_either_library_continues_in_the_other(name):
    ours, theirs = made()
    mine, other = getattr(optim, name)(ours, lr=0.1), getattr(torch.optim, name)(theirs, lr=0.1)
    run(ours, theirs, mine, other, 4)
    saved, foreign = copy.deepcopy(mine.state_dict()), copy.deepcopy(other.state_dict())
    assert {n: sorted(s) for n, s in saved["state"].items()} == {n: sorted(s) for n, s in foreign["state"].items()}
    as_torch = {
        **foreign,
        "state": {
            number: {key: torch.tensor(np.asarray(value)) for key, value in entries.items()}
            for number, entries in saved["state"].items()
        },
    }
    for here, there in ((saved, foreign), (foreign, as_torch)):
        again = [nn.Parameter(np.array(p.detach().numpy())) for p in ours]
        twins = [torch.nn.Parameter(q.detach().clone()) for q in theirs]
        fresh, twin = getattr(optim, name)(again, lr=7.0), getattr(torch.optim, name)(twins, lr=7.0)
        fresh.load_state_dict(here)
        twin.load_state_dict(copy.deepcopy(there))  # PyTorch keeps what it loads
        run(again, twins, fresh, twin, 5, seed=9)


def test_adagrads_sums_are_there_before_a_step():
    p = nn.Parameter(np.ones(3))
    optimizer = optim.Adagrad([p], initial_accumulator_value=0.5)
    np.testing.assert_array_equal(optimizer.state_dict()["state"][0]["sum"], [0.5] * 3)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": {}})
    p.grad = tv.tensor(np.ones(3))
    optimizer.step()
    np.testing.assert_allclose(optimizer.state[p]["sum"], 1.5)


def test_adagrads_sums_start_alike_in_all_groups():
    optimizer = optim.Adagrad([nn.Parameter(np.ones(3))])
    with pytest.raises(OptionError, match="one for all groups"):
        optimizer.add_param_group({"params": [nn.Parameter(np.ones(2))], "initial_accumulator_value": 1.0})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("name", ALL)
def test_large_parameters_are_cut_into_blocks(name):
    start = np.random.default_rng(0).normal(size=(700, 900))
    mine, other = nn.Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = getattr(optim, name)([mine], weight_decay=0.1), getattr(torch.optim, name)([other], weight_decay=0.1)
    for _ in range(6):
        mine.grad, other.grad = tv.tensor(start * 0.3), torch.tensor(start * 0.3)
        ours.step()
        theirs.step()
    np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"lr": -1}) for name in ALL),
        *((name, {"differentiable": True}) for name in ALL),
        ("Adadelta", {"rho": 1.5}),
        ("Adadelta", {"rho": None}),
        ("Adagrad", {"lr_decay": -1}),
        ("Adagrad", {"initial_accumulator_value": -0.1}),
        ("Adamax", {"betas": (0.9, 1)}),
        ("NAdam", {"momentum_decay": -1}),
        ("NAdam", {"betas": 0.9}),
        ("RAdam", {"betas": (0.9, float("nan"))}),
    ],
    ids=str,
)
def test_values_without_meaning(name, options):
    with pytest.raises(OptionError, match=name):
        getattr(optim, name)([nn.Parameter(np.ones(2))], **options)


def test_a_state_of_the_wrong_shape_is_refused():
    p = nn.Parameter(np.ones(2))
    optimizer = optim.NAdam([p])
    p.grad = tv.tensor(np.ones(2))
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["exp_avg"] = np.ones(3)
    with pytest.raises(CheckpointError, match="exp_avg"):
        optimizer.load_state_dict(state)
