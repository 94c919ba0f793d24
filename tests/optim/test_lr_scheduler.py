"""Schedules step by step beside torch.optim.lr_scheduler."""

import copy
import re

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn, optim
from tinyvision.errors import CheckpointError, OptionError

torch = pytest.importorskip("torch")

GROUPS = [{"lr": 0.3}, {"lr": 0.07, "weight_decay": 0.1}]
CASES = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 1, "gamma": 0.7}),
    ("MultiStepLR", {"milestones": [9, 2, 5], "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [4, 4]}),
    ("MultiStepLR", {"milestones": [0.5 * 4, 0.75 * 10]}),
    ("StepLR", {"step_size": 2.5}),
    ("CosineAnnealingLR", {"T_max": 24.0}),
    ("CosineAnnealingLR", {"T_max": 7.5, "eta_min": 0.01}),
    ("PolynomialLR", {"total_iters": 8.5}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2.5, "step_size_down": 3.0}),
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
    ("ConstantLR", {"factor": 0.3, "total_iters": 4}),
    ("LinearLR", {"start_factor": 0.1, "total_iters": 7}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 30}),
    ("PolynomialLR", {"total_iters": 9, "power": 2.0}),
    ("MultiplicativeLR", {"lr_lambda": lambda step: 0.9 + 0.01 * step}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": [0.1, 0.4], "step_size_up": 3, "step_size_down": 5}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "mode": "exp_range", "gamma": 0.95}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "scale_fn": lambda x: 1 / x}),
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


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_a_plateau_ends_with_an_improvement_by_the_threshold(mode, threshold_mode):
    """A third more than the threshold is better, a third less is none."""
    options = {"mode": mode, "threshold_mode": threshold_mode, "threshold": 0.1, "patience": 0}
    mine, other = optimizers()
    schedule = optim.lr_scheduler.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    for part, bad in ((0, 0), (4 / 3, 0), (2 / 3, 1)):
        metric = (
            1.0
            if not part
            else schedule.best
            + (0.1 if mode == "max" else -0.1) * part * (schedule.best if threshold_mode == "rel" else 1)
        )
        before = mine.param_groups[0]["lr"]
        schedule.step(metric)
        expected.step(metric)
        compare(mine, other)
        assert (mine.param_groups[0]["lr"] < before) == bool(bad)


SGD = optimizers()[0]
REFUSED = [
    lambda s: s.StepLR(SGD, 0),
    lambda s: s.StepLR(SGD, -1.5),
    lambda s: s.PolynomialLR(SGD, float("nan")),
    lambda s: s.CyclicLR(SGD, 0.1, 0.2, 0.0),
    lambda s: s.StepLR(None, 3),
    lambda s: s.StepLR(SGD, 3, gamma="x"),
    lambda s: s.MultiStepLR(SGD, 3),
    lambda s: s.MultiStepLR(SGD, ["1"]),
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


def test_a_number_of_one_among_several_groups_is_named():
    two = optim.SGD([{"params": [p]} for p in nn.Linear(2, 2).parameters()], lr=0.1)
    with pytest.raises(OptionError, match=r"max_lr\[1\] must be a number, got 'high'"):
        optim.lr_scheduler.OneCycleLR(two, [1.0, "high"], 5)
    with pytest.raises(OptionError, match="max_lr must be a number, got 'high'"):
        optim.lr_scheduler.OneCycleLR(optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1), "high", 5)


@pytest.mark.parametrize("make", REFUSED)
def test_mistakes(make):
    with pytest.raises(OptionError):
        make(optim.lr_scheduler)


def test_states_that_are_none():
    for schedule in (optim.lr_scheduler.StepLR(SGD, 3), optim.lr_scheduler.ReduceLROnPlateau(SGD)):
        for state in ({}, None, {"last_epoch": 3, "base_lrs": [0.1]}, {"last_epoch": 2.5}):
            with pytest.raises(CheckpointError):
                schedule.load_state_dict(state)


PARTS = {
    "step": lambda s, o: s.StepLR(o, 7, 0.5),
    "multi": lambda s, o: s.MultiStepLR(o, [3, 40, 90], 0.3),
    "exp": lambda s, o: s.ExponentialLR(o, 0.97),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 30, 0.001),
    "linear": lambda s, o: s.LinearLR(o, 0.1, total_iters=8),
    "constant": lambda s, o: s.ConstantLR(o, 0.5, 6),
    "poly": lambda s, o: s.PolynomialLR(o, 150, 0.9),
    "lambda": lambda s, o: s.LambdaLR(o, lambda step: 0.95**step),
    "times": lambda s, o: s.MultiplicativeLR(o, lambda step: 0.98),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, 2),
    "sequence": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.2, total_iters=5), s.ExponentialLR(o, 0.9)], [5]),
}


