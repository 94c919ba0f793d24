"""Averages of parameters beside the training: as PyTorch's, over a small training."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError
from tinyvision.optim import swa_utils

torch = pytest.importorskip("torch")
from torch.optim import swa_utils as theirs  # noqa: E402

WAYS = {
    "mean": lambda u: {},
    "mean, given": lambda u: {"avg_fn": u.get_swa_avg_fn()},
    "exponential": lambda u: {"avg_fn": u.get_ema_avg_fn(0.9)},
    "of lists": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    "mean of lists": lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    "with buffers": lambda u: {"use_buffers": True},
    "own": lambda u: {"avg_fn": lambda a, p, n: 0.25 * a + 0.75 * p},
}


def network(t):
    return t.nn.Sequential(t.nn.Conv2d(2, 3, 3), t.nn.BatchNorm2d(3), t.nn.ReLU(), t.nn.Flatten(), t.nn.Linear(12, 2))


def trained(t, utils, ways, state, batches):
    """The average's state dict after some steps, update_bn, and what it says of a batch."""
    model = network(t).double()
    model.load_state_dict({name: t.tensor(value) for name, value in state.items()})
    average = utils.AveragedModel(model, **ways(utils))
    optimizer = t.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for x in batches:
        optimizer.zero_grad()
        model(t.tensor(x)).pow(2).sum().backward()
        optimizer.step()
        average.update_parameters(model)
    before = {name: value.numpy().copy() for name, value in average.state_dict().items()}
    average.eval()
    momentum = average.module[1].momentum
    utils.update_bn([(t.tensor(x), 0) for x in batches], average)
    assert not average.training
    assert not average.module[1].training
    assert average.module[1].momentum == momentum
    after = {name: value.numpy().copy() for name, value in average.state_dict().items()}
    return before, after, average(t.tensor(batches[0])).detach().numpy()


@pytest.mark.parametrize("way", WAYS)
def test_an_average_is_pytorchs(way, rng):
    batches = [rng.standard_normal((3, 2, 4, 4)) for _ in range(5)]
    torch.manual_seed(0)
    state = {name: value.numpy() for name, value in network(torch).double().state_dict().items()}
    expected = trained(torch, theirs, WAYS[way], state, batches)
    got = trained(tv, swa_utils, WAYS[way], state, batches)
    # PyTorch divides by the number of models in float32 here.
    near = 1e-5 if way == "mean of lists" else 1e-9
    for ours, other in zip(got[:2], expected[:2], strict=True):
        assert list(ours) == list(other)
        for name, value in ours.items():
            assert value.dtype == other[name].dtype
            np.testing.assert_allclose(value, other[name], rtol=near, atol=1e-3 * near, err_msg=name)
    np.testing.assert_allclose(got[2], expected[2], rtol=near, atol=near * np.abs(expected[2]).max())


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 3}, {"anneal_epochs": 0}, {"anneal_strategy": "linear"}])
@pytest.mark.parametrize("first", [0, 4])
def test_the_learning_rates_are_pytorchs(options, first):
    seen = []
    for t, utils in ((torch, theirs), (tv, swa_utils)):
        layers = [t.nn.Linear(2, 2) for _ in range(2)]
        groups = [{"params": layers[0].parameters()}, {"params": layers[1].parameters(), "lr": 0.3}]
        optimizer = t.optim.SGD(groups, lr=0.1)
        decay = t.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
        for _ in range(first):
            optimizer.step(), decay.step()
        schedule = utils.SWALR(optimizer, swa_lr=[0.05, 0.01], **options)
        rates = []
        for _ in range(14):
            rates.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step(), schedule.step()
        again = utils.SWALR(t.optim.SGD(layers[0].parameters(), lr=1), swa_lr=0.5, **options)
        again.optimizer.add_param_group({"params": layers[1].parameters()})
        again.base_lrs = [1, 1]
        again.load_state_dict({**schedule.state_dict()})
        seen.append([*rates, schedule.get_last_lr(), [again.last_epoch, schedule.last_epoch]])
        assert optimizer.state_dict()["param_groups"][0]["swa_lr"] == 0.05
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (lambda m, o: swa_utils.AveragedModel(m, avg_fn=min, multi_avg_fn=min), "leave one out"),
        (lambda m, o: swa_utils.get_ema_avg_fn(1.5), "from 0 to 1"),
        (lambda m, o: swa_utils.get_ema_multi_avg_fn(-1), "from 0 to 1"),
        (lambda m, o: swa_utils.SWALR(o, 0.1, anneal_strategy="cosine"), "'cos' or 'linear'"),
        (lambda m, o: swa_utils.SWALR(o, 0.1, anneal_epochs=1.5), "integer from 0"),
        (lambda m, o: swa_utils.SWALR(o, [0.1, 0.2]), "2 numbers swa_lr for 1 groups"),
    ],
)
def test_what_means_nothing_is_refused(line, says):
    model = nn.Linear(2, 2)
    with pytest.raises(OptionError, match=says):
        line(model, tv.optim.SGD(model.parameters(), lr=0.1))


def test_only_the_model_that_was_copied_is_averaged():
    average = swa_utils.AveragedModel(nn.Linear(2, 2))
    with pytest.raises(ShapeError, match="are others than it copied"):
        average.update_parameters(nn.Linear(2, 3))
    swa_utils.update_bn([], nn.Linear(2, 2))  # nothing to measure


@pytest.mark.parametrize("make", [swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn])
def test_a_decay_is_from_0_to_1_both_included(make):
    for decay in (0, 0.5, 1):
        make(decay)
    for decay in (-0.01, 1.01, True, float("nan")):
        with pytest.raises(OptionError, match="decay must be from 0 to 1, got"):
            make(decay)
