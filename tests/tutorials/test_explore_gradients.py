"""The pages on batch-norm, the tape and the optimisers: their numbers are the engine's."""

import json

import numpy as np
import pytest

from tests.tutorials.browser import assert_shown, cell, needs_browser
from tinyvision import ops, optim
from tinyvision.nn import Parameter
from tinyvision.tensors.tensor import Tensor


def _batchnorm_settings():
    rng = np.random.default_rng(5)
    for mode in ("train", "frozen"):
        yield {"mode": mode}
        x, dy = (rng.normal(size=(1, 6)).round(3).tolist() for _ in range(2))
        yield {"mode": mode, "x": x, "dy": dy, "weight": -2.5, "bias": 1, "running_mean": -1, "running_var": 2.5}


@needs_browser
@pytest.mark.parametrize("case", range(4))
def test_batchnorm_shows_our_numbers(play, case):
    state = play("batchnorm", json.dumps([["set", s] for s in _batchnorm_settings()]))[case]
    assert state["refused"] is None
    s, n = state["setting"], state["numbers"]
    x, dy = (np.array(s[name], float).reshape(6, 1) for name in ("x", "dy"))
    weight, bias = np.array([float(s["weight"])]), np.array([float(s["bias"])])
    if s["mode"] == "train":
        y, kept = ops.batchnorm_train_forward(x, weight, bias)
        dx, dweight, dbias = ops.batchnorm_train_backward(dy, kept)
    else:
        running = (np.array([float(s["running_mean"])]), np.array([float(s["running_var"])]))
        y, kept = ops.batchnorm_frozen_forward(x, weight, bias, *running)
        dx, dweight, dbias = ops.batchnorm_frozen_backward(dy, kept)[:3]
    for name, value in {"y": y, "dx": dx, "dweight": dweight, "dbias": dbias}.items():
        np.testing.assert_allclose(np.ravel(n[name]), value.ravel(), rtol=0, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(n["added"], n["dx"], rtol=0, atol=0)
    np.testing.assert_allclose(n["nudged"], dx.ravel(), rtol=0, atol=1e-6)
    assert "they agree" in state["explain"]
    for name, value in {"x": x, "y": y, "dy": dy, "dx": dx}.items():
        assert_shown(state["shown"][name], value.T)


@needs_browser
def test_batchnorm_without_a_path(play):
    actions = [["click", "[data-path=variance]"], ["click", cell("y", 0, 5)], ["click", "#ones"]]
    actions += [["type", cell("x", 0, 0), "7"], ["set", {"paths": ["sideways"]}], ["set", {"x": [[1]]}]]
    off, last, ones, typed, *refused = play("batchnorm", json.dumps(actions), width=500)
    assert off["setting"]["paths"] == ["direct", "mean"]
    assert "for want of a path" in off["explain"]
    assert last["setting"]["cell"] == 5
    assert "proves nothing" in ones["explain"]
    assert typed["setting"]["x"][0][0] == 7
    assert [r["refused"].partition(":")[0] for r in refused] == ["RangeError"] * 2
    assert last["wide"] <= 0


PROGRAMS = {
    "twice": "a = 2\nb = -3\nc = a * b\nd = c + a\nL = d * d",
    "every op": "a = 0.7\nb = 1.3e0\nc = exp(a) / log(b + 2) - -a ** 2\nd = tanh(c * .5) + sigmoid(b)\n"
    "e = sqrt(d * d + 1) # twice d\nu = relu(-e)\nL = (e + 3 * relu(c) + u) ** -1.5 / (a - b)",
    "unused": "a = 1\nb = 2\nc = a * 5\nL = b ** 2",
    "twice the same": "a = 3\nL = a / a + a * a - a",
}


def _by_the_engine(program):
    """Runs a page's program with the engine's tensors: its names, after backward()."""
    functions = {
        name: lambda t, name=name: getattr(t, name)() for name in ("exp", "log", "relu", "tanh", "sigmoid", "sqrt")
    }
    names = {}
    for line in program.splitlines():
        name, right = (part.strip() for part in line.partition("#")[0].split("="))
        try:
            names[name] = Tensor.of(np.array(float(right)), requires_grad=True)
        except ValueError:
            names[name] = eval(right, {**functions, **names})
            names[name].retain_grad()
    names["L"].backward()
    return names


@needs_browser
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tape_shows_our_numbers(play, name):
    states = play("tape", json.dumps([["set", {"program": program}] for program in PROGRAMS.values()]))
    state = states[list(PROGRAMS).index(name)]
    assert state["refused"] is None
    n = state["numbers"]
    for own, tensor in _by_the_engine(PROGRAMS[name]).items():
        assert n["values"][own] == pytest.approx(float(tensor.detach().numpy()), rel=1e-13)
        grad = None if tensor.grad is None else float(tensor.grad.numpy())
        assert n["gradients"][own] == (None if grad is None else pytest.approx(grad, rel=1e-12, abs=1e-15)), own
    assert n["records"][-1].startswith("L = ")


@needs_browser
def test_the_tape_stepped(play):
    actions = [["set", {"step": 0}], *[["click", "#next"]] * 8, ["slide", "[data-setting=example]", "entropy"]]
    *steps, entropy = play("tape", json.dumps(actions), width=500)
    assert [s["setting"]["step"] for s in steps] == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    assert "Record 1: c = mul(a, b) = −6" in steps[1]["explain"]
    assert "a had −8 from another use; they add up to 16" in steps[7]["explain"]
    assert "both shares add up to −8" in steps[5]["explain"]
    assert entropy["setting"]["step"] == 0
    assert entropy["setting"]["program"].startswith("s = 1.2")
    assert entropy["wide"] <= 0


REFUSED = {
    "a = 2\nL = a * x": "line 2, “L = a * x”: x is not known above this line",
    "a = 2\na = 3\nL = a * a": "a is there already",
    "a = 2\nL = (a + 1": "a ) is missing",
    "a = 2\nL = a **  a": "a power must be a number",
    "a = 2\nL = a $ 2": "“$” is not understood",
    "a = 2": "computes nothing",
    "a = -1\nL = log(a)": "not a finite number",
    "a = 2\nL = a + ": "ends too early",
    "a = 2\nb = a * a\nc = 1": "the last line must compute the loss",
    "exp = 2": "exp is a function",
    "what is this": "must be a name, =, and what it is",
    "a = 1\nb = a": "must compute something new",
    "a = 1\nL = " + "+".join("a" * 30): "at most 24 fit here",
}


@needs_browser
def test_programs_that_make_no_sense_are_refused_in_words(play):
    states = play("tape", json.dumps([["set", {"program": program}] for program in REFUSED]))
    for state, says in zip(states, REFUSED.values(), strict=True):
        assert says in state["refused"]
        assert state["setting"]["example"] == "twice"


SURFACES = {
    "bowl": lambda x, y: (x * x + y * y) / 2,
    "ravine": lambda x, y: (x * x + 20 * y * y) / 2,
    "bend": lambda x, y: (2 - x) ** 2 / 20 + (y + 1 - x * x / 4) ** 2,
    "hollows": lambda x, y: (x * x - 4) ** 2 / 16 + y * y / 2 + 0.3 * x,
}
OPTIMIZERS = {
    "sgd": lambda p, s: optim.SGD(p, lr=s["lr"]),
    "momentum": lambda p, s: optim.SGD(p, lr=s["lr"], momentum=s["momentum"]),
    "nesterov": lambda p, s: optim.SGD(p, lr=s["lr"], momentum=s["momentum"], nesterov=True),
    "adam": lambda p, s: optim.Adam(p, lr=s["adam_lr"]),
}


@needs_browser
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("surface", SURFACES)
def test_optimisers_walk_as_ours_do(play, surface, optimizer):
    common = {"lr": 0.02, "momentum": 0.8, "adam_lr": 0.1, "start": [-2.5, 1.75]}
    states = play("optimisers", json.dumps([["set", {"surface": name, **common}] for name in SURFACES]))
    state = states[list(SURFACES).index(surface)]
    assert state["refused"] is None
    walked = state["numbers"][optimizer]
    assert len(walked) == 101
    place = [Parameter(np.array(value)) for value in common["start"]]
    stepper = OPTIMIZERS[optimizer](place, state["setting"])
    for step in walked[:40]:
        stepper.zero_grad()
        loss = SURFACES[surface](*place)
        loss.backward()
        ours = [[float(v.detach().numpy()) for v in place], [float(v.grad.numpy()) for v in place]]
        np.testing.assert_allclose([step["p"], step["g"]], ours, rtol=1e-9, atol=1e-11)
        assert step["loss"] == pytest.approx(float(loss.detach().numpy()), rel=1e-9)
        stepper.step()


@needs_browser
def test_optimisers_clicked(play):
    actions = [["set", {"surface": "ravine", "lr": 0.09, "step": 100}], ["click", "[data-optimizer=sgd]"]]
    actions += [["key", "#plot-box", "ArrowUp"], ["click", "#next"], ["slide", "[data-setting=momentum]", "0.99"]]
    actions += [["set", {"lr": 2}], ["set", {"lr": -1}], ["set", {"start": [5, 0]}], ["set", {"momentum": 1}]]
    _, sgd, moved, end, heavy, flown, *refused = play("optimisers", json.dumps(actions), width=500)
    assert sgd["setting"]["optimizer"] == "sgd"
    assert "SGD does next, step 101" in sgd["explain"]
    assert moved["setting"]["start"] == [-3, 1.75]
    assert end["setting"]["step"] == 100
    assert heavy["setting"]["momentum"] == 0.99
    assert "SGD has flown off" in flown["explain"]
    assert "overshoots above lr = 2 / 20 = 0.1" in flown["explain"]
    assert [r["refused"].partition(":")[0] for r in refused] == ["RangeError"] * 3
    assert flown["wide"] <= 0
