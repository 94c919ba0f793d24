"""SGD, Adam and AdamW step by step beside torch.optim, over random options."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyvision as tv
from tinyvision import nn, optim
from tinyvision.errors import CheckpointError, GraphError, OptionError, ShapeError

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (5,), (2, 3, 2, 2), ()]
STEPS = 20
# Both sides do the same dozen float64 operations per step and number, in a slightly different order; twenty steps of a
# few units in the last place (1e-16) each stay far below this.
RTOL, ATOL = 1e-11, 1e-13


def made(shapes=SHAPES, seed=0):
    """The same parameters twice; the 4-axis one is channels-last in memory here, as weights of convolutions are."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=shape) for shape in shapes]
    ours = [nn.Parameter(np.array(v)) for v in values]
    for p in ours:
        if p.ndim == 4:
            p.array = p.array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    return ours, [torch.nn.Parameter(torch.tensor(v)) for v in values]


def run(ours, theirs, mine, other, steps, seed=1, after=lambda: None):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            g = rng.normal(size=p.shape)
            if i == 1 and rng.random() < 0.3:  # now and then a parameter takes no part
                p.grad, q.grad = None, None
                continue
            p.grad, q.grad = tv.tensor(np.array(g)), torch.tensor(g)
        mine.step()
        other.step()
        after()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=RTOL, atol=ATOL)


unit = st.floats(0, 0.99)
# A second moment that forgets at once divides by the last gradient alone, and weight decay feeds the last bits of the
# parameter back into it: where the two nearly cancel, these would be magnified without bound. So it remembers half.
remembering = st.floats(0.5, 0.99)
SGD = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-3, 1),
        "momentum": st.sampled_from([0, 0.5, 0.9]),
        "dampening": st.sampled_from([0, 0.3]),
        "weight_decay": st.sampled_from([0, 0.01, 0.5]),
        "nesterov": st.booleans(),
        "maximize": st.booleans(),
    }
).map(lambda o: o if o["momentum"] and not o["dampening"] else {**o, "nesterov": False})
ADAM = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-3, 1),
        "betas": st.tuples(unit, remembering),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": st.sampled_from([0, 0.01, 0.5]),
        "amsgrad": st.booleans(),
        "maximize": st.booleans(),
    }
)