@pytest.mark.filterwarnings("ignore:Detected call of", "ignore:The epoch parameter")
@pytest.mark.parametrize("seed", range(24))
def test_generated_sequences(seed):
    """Several schedules stepped in turns, rates that the script changes, cuts, sequences and late groups."""
    rng = np.random.default_rng(seed)
    sides = []
    names = rng.choice(list(PARTS), rng.integers(1, 4), replace=False)
    chain, sequence = rng.random() < 0.3, rng.random() < 0.4
    names = sorted(names, key="sequence".__ne__)  # one that is made of others can only be the first of a sequence
    milestones = sorted(rng.choice(np.arange(1, 180), len(names) - 1, replace=False).tolist())
    for optimizer, library in zip(optimizers(), (optim, torch.optim), strict=True):
        s = library.lr_scheduler
        made = [PARTS[name](s, optimizer) for name in names]
        if sequence and len(made) > 1:
            made = [s.SequentialLR(optimizer, made, milestones)]
        elif chain:
            made = [s.ChainedScheduler(made)]
        sides.append((optimizer, made, s.ReduceLROnPlateau(optimizer, patience=25, factor=0.5)))
    for step in range(200):
        which, event, metric = rng.random(), rng.random(), float(rng.normal())
        for optimizer, made, plateau in sides:
            for schedule in made if which < 0.6 else made[:1]:
                schedule.step()
            if event < 0.02:
                optimizer.param_groups[0]["lr"] = 0.05 + metric**2
            if event > 0.8:
                plateau.step(metric)
        compare(sides[0][0], sides[1][0])
        for ours, theirs in zip(sides[0][1], sides[1][1], strict=True):
            assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-9, abs=1e-14)
            assert getattr(ours, "last_epoch", step) == getattr(theirs, "last_epoch", step)


