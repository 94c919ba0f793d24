"""Initialisation: the distributions are PyTorch's, by their bounds and moments."""

import math

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError
from tinyvision.nn import init

torch = pytest.importorskip("torch")

SHAPE = (64, 48, 5, 5)  # 76,800 numbers: a standard deviation is met within 5 · 0.26 %


def sample(function, *arguments, **options):
    tv.manual_seed(1)
    w = nn.Parameter(tv.zeros(*SHAPE))
    assert getattr(init, function)(w, *arguments, **options) is w
    torch.manual_seed(1)
    other = torch.empty(SHAPE)
    getattr(torch.nn.init, function)(other, *arguments, **options)
    return w.detach().numpy(), other.numpy()


CASES = [
    ("uniform_", (), {}),
    ("uniform_", (-2, 3), {}),
    ("normal_", (), {}),
    ("normal_", (1.5, 0.1), {}),
    ("kaiming_uniform_", (), {}),
    ("kaiming_uniform_", (), {"a": math.sqrt(5)}),
    ("kaiming_uniform_", (), {"mode": "fan_out"}),
    ("kaiming_uniform_", (), {"nonlinearity": "relu"}),
    ("kaiming_normal_", (), {}),
    ("xavier_uniform_", (), {}),
    ("kaiming_normal_", (), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", (), {"nonlinearity": "tanh"}),
    ("xavier_uniform_", (), {"gain": 2.0}),
    ("xavier_normal_", (), {}),
    ("xavier_normal_", (0.5,), {}),
    ("trunc_normal_", (), {"std": 0.02}),
    ("trunc_normal_", (0.5, 1.0, 0.0, 2.0), {}),
]


@pytest.mark.parametrize(("function", "arguments", "options"), CASES, ids=str)
def test_distribution(function, arguments, options):
    ours, theirs = sample(function, *arguments, **options)
    error = 5 * theirs.std() / math.sqrt(theirs.size)
    assert abs(ours.mean() - theirs.mean()) < 2 * error
    assert ours.std() == pytest.approx(theirs.std(), rel=0.026)  # ten standard errors: both are samples
    if "normal" not in function:
        assert ours.min() == pytest.approx(theirs.min(), rel=1e-3, abs=1e-3)
        assert ours.max() == pytest.approx(theirs.max(), rel=1e-3)
    if "trunc" in function:
        low, high = arguments[2:] or (-2, 2)
        assert ours.min() >= low
        assert ours.max() <= high


def test_constants():
    w = nn.Parameter(tv.zeros(2, 3))
    assert init.ones_(w).tolist() == [[1] * 3] * 2
    assert init.zeros_(w).tolist() == [[0] * 3] * 2
    assert init.constant_(w, 0.5).tolist() == [[0.5] * 3] * 2
    assert w.requires_grad


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"])
def test_gains(name):
    assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-12)
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(
        torch.nn.init.calculate_gain("leaky_relu", 0.3), rel=1e-12
    )


def test_one_seed_one_model_in_every_precision():
    weights = []
    for dtype in (np.float32, np.float64):
        tv.manual_seed(5)
        weights.append(init.normal_(tv.zeros(3, 4, dtype=dtype)).numpy())
    np.testing.assert_array_equal(weights[0], weights[1].astype(np.float32))


def test_mistakes():
    w = tv.zeros(3, 4)
    for wrong in (
        lambda: init.kaiming_normal_(w, mode="fan_both"),
        lambda: init.kaiming_normal_(w, nonlinearity="swish"),
        lambda: init.uniform_(w, 2, 1),
        lambda: init.normal_(w, 0, -1),
        lambda: init.trunc_normal_(w, std=0),
    ):
        with pytest.raises(OptionError):
            wrong()
    with pytest.raises(ShapeError, match="at least 2 axes"):
        init.xavier_uniform_(tv.zeros(3))


def test_the_names_of_old_scripts():
    for name in ("uniform", "normal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"):
        tv.manual_seed(0)
        with pytest.warns(FutureWarning, match=f"old name of {name}_"):
            old = getattr(init, name)(tv.zeros(3, 4))
        tv.manual_seed(0)
        assert old.tolist() == getattr(init, f"{name}_")(tv.zeros(3, 4)).tolist()
    with pytest.warns(FutureWarning):
        assert init.constant(tv.zeros(2), 3).tolist() == [3, 3]


def test_identities_and_orthogonal_matrices():
    w = tv.zeros(4, 3)
    np.testing.assert_array_equal(nn.init.eye_(w).numpy(), np.eye(4, 3))
    for groups in (1, 2):
        ours, theirs = tv.zeros(6, 2, 3, 3), torch.zeros(6, 2, 3, 3)
        np.testing.assert_array_equal(
            nn.init.dirac_(ours, groups).numpy(), torch.nn.init.dirac_(theirs, groups).numpy()
        )
    for shape in ((3, 2, 2, 2), (20, 2, 3)):
        q = nn.init.orthogonal_(tv.zeros(*shape, dtype=tv.float64), gain=2).numpy().reshape(shape[0], -1)
        product = q @ q.T if shape[0] < q.shape[1] else q.T @ q
        np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    x = nn.init.sparse_(tv.zeros(10, 7), 0.25).numpy()
    assert ((x == 0).sum(axis=0) == 3).all()
    for name in ("conv_transpose2d", "selu", "tanh", "linear"):
        assert nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


@pytest.mark.parametrize("fill", [nn.init.eye_, nn.init.orthogonal_, nn.init.dirac_, lambda t: nn.init.sparse_(t, 0.5)])
def test_what_a_vector_cannot_be(fill):
    with pytest.raises(ShapeError):
        fill(tv.zeros(3))