@settings(max_examples=30, deadline=None)
@given(SGD, SGD)
def test_sgd(options, others):
    ours, theirs = made()
    groups = [lambda p: {"params": p[:2]}, lambda p: {"params": p[2:], **others}]
    run(
        ours,
        theirs,
        optim.SGD([g(ours) for g in groups], **options),
        torch.optim.SGD([g(theirs) for g in groups], **options),
        STEPS,
    )


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam(name):
    @settings(max_examples=20, deadline=None)
    @given(ADAM, ADAM)
    def check(options, others):
        ours, theirs = made()
        groups = [lambda p: {"params": p[:2]}, lambda p: {"params": p[2:], **others}]
        mine = getattr(optim, name)([g(ours) for g in groups], **options)
        run(ours, theirs, mine, getattr(torch.optim, name)([g(theirs) for g in groups], **options), STEPS)

    check()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_defaults_and_names_are_pytorchs(name):
    ours, theirs = made()
    mine, other = getattr(optim, name)(ours), getattr(torch.optim, name)(theirs)
    for key, value in mine.defaults.items():
        assert other.defaults[key] == value, key
    run(ours, theirs, mine, other, 3)


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"momentum": 0.9, "lr": 0.1}), ("SGD", {}), ("Adam", {"amsgrad": True}), ("AdamW", {"lr": 0.01})],
)
def test_a_state_of_either_library_continues_here(name, options):
    ours, theirs = made()
    mine, other = getattr(optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    run(ours, theirs, mine, other, 5)
    saved, foreign = copy.deepcopy(mine.state_dict()), copy.deepcopy(other.state_dict())
    assert saved["param_groups"][0]["params"] == foreign["param_groups"][0]["params"] == [0, 1, 2, 3]
    for number, entries in foreign["state"].items():
        for key, value in entries.items():
            if value is not None:
                np.testing.assert_allclose(np.asarray(saved["state"][number][key]), value.numpy(), rtol=RTOL, atol=ATOL)
    for state in (saved, foreign):
        again = [nn.Parameter(np.array(p.detach().numpy())) for p in ours]
        twins = [torch.nn.Parameter(q.detach().clone()) for q in theirs]
        fresh, twin = getattr(optim, name)(again, lr=7.0), getattr(torch.optim, name)(twins, lr=7.0)
        fresh.load_state_dict(state)
        twin.load_state_dict(foreign)
        assert fresh.param_groups[0]["lr"] == mine.param_groups[0]["lr"]
        run(again, twins, fresh, twin, 5, seed=9)
    np.testing.assert_array_equal(  # what was loaded is a copy
        np.asarray(saved["state"].get(0, {}).get("momentum_buffer", 0)),
        np.asarray(mine.state_dict()["state"].get(0, {}).get("momentum_buffer", 0)),
    )


def test_a_state_that_does_not_fit_changes_nothing():
    ours, _ = made()
    optimizer = optim.SGD(ours, lr=0.1, momentum=0.9)
    for p in ours:
        p.grad = tv.tensor(np.ones(p.shape))
    optimizer.step()
    good = copy.deepcopy(optimizer.state_dict())
    wrong = [copy.deepcopy(good) for _ in range(5)]
    wrong[0]["param_groups"][0]["params"] = [0, 1]
    wrong[1]["state"][1]["momentum_buffer"] = np.ones(6)
    wrong[2]["state"][7] = {}
    del wrong[3]["state"]
    wrong[4]["param_groups"] = 3
    for state in (*wrong, None, [1]):
        with pytest.raises(CheckpointError):
            optimizer.load_state_dict(state)
    bad_option = copy.deepcopy(good)
    bad_option["param_groups"][0]["lr"] = "fast"
    with pytest.raises(OptionError):
        optimizer.load_state_dict(bad_option)
    for number, entries in optimizer.state_dict()["state"].items():
        np.testing.assert_array_equal(entries["momentum_buffer"], good["state"][number]["momentum_buffer"])
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_groups_of_a_model():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[1].weight}], lr=0.5, momentum=0.9
    )
    optimizer.add_param_group({"params": [model[1].bias], "lr": 2.0})
    assert [(len(g["params"]), g["lr"], g["momentum"]) for g in optimizer.param_groups] == [
        (2, 0.0, 0.9),
        (1, 0.5, 0.9),
        (1, 2.0, 0.9),
    ]
    before = [p.detach().numpy().copy() for p in model.parameters()]
    model(tv.ones(4, 2)).sum().backward()
    optimizer.step()
    changed = [not np.array_equal(p.detach().numpy(), b) for p, b in zip(model.parameters(), before, strict=True)]
    assert changed == [False, False, True, True]
    np.testing.assert_allclose(model[1].bias.detach().numpy(), before[3] - 2 * 4, rtol=1e-6)
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    hints = "    differentiable: False\n    foreach: None\n    fused: None\n"
    assert f"Parameter Group 2\n    dampening: 0\n{hints}    lr: 2.0\n" in repr(optimizer)


def test_adam_with_a_decoupled_decay_is_adamw():
    moved = []
    for make in (
        lambda p: optim.AdamW(p, weight_decay=0.3),
        lambda p: optim.Adam(p, weight_decay=0.3, decoupled_weight_decay=True),
    ):
        p = nn.Parameter(np.array([2.0, -1.0]))
        p.grad = tv.tensor(np.array([0.5, 1.0]))
        optimizer = make([p])
        optimizer.step()
        moved.append(p.detach().numpy())
    np.testing.assert_array_equal(*moved)


def test_closure():
    p = nn.Parameter(np.array([2.0]))
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4
    assert p.item() == 1
    with tv.no_grad(), pytest.raises(GraphError, match="no_grad"):
        optimizer.step(closure)


def test_stepping_before_backward_is_noticed():
    p = nn.Parameter(np.ones(2))
    loss = (p * p).sum()
    p.grad = tv.tensor(np.ones(2))
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


P = nn.Parameter(np.ones(2))
REFUSED = [
    (lambda: optim.SGD([], lr=0.1), "no parameters"),
    (lambda: optim.SGD(iter([]), lr=0.1), "no parameters"),
    (lambda: optim.SGD(P), "several"),
    (lambda: optim.SGD(3), "several"),
    (lambda: optim.SGD([P, P]), "twice"),
    (lambda: optim.SGD([{"params": [P]}, {"params": P}]), "twice"),
    (lambda: optim.SGD([P * 2]), "computed by mul"),
    (lambda: optim.SGD(["weight"]), "got str"),
    (lambda: optim.SGD([{"parameters": [P]}]), "params"),
    (lambda: optim.SGD([{"params": [P], "learning_rate": 1}]), "'learning_rate'"),
    (lambda: optim.SGD([P], lr=-1), "lr"),
    (lambda: optim.SGD([P], lr=float("nan")), "lr"),
    (lambda: optim.SGD([P], lr="0.1"), "lr"),
    (lambda: optim.SGD([P], lr=None), "lr"),
    (lambda: optim.SGD([P], momentum=-0.1), "momentum"),
    (lambda: optim.SGD([P], weight_decay=-0.1), "weight_decay"),
    (lambda: optim.SGD([P], nesterov=True), "nesterov"),
    (lambda: optim.SGD([P], nesterov=True, momentum=0.9, dampening=0.1), "nesterov"),
    (lambda: optim.Adam([P], betas=(0.9, 1.0)), "betas"),
    (lambda: optim.Adam([P], betas=0.9), "betas"),
    (lambda: optim.Adam([P], betas=(0.9,)), "betas"),
    (lambda: optim.Adam([P], betas=("a", "b")), "betas"),
    (lambda: optim.AdamW([P], eps=-1e-8), "eps"),
]