def test_a_group_that_comes_later():
    for name in ("StepLR", "ExponentialLR", "LambdaLR"):
        argument = {"StepLR": 2, "ExponentialLR": 0.9, "LambdaLR": lambda step: 0.5**step}[name]
        sides = []
        for optimizer, library, one in zip(
            optimizers(),
            (optim, torch.optim),
            (nn.Parameter(np.ones(2)), torch.nn.Parameter(torch.ones(2))),
            strict=True,
        ):
            schedule = getattr(library.lr_scheduler, name)(optimizer, argument)
            optimizer.add_param_group({"params": [one], "lr": 0.7})
            sides.append((optimizer, schedule))
        if name == "LambdaLR":
            with pytest.raises(OptionError, match="after add_param_group"):
                sides[0][1].step()
            continue
        for _ in range(9):
            for optimizer, schedule in sides:
                optimizer.step()
                schedule.step()
            compare(*(optimizer for optimizer, _ in sides))


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", PARTS)
def test_states_are_pytorch_s(name):
    (mine, other), steps = optimizers(), 11
    ours, theirs = PARTS[name](optim.lr_scheduler, mine), PARTS[name](torch.optim.lr_scheduler, other)
    for _ in range(steps):
        theirs.step()
    mine.load_state_dict(other.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for _ in range(20):
        compare(mine, other)
        ours.step()
        theirs.step()


@pytest.mark.parametrize("options", [{}, {"mode": "exp_range", "gamma": 0.9}, {"scale_fn": lambda x: 1 / x}], ids=str)
def test_a_cycle_goes_on_in_the_other_engine(options):
    def made(engine):
        optimizer = engine.optim.SGD([engine.nn.Parameter(engine.ones(1))], lr=0.1, momentum=0.9)
        schedule = engine.optim.lr_scheduler.CyclicLR(
            optimizer, 0.1, 0.2, step_size_up=3, step_size_down=5, cycle_momentum=False, **options
        )
        return optimizer, schedule

    for first, second in ((tv, torch), (torch, tv)):
        (optimizer, schedule), (_, follower) = made(first), made(second)
        for _ in range(4):
            optimizer.step()
            schedule.step()
        follower.load_state_dict(schedule.state_dict())
        for _ in range(20):
            schedule.step()
            follower.step()
            assert follower.get_last_lr() == pytest.approx(schedule.get_last_lr(), rel=1e-12)


def test_a_schedule_of_ones_own_begins_before_the_first_step():
    class Halved(optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    optimizer = optim.SGD([nn.Parameter(tv.ones(1))], lr=0.4)
    schedule = Halved(optimizer)
    seen = [schedule.get_last_lr()[0]]
    for _ in range(2):
        optimizer.step()
        schedule.step()
        seen.append(schedule.get_last_lr()[0])
    assert seen == [0.4, 0.2, 0.1]


class Fall:
    """A function of the step that has numbers of its own, which a state dict keeps."""

    def __init__(self, base):
        self.base = base

    def __call__(self, step):
        return self.base**step


# Every schedule with two sets of options: what is loaded into one made with the second must go on as the first.
TWICE = [
    ("StepLR", {"step_size": 2, "gamma": 0.7}, {"step_size": 5}),
    ("MultiStepLR", {"milestones": [6, 9], "gamma": 0.3}, {"milestones": [1]}),
    ("ExponentialLR", {"gamma": 0.9}, {"gamma": 0.5}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 8}, {"total_iters": 2}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 9}, {"start_factor": 0.5}),
    ("PolynomialLR", {"total_iters": 20, "power": 2.0}, {"total_iters": 9}),
    ("LambdaLR", {"lr_lambda": [Fall(0.9), Fall(0.7)]}, {"lr_lambda": [Fall(0.5), Fall(0.4)]}),
    ("MultiplicativeLR", {"lr_lambda": [Fall(0.9), Fall(0.7)]}, {"lr_lambda": [Fall(0.5), Fall(0.4)]}),
    ("CosineAnnealingLR", {"T_max": 9, "eta_min": 0.02}, {"T_max": 30}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}, {"T_0": 5}),
    (
        "CyclicLR",
        {"base_lr": [0.01, 0.02], "max_lr": 0.2, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"},
        {"base_lr": 0.05, "max_lr": 0.1, "base_momentum": 0.3, "max_momentum": 0.4},
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "scale_fn": Fall(0.9)},
        {"base_lr": 0.01, "max_lr": 0.2, "scale_fn": Fall(0.5), "scale_mode": "iterations"},
    ),
    (
        "OneCycleLR",
        {"max_lr": [1.0, 0.2], "total_steps": 24, "anneal_strategy": "linear", "three_phase": True},
        {"max_lr": 0.5, "total_steps": 40, "pct_start": 0.5, "base_momentum": 0.1, "div_factor": 2.0},
    ),
    (
        "ReduceLROnPlateau",
        {"mode": "max", "factor": 0.5, "patience": 1, "threshold": 0.2, "threshold_mode": "abs", "cooldown": 1}
        | {"min_lr": [0.02, 0.01], "eps": 1e-4},
        {},
    ),
    ("SWALR", {"swa_lr": [0.01, 0.02], "anneal_strategy": "linear", "anneal_epochs": 9}, {"swa_lr": 0.5}),
]


