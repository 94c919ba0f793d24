"""landscape.html: what it says of a place is the engine's loss there, its accuracy, and its slope within the plane."""

import json

import numpy as np
import pytest

from tests.tutorials.browser import cell, needs_browser, number
from tinyvision import nn
from tinyvision.nn import Parameter
from tinyvision.tensors.tensor import Tensor
from tutorials import interactive, landscape

PLACES = {
    "between": [[0, 1], [0, 0], [1, 0], [0.5, 0], [-0.35, 1.2]],
    "around": [[0, 0], [0.5, 0.5], [-0.75, 0.2]],
}
PLACE = [(plane, digits, place) for plane in PLACES for digits in ("learned", "unseen") for place in PLACES[plane]]
ACTIONS = [["set", {"plane": plane, "digits": digits, "place": place}] for plane, digits, place in PLACE]


@pytest.fixture(scope="module")
def carried():
    return interactive.carried(landscape.PAGE)


def arrays(carried, name):
    return {key: np.array(value) for key, value in carried[name].items()}


def directions(carried, plane):
    """What a step of 1 to the right, and upwards, adds to the weights of A."""
    if plane == "around":
        return arrays(carried, "east"), arrays(carried, "north")
    first = arrays(carried, "first")
    return tuple({k: v - first[k] for k, v in arrays(carried, name).items()} for name in ("second", "start"))


def of_the_engine(carried, plane, digits, place):
    """(loss, how many are right, [slope to the right, slope upwards], length of the whole gradient), by the tape."""
    first, (right, up) = arrays(carried, "first"), directions(carried, plane)
    a, b = (Parameter(np.array(float(value))) for value in place)
    weights = {k: Tensor.of(first[k]) + a * Tensor.of(right[k]) + b * Tensor.of(up[k]) for k in landscape.SHAPES}
    for value in weights.values():
        value.retain_grad()
    pictures, labels, letters = landscape.digits(digits == "learned")
    assert letters == carried[digits]["letters"]
    F = nn.functional
    hidden = F.linear(Tensor.of(pictures.reshape(100, 64)), weights["1.weight"], weights["1.bias"]).relu()
    scores = F.linear(hidden, weights["3.weight"], weights["3.bias"])
    loss = F.cross_entropy(scores, Tensor.of(labels))
    loss.backward()
    found = int((scores.detach().numpy().argmax(1) == labels).sum())
    length = np.sqrt(sum((v.grad.numpy() ** 2).sum() for v in weights.values()))
    return loss.item(), found, [a.grad.item(), b.grad.item()], length


@needs_browser
@pytest.mark.parametrize("case", range(len(PLACE)))
def test_a_place_s_numbers_are_the_engine_s(play, carried, case):
    state = play("landscape", json.dumps(ACTIONS))[case]
    assert state["refused"] is None
    loss, right, slope, length = of_the_engine(carried, *PLACE[case])
    here = state["numbers"]["here"]
    assert here["loss"] == pytest.approx(loss, rel=1e-9, abs=1e-12)
    assert here["right"] == right
    np.testing.assert_allclose(here["slope"], slope, rtol=1e-8, atol=1e-12)
    assert here["length"] == pytest.approx(length, rel=1e-8)
    assert f"{right} of 100 digits right" in state["explain"]


@needs_browser
def test_the_lattice_is_the_engine_s(play, carried):
    states = play("landscape", json.dumps(ACTIONS))
    for plane, low, high in (("between", -0.5, 1.5), ("around", -1, 1)):
        state = states[PLACE.index((plane, "unseen", PLACES[plane][1]))]
        for i, j in ((0, 0), (2, 5), (6, 6)):
            place = [low + (high - low) * j / 6, high - (high - low) * i / 6]
            loss, *_ = of_the_engine(carried, plane, "unseen", place)
            assert state["numbers"]["losses"][i][j] == pytest.approx(loss, rel=1e-9, abs=1e-12)
            text = number(state["shown"]["losses"][i][j]["text"])
            assert text == pytest.approx(loss, abs=0.5 if loss >= 100 else 0.05 if loss >= 10 else 0.005)


def test_the_page_carries_what_was_learned(carried):
    """Made anew on another CPU the last digits may differ; what the page says of A, B and S may not."""
    assert sum(np.size(v) for v in carried["first"].values()) == 910
    for name, least, most in (("start", 0, 30), ("first", 100, 100), ("second", 100, 100)):
        model = landscape.network().double().eval()
        model.load_state_dict(arrays(carried, name))
        pictures, labels, _ = landscape.digits(train=True)
        right = (model(Tensor.of(pictures)).detach().numpy().argmax(1) == labels).sum()
        assert least <= right <= most
    _, middle, _, _ = of_the_engine(carried, "between", "learned", [0.5, 0])
    assert middle < 90
    for name in ("east", "north"):
        for key, array in arrays(carried, name).items():
            lengths = [np.linalg.norm(a.reshape(len(a), -1), axis=1) for a in (array, np.array(carried["first"][key]))]
            np.testing.assert_allclose(*lengths, atol=0.003 * np.sqrt(array[0].size))


@needs_browser
def test_landscape_clicked(play):
    actions = [["click", "#down"], ["click", "#to-first"], ["key", "#plot-box", "ArrowRight"]]
    actions += [["set", {"place": [0.5, 0]}], ["click", cell("losses", 6, 2)], ["click", "#to-start"]]
    actions += [["set", {"place": [2, 0]}], ["set", {"plane": "sphere"}], ["set", {"lr": 0}]]
    down, first, moved, middle, picked, start, *refused = play("landscape", json.dumps(actions), width=500)
    slope = start["numbers"]["here"]["slope"]
    np.testing.assert_allclose(down["setting"]["place"], [0 - 0.05 * slope[0], 1 - 0.05 * slope[1]], rtol=1e-12)
    assert down["numbers"]["here"]["loss"] < start["numbers"]["here"]["loss"]
    assert first["setting"]["place"] == [0, 0]
    assert "100 of 100 digits right" in first["explain"]
    assert moved["setting"]["place"] == [0.05, 0]
    assert "this mean of their weights does not" in middle["explain"]
    np.testing.assert_allclose(picked["setting"]["place"], [-0.5 + 2 / 3, -0.5], atol=1e-3)
    assert start["setting"]["place"] == [0, 1]
    assert [r["refused"].partition(":")[0] for r in refused] == ["RangeError"] * 3
    assert start["wide"] <= 0