@pytest.mark.parametrize(("make", "named"), REFUSED)
def test_mistakes(make, named):
    with pytest.raises(OptionError, match=named):
        make()


def test_a_group_without_parameters_in_it():
    with pytest.raises(OptionError, match="a group's params are parameters, got int"):
        optim.SGD([{"params": 5}], lr=0.1)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_parameter_that_became_read_only_is_refused_before_any_moves(name):
    first, second = (nn.Parameter(np.ones((4, 5), np.float32)) for _ in range(2))
    optimizer = getattr(optim, name)([{"params": [first]}, {"params": [second]}], lr=0.1)
    second.array.flags.writeable = False
    first.grad, second.grad = tv.ones(4, 5), tv.ones(4, 5)
    with pytest.raises(OptionError, match=rf"{name}: a parameter \(4, 5\) is read-only"):
        optimizer.step()
    assert (first.array == 1).all()
    second.grad = None  # what is not updated may stay so
    optimizer.step()
    assert (first.array != 1).all()


def test_an_optimizer_of_ones_own_has_options_of_its_own():
    """Their names and values mean what its author says; PyTorch's base class judges none of them either."""

    def stepped(torch):
        class Own(torch.optim.Optimizer):
            def __init__(self, params, lr=optim.optimizer.required, rho=2.0, eps=-1.0, momentum=None):
                super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "momentum": momentum})

            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        p.data.add_(p.grad, alpha=-group["lr"] * group["rho"] * group.get("share", 1))

        p, q = (torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64)) for _ in range(2))
        own = Own([{"params": [p], "share": 0.5}, {"params": [q]}], lr=0.1)
        (p * q).sum().backward()
        own.step()
        return np.array([p.detach().numpy(), q.detach().numpy()])

    np.testing.assert_allclose(stepped(tv), stepped(torch), rtol=1e-15)


def test_a_group_may_have_entries_of_its_owner_s_but_none_that_is_misspelt():
    p = nn.Parameter(np.ones(2))
    marks = {"name": "head", "rho": 2.0, "lr_scale": 0.1, "layer_decay": 0.5, "decay": False}
    marks |= {"weight_decay_scale": 0.1, "initial_weight_decay": 0.1, "learning_rate_scale": 0.1}
    (group,) = optim.SGD([{"params": [p], **marks}]).param_groups
    assert {name: group[name] for name in marks} == marks
    elsewhere = ("learning_rate", "learningrate", "learn_rate", "LearningRate", "LR", "lr_", "wd", "WD", "weightdecay")
    for misspelt in ("momentun", "weight_deacy", *elsewhere):
        with pytest.raises(OptionError, match=f"unknown option '{misspelt}'"):
            optim.SGD([{"params": [p], misspelt: 0.1}])
    with pytest.raises(OptionError, match="unknown option 'lr_deacy'"):  # though it says lr, another option, whole
        optim.Adagrad([{"params": [p], "lr_deacy": 0.1}])


def test_an_option_without_default_must_be_named():
    with pytest.raises(OptionError, match="a group must say its lr"):
        optim.Optimizer([nn.Parameter(np.ones(2))], {"lr": optim.optimizer.required})


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_optimizer_still_requires_what_it_did(copied):
    own = optim.Optimizer([{"params": [nn.Parameter(np.ones(2))], "lr": 1.0}], {"lr": optim.optimizer.required})
    with pytest.raises(OptionError, match="a group must say its lr"):
        copied(own).add_param_group({"params": [nn.Parameter(np.ones(3))]})


def test_what_a_captured_step_reads_is_put_into_memory_once():
    optimizer = optim.SGD([nn.Parameter(np.ones(2))], lr=0.1)
    optimizer.make_repeatable()
    (before,) = optimizer.live.values()
    optimizer.make_repeatable()  # what was captured goes on reading the same memory
    (after,) = optimizer.live.values()
    assert after is before
    with pytest.raises(OptionError, match="RMSprop cannot be part of a CUDA graph"):
        optim.RMSprop([nn.Parameter(np.ones(2))]).make_repeatable()


