"""The blocks that networks share, beside torchvision's."""

import numpy as np
import pytest
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError
from tinyvision.models import blocks

T = torchvision.ops


def same(ours, theirs, x, training=True):
    """Scores, gradients and statistics of the two agree; the weights are random."""
    theirs = theirs.double()
    ours.load_state_dict(theirs.state_dict())
    ours.double()
    ours.train(training), theirs.train(training)
    mine, other = tv.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    y, expected = ours(mine), theirs(other)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    dy = np.random.default_rng(1).normal(size=y.shape)
    y.backward(tv.tensor(dy)), expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-11)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
    assert repr(ours).count("\n") == repr(theirs).count("\n")


X = np.random.default_rng(0).normal(size=(3, 4, 7, 6))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kernel_size": 1, "activation_layer": None},
        {"kernel_size": (3, 5), "stride": 2, "dilation": 2, "inplace": None},
        {"groups": 2, "norm_layer": None},
        {"bias": True, "padding": 0},
    ],
    ids=str,
)
def test_conv_norm_activation(options):
    theirs = dict(options)
    same(blocks.Conv2dNormActivation(4, 6, **options), T.Conv2dNormActivation(4, 6, **theirs), X)


@pytest.mark.parametrize("training", [True, False])
def test_the_others(training):
    same(blocks.SqueezeExcitation(4, 2), T.SqueezeExcitation(4, 2), X, training)
    same(blocks.Permute([0, 3, 1, 2]), T.Permute([0, 3, 1, 2]), X, training)
    frozen = T.FrozenBatchNorm2d(4)
    frozen.running_mean.uniform_(-1, 1), frozen.running_var.uniform_(0.5, 2), frozen.weight.uniform_(0.5, 2)
    same(blocks.FrozenBatchNorm2d(4), frozen, X, training)
    x = X.reshape(-1, 6)
    same(blocks.MLP(6, [5, 3]), T.MLP(6, [5, 3]), x, training)
    same(
        blocks.MLP(6, [5, 3], norm_layer=nn.BatchNorm1d, inplace=False),
        T.MLP(6, [5, 3], norm_layer=torch.nn.BatchNorm1d, inplace=False),
        x,
        training,
    )


@pytest.mark.parametrize("mode", ["batch", "row"])
def test_stochastic_depth(mode):
    x = tv.tensor(np.ones((400, 2, 3)), requires_grad=True)
    layer = blocks.StochasticDepth(0.25, mode)
    kept = []
    for _ in range(40):
        y = layer(x)
        assert y.dtype == np.float64
        values = y.detach().numpy()
        assert set(np.unique(values)) <= {0.0, 1 / 0.75}
        rows = values.reshape(400, -1)
        assert (rows == rows[:, :1]).all()
        assert mode == "row" or len(np.unique(values)) == 1
        kept.append((rows[:, 0] > 0).mean())
    # The mean of 16,000 rows, or of 40 batches: 0.75 within five standard deviations.
    assert np.mean(kept) == pytest.approx(0.75, abs=5 * (0.1875 / (16_000 if mode == "row" else 40)) ** 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert layer.eval()(x) is x
    assert not blocks.StochasticDepth(1.0, mode)(x).any()


def test_mistakes():
    for call in (
        lambda: blocks.StochasticDepth(0.5, "column"),
        lambda: blocks.StochasticDepth(1.5, "row"),
        lambda: blocks.stochastic_depth(tv.zeros(2, 2), 0.5, "column"),
    ):
        with pytest.raises(OptionError):
            call()


@pytest.mark.parametrize("value", [3, 12.5, 17.6, 24, 91.2, 1000.1])
def test_make_divisible(value):
    theirs = torchvision.models._utils._make_divisible
    assert blocks._make_divisible(value, 8) == theirs(value, 8)
    assert blocks._make_divisible(value, 4, 16) == theirs(value, 4, 16)


@pytest.mark.parametrize(
    "kinds", [(nn.ReLU, nn.Sigmoid), (nn.SiLU, nn.Sigmoid), (nn.ReLU, nn.Hardsigmoid), (nn.GELU, nn.Tanh)]
)
def test_squeeze_and_excitation_without_recording_is_the_layers_one_by_one(kinds):
    tv.manual_seed(0)
    block, x = blocks.SqueezeExcitation(12, 4, *kinds).double(), tv.randn(3, 12, 5, 6).double()
    recorded = block(x)
    recorded.sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    with tv.no_grad():  # float64
        np.testing.assert_allclose(block(x).array, recorded.array, rtol=0, atol=1e-12)
