"""print(model), and gradients that are set to zero."""

import numpy as np

import tinyvision as tv
from tinyvision import nn


class Scaled(nn.Module):
    """A module with children and options of its own."""

    def __init__(self):
        self.body = nn.Sequential(nn.ReLU(), nn.Identity())
        self.head = nn.ReLU()

    def extra_repr(self):
        return "scale=2"


def test_options_children_and_their_children_are_shown_one_inside_of_another():
    assert repr(Scaled()) == (
        "Scaled(\n  scale=2\n  (body): Sequential(\n    (0): ReLU()\n    (1): Identity()\n  )\n  (head): ReLU()\n)"
    )
    assert repr(nn.Sequential(nn.ReLU())) == "Sequential(\n  (0): ReLU()\n)"  # no empty line without options


def test_gradients_are_forgotten_or_set_to_zero():
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(2, 1))
    model[0](tv.ones(1, 2)).sum().backward()
    kept = model[0].weight.grad
    model.zero_grad(set_to_none=False)
    assert model[0].weight.grad is kept
    assert not np.any(kept.numpy())
    assert model[1].weight.grad is None
    model.zero_grad()
    assert model[0].weight.grad is None
