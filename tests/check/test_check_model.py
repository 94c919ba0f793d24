"""check.model: a whole network at once."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import check, nn
from tinyvision.errors import OptionError
from tinyvision.ops import linear_backward, linear_forward
from tinyvision.tape import differentiable


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.pool, self.drop = nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5)
        self.head = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x):
        x = self.pool(self.relu(self.norm(self.conv(x))))
        return self.head(self.drop(x.view(x.size(0), -1)))


def batch():
    return tv.randn(3, 3, 8, 8), tv.tensor([0, 3, 3])


def test_a_right_network_passes_and_is_left_alone():
    model = Small()
    before = {name: np.array(a) for name, a in model.state_dict().items()}
    report = check.model(model, batch())
    assert report.passed, str(report)
    assert "conv.bias does not influence the loss" in report.notes[0]
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(np.array(a), before[name])
    assert check.model(model.eval(), batch()[0]).passed


def test_a_deep_network_of_relus_passes():
    layers = [layer for _ in range(8) for layer in (nn.Linear(30, 30), nn.ReLU())]
    assert check.model(nn.Sequential(*layers, nn.Linear(30, 4)), (tv.randn(16, 30), tv.tensor([0, 1, 2, 3] * 4))).passed


def broken(change):
    op = differentiable(linear_forward, lambda dy, cache, needs=None: change(list(linear_backward(dy, cache))))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 7), nn.Linear(7, 5)

        def forward(self, x):
            return self.second(op(x, self.first.weight, self.first.bias).tanh())

    return check.model(Net(), (tv.randn(4, 6), tv.tensor([0, 1, 2, 2])))


def test_a_wrong_backward_is_found_in_its_parameter():
    report = broken(lambda g: [g[0], 2 * g[1], g[2]])
    assert {k for k, v in report.status.items() if v == "wrong"} == {"first.weight"}
    assert report.findings[0].signature == "factor:2"
    assert broken(lambda g: [g[0], g[1], g[2] / 4]).findings[0].signature == "factor:1/4"
    assert broken(lambda g: [g[0], g[1] * 0, g[2]]).findings[0].signature == "zero"
    unknown = broken(lambda g: [g[0], np.ascontiguousarray(g[1][::-1]), g[2]]).findings[0]
    assert unknown.signature is None
    assert unknown.where.differing > 0


def test_frozen_parameters_are_skipped_and_detached_ones_found():
    model = Small()
    model.conv.freeze()
    assert check.model(model, batch()).status["conv.weight"] == "skipped"

    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 7), nn.Linear(7, 5)

        def forward(self, x):
            return self.second(self.first(x).detach())

    report = check.model(Detached(), (tv.randn(4, 6), tv.tensor([0, 1, 2, 2])))
    assert {f.signature for f in report.findings} == {"no_gradient"}


def test_failures_have_words():
    with pytest.raises(OptionError, match="Module"):
        check.model("model", batch())

    class Raises(Small):
        def forward(self, x):
            return x.no_such_thing

    finding = check.model(Raises(), batch()).findings[0]
    assert finding.mistake == "exception"
    assert finding.file == __file__
