"""Schedules step by step beside torch.optim.lr_scheduler."""

import re

import numpy as np
import pytest

from tinyvision import nn, optim
from tinyvision.errors import CheckpointError, OptionError

torch = pytest.importorskip("torch")

GROUPS = [{"lr": 0.3}, {"lr": 0.07, "weight_decay": 0.1}]
CASES = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 1, "gamma": 0.7}),
    ("MultiStepLR", {"milestones": [9, 2, 5], "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [4, 4]}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + step)}),
    ("LambdaLR", {"lr_lambda": [lambda step: 1 + step, lambda step: 0.5**step]}),
    ("CosineAnnealingLR", {"T_max": 24}),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 24}),
    ("OneCycleLR", {"max_lr": [1.0, 0.2], "epochs": 4, "steps_per_epoch": 6, "pct_start": 0.5, "div_factor": 5.0}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 24, "anneal_strategy": "linear", "final_div_factor": 10.0}),
    (
        "OneCycleLR",
        {"max_lr": 1.0, "total_steps": 24, "three_phase": True, "base_momentum": [0.5, 0.6], "max_momentum": 0.99},
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 24, "cycle_momentum": False}),
]


def named(value):
    """A test's name must be the same in every process: a function's address is not."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))[:60]


def optimizers(name="SGD", **options):
    made = []
    for library, parameter in (
        (optim, lambda: nn.Parameter(np.ones(2))),
        (torch.optim, lambda: torch.nn.Parameter(torch.ones(2))),
    ):
        groups = [{"params": [parameter()], **group} for group in GROUPS]
        made.append(getattr(library, name)(groups, **options))
    return made


def compare(mine, other):
    for group, expected in zip(mine.param_groups, other.param_groups, strict=True):
        for key in ("lr", "momentum", "betas"):
            if key in expected:
                # A formula against PyTorch's recursion over up to 24 steps, in double precision; a cosine that reaches
                # 0 is compared with the scale of the learning rates.
                assert group[key] == pytest.approx(expected[key], rel=1e-10, abs=1e-14), key


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=named)
def test_every_step(name, options, kind):
    mine, other = optimizers(kind)
    schedule, expected = (
        getattr(optim.lr_scheduler, name)(mine, **options),
        getattr(torch.optim.lr_scheduler, name)(other, **options),
    )
    compare(mine, other)
    for _ in range(24):
        mine.step()
        other.step()
        schedule.step()
        expected.step()
        compare(mine, other)
        assert schedule.get_last_lr() == [group["lr"] for group in mine.param_groups]
        assert schedule.last_epoch == expected.last_epoch


@pytest.mark.parametrize(("name", "options"), CASES, ids=named)
def test_state_continues(name, options):
    runs = []
    for _ in range(2):
        optimizer = optimizers()[0]
        runs.append((optimizer, getattr(optim.lr_scheduler, name)(optimizer, **options)))
    for _ in range(7):
        runs[0][1].step()
    runs[1][0].load_state_dict(runs[0][0].state_dict())
    runs[1][1].load_state_dict(runs[0][1].state_dict())
    for _ in range(9):
        assert runs[0][0].param_groups[0]["lr"] == runs[1][0].param_groups[0]["lr"]
        assert runs[0][0].param_groups[1]["momentum"] == runs[1][0].param_groups[1]["momentum"]
        for _, schedule in runs:
            schedule.step()


def test_one_cycle_ends_after_its_last_step():
    optimizer = optimizers()[0]
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=5)
    for _ in range(5):
        schedule.step()
    before = optimizer.param_groups[0]["lr"]
    with pytest.raises(OptionError, match="beyond the 5 steps"):
        schedule.step()
    assert (optimizer.param_groups[0]["lr"], schedule.last_epoch) == (before, 5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max"},
        {"patience": 1, "cooldown": 2},
        {"threshold": 0.5, "patience": 0},
        {"factor": 0.5, "min_lr": [0.1, 0.001]},
        {"threshold_mode": "abs", "threshold": 0.3, "patience": 2},
        {"mode": "max", "threshold_mode": "abs", "patience": 2},
        {"eps": 0.05, "patience": 0},
    ],
    ids=str,
)
def test_plateau(options):
    mine, other = optimizers()
    schedule = optim.lr_scheduler.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    rng = np.random.default_rng(0)
    for step in range(60):
        metric = float(rng.normal() / (1 + step / 10)) if step != 20 else float("nan")
        schedule.step(metric)
        expected.step(metric)
        compare(mine, other)
        if step == 30:
            fresh = optim.lr_scheduler.ReduceLROnPlateau(mine, **options)
            fresh.load_state_dict(schedule.state_dict())
            schedule = fresh


SGD = optimizers()[0]
REFUSED = [
    lambda s: s.StepLR(SGD, 0),
    lambda s: s.StepLR(SGD, 1.5),
    lambda s: s.StepLR(None, 3),
    lambda s: s.StepLR(SGD, 3, gamma="x"),
    lambda s: s.MultiStepLR(SGD, 3),
    lambda s: s.MultiStepLR(SGD, [1.5]),
    lambda s: s.CosineAnnealingLR(SGD, 0),
    lambda s: s.CosineAnnealingLR(SGD, 3, eta_min=None),
    lambda s: s.OneCycleLR(SGD, 1.0),
    lambda s: s.OneCycleLR(SGD, [1.0], 5),
    lambda s: s.OneCycleLR(SGD, 1.0, 5, pct_start=2),
    lambda s: s.OneCycleLR(SGD, 1.0, 5, anneal_strategy="up"),
    lambda s: s.OneCycleLR(SGD, "high", 5),
    lambda s: s.OneCycleLR(SGD, 1.0, epochs=3),
    lambda s: s.LambdaLR(SGD, 0.5),
    lambda s: s.LambdaLR(SGD, [lambda step: 1]),
    lambda s: s.ReduceLROnPlateau(SGD, mode="up"),
    lambda s: s.StepLR(SGD, 1, last_epoch=-2),
    lambda s: s.ReduceLROnPlateau(SGD, factor=1.0),
    lambda s: s.ReduceLROnPlateau(SGD, min_lr=[0.1]),
]


@pytest.mark.parametrize("make", REFUSED)
def test_mistakes(make):
    with pytest.raises(OptionError):
        make(optim.lr_scheduler)


def test_states_that_are_none():
    for schedule in (optim.lr_scheduler.StepLR(SGD, 3), optim.lr_scheduler.ReduceLROnPlateau(SGD)):
        for state in ({}, None, {"last_epoch": 3, "base_lrs": [0.1]}):
            with pytest.raises(CheckpointError):
                schedule.load_state_dict(state)