def test_of_a_saved_group_its_options_and_what_schedules_keep_come_back():
    p = nn.Parameter(np.ones(2))
    state = optim.SGD([p], lr=0.1).state_dict()
    state["param_groups"][0] |= {"lr": 0.2, "initial_lr": 0.3, "unheard": None}
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.load_state_dict(state)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["initial_lr"], "unheard" in group, group["params"]) == (0.2, 0.3, False, [p])


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "LBFGS"])
def test_a_learning_rate_is_a_number(name):
    with pytest.raises(OptionError, match=rf"{name}: lr must be a number.*give lr.item\(\)"):
        getattr(optim, name)([nn.Parameter(np.ones(2))], lr=tv.tensor(0.1))


def test_weight_decay_would_change_a_gradient_in_the_parameters_memory():
    p = nn.Parameter(np.ones(2))
    p.grad = p.detach()
    with pytest.raises(OptionError, match=r"AdamW: the .grad of a parameter \(2,\) lies in its own memory"):
        optim.AdamW([p]).step()
    assert p.tolist() == [1, 1]
    optim.AdamW([p], weight_decay=0).step()
    assert p.tolist() != [1, 1]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"])
@pytest.mark.parametrize("shapes", [((4,), (4, 4)), ((4, 4), (4,)), ((1, 4), (4,))])
def test_a_parameter_that_was_given_another_shape_is_not_stepped_with_what_was_before(name, shapes):
    old, new = shapes
    options = {"momentum": 0.9} if name == "SGD" else {}
    p, other = nn.Parameter(np.ones(old)), nn.Parameter(np.ones(2))
    optimizer = getattr(optim, name)([other, p], lr=0.1, **options)

    def learn():
        (p.sum() + other.sum()).backward()
        optimizer.step()

    learn()
    p.data = tv.Tensor(np.ones(new))
    before = other.tolist()
    with pytest.raises(ShapeError, match=rf"{name}: the .grad of a parameter is .* but the parameter \({new[0]},"):
        optimizer.step()
    optimizer.zero_grad()
    with pytest.raises(ShapeError, match=rf"{name}: the [a-z_]+ of a parameter is .* make a new optimizer"):
        learn()
    assert other.tolist() == before


def test_a_gradient_of_another_shape_is_not_added_to():
    p = nn.Parameter(np.ones(4))
    p.sum().backward()
    p.data = tv.Tensor(np.ones((4, 4)))
    with pytest.raises(ShapeError, match=r"a gradient \(4, 4\) cannot be added to the .grad \(4,\).*set it to None"):
        p.sum().backward()


@pytest.mark.parametrize("maximize", [False, True])
def test_sgd_without_momentum_remembers_nothing(maximize):
    for t in (tv, torch):
        parameters = [t.nn.Parameter(t.ones(3)), t.nn.Parameter(t.ones(2).double())]
        optimizer = t.optim.SGD(parameters, lr=0.1, maximize=maximize)
        sum(p.sum() for p in parameters).backward()
        optimizer.step()
        assert len(optimizer.state) == 0


HINTS = {"foreach": False, "capturable": False, "differentiable": False}


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"])
def test_a_groups_options_are_those_of_pytorchs(name):
    """Those included that only choose among ways to compute the same; and files hold them both ways."""
    ours, theirs = ([getattr(t.optim, name)([t.nn.Parameter(t.ones(2))]) for _ in "ab"] for t in (tv, torch))
    for mine, yours in zip(ours, theirs, strict=True):
        assert mine.state_dict()["param_groups"] == yours.state_dict()["param_groups"]
        known = {key: value for key, value in HINTS.items() if key in mine.defaults}
        mine.param_groups[0].update(known, lr=0.25)
        yours.param_groups[0].update(known, lr=0.25)
    fresh, new = (getattr(t.optim, name)([t.nn.Parameter(t.ones(2))]) for t in (tv, torch))
    fresh.load_state_dict(theirs[0].state_dict())
    new.load_state_dict({"state": {}, "param_groups": ours[0].state_dict()["param_groups"]})
    assert fresh.state_dict()["param_groups"] == new.state_dict()["param_groups"]
    assert fresh.param_groups[0]["foreach"] is False
    assert fresh.param_groups[0]["lr"] == 0.25


def test_a_step_on_the_tape_is_refused_in_a_group_too():
    with pytest.raises(OptionError, match="differentiable"):
        tv.optim.SGD([{"params": [tv.nn.Parameter(tv.ones(2))], "differentiable": True}])