def schedule_of(engine, optimizer, name, options):
    room = engine.optim.swa_utils if name == "SWALR" else engine.optim.lr_scheduler
    return getattr(room, name)(optimizer, **copy.deepcopy(options))


def test_every_schedule_is_loaded_into_others():
    made = {"SequentialLR", "ChainedScheduler", "LRScheduler"}  # of the others, or by the user
    assert {name for name, *_ in TWICE} == {*optim.lr_scheduler.__all__, "SWALR"} - made


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize(("name", "options", "others"), TWICE)
@pytest.mark.parametrize(("first", "second"), [(tv, tv), (tv, torch), (torch, tv)], ids=["ours", "out", "in"])
def test_a_state_brings_every_option(first, second, name, options, others):
    """Learning rates, momenta and the state itself, after a state is loaded into a schedule made with other options."""
    pair = dict(zip((tv, torch), optimizers(momentum=0.5), strict=True))
    one, two = pair[first], pair[second] if second is not first else optimizers(momentum=0.5)[0]
    schedule, follower = schedule_of(first, one, name, options), schedule_of(second, two, name, others)

    def step(schedule, metric):
        schedule.step(metric) if name == "ReduceLROnPlateau" else schedule.step()

    rng = np.random.default_rng(5)
    for _ in range(5):
        step(schedule, rng.normal())
    two.load_state_dict(one.state_dict())
    follower.load_state_dict(schedule.state_dict())
    for metric in rng.normal(size=15):
        compare(two, one)
        step(schedule, metric)
        step(follower, metric)
    assert follower.get_last_lr() == pytest.approx(schedule.get_last_lr(), rel=1e-10)


@pytest.mark.parametrize(("name", "options", "others"), [case for case in TWICE if case[0] != "ReduceLROnPlateau"])
@pytest.mark.parametrize("cycles", [True, False])
def test_going_on_at_a_step(name, options, others, cycles):
    """last_epoch=5 with the optimizer's state as its last run left it, which is all that a script may have kept."""
    if name in ("CyclicLR", "OneCycleLR"):
        options = options | {"cycle_momentum": cycles}
    mine, other = optimizers(momentum=0.5)
    before = schedule_of(torch, other, name, options)
    for _ in range(5):
        other.step()
        before.step()
    mine.load_state_dict(other.state_dict())
    schedules = [
        schedule_of(engine, optimizer, name, options | {"last_epoch": 5})
        for engine, optimizer in ((tv, mine), (torch, other))
    ]
    for _ in range(9):
        compare(mine, other)
        for optimizer, schedule in zip((mine, other), schedules, strict=True):
            optimizer.step()
            schedule.step()


@pytest.mark.parametrize("kind", ["Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RMSprop", "SGD"])
@pytest.mark.parametrize(("name", "arguments"), [("CyclicLR", (0.1, 0.2)), ("OneCycleLR", (0.1, 10))])
def test_momentum_goes_up_and_down_where_there_is_one(kind, name, arguments):
    mine, other = optimizers(kind)
    if {"momentum", "betas"} & other.defaults.keys():
        getattr(torch.optim.lr_scheduler, name)(other, *arguments)
        getattr(optim.lr_scheduler, name)(mine, *arguments)
        compare(mine, other)
        return
    with pytest.raises(ValueError, match="momentum"):
        getattr(torch.optim.lr_scheduler, name)(other, *arguments)
    with pytest.raises(OptionError, match=f"{kind} has no momentum; pass cycle_momentum=False"):
        getattr(optim.lr_scheduler, name)(mine, *arguments)
    assert "momentum" not in mine.param_groups[0]


def test_a_plateau_is_a_schedule():
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizers()[0])
    schedule.step(1.0, 7)
    assert isinstance(schedule, optim.lr_scheduler.LRScheduler)
    assert schedule.last_epoch == 7
