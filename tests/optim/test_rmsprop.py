"""RMSprop beside torch.optim's."""

import numpy as np
import pytest

from tinyvision import nn, optim
from tinyvision.errors import OptionError

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"centered": True, "alpha": 0.9},
        {"weight_decay": 0.1, "momentum": 0.5},
        {"maximize": True},
    ],
    ids=str,
)
def test_every_step(options):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4))
    mine, other = nn.Parameter(start.copy()), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = (
        optim.RMSprop([mine], lr=0.05, foreach=False, **options),
        torch.optim.RMSprop([other], 0.05, **options),
    )
    weights = rng.normal(size=(3, 4))
    for step in range(12):
        for p, optimizer, w in ((mine, ours, weights), (other, theirs, torch.tensor(weights))):
            optimizer.zero_grad()
            w = w if isinstance(w, torch.Tensor) else nn.Parameter(w).detach()
            (p * p * w).sum().backward()
            optimizer.step()
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-10, err_msg=str(step))
        if step == 5:
            ours.load_state_dict(theirs.state_dict())


def test_mistakes():
    p = nn.Parameter(np.ones(2))
    for options in ({"alpha": -1}, {"lr": -1}, {"differentiable": True}):
        with pytest.raises(OptionError):
            optim.RMSprop([p], **options)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_hints_change_nothing(name):
    ends = []
    for hints in ({}, {"foreach": True, "fused": False}):
        p = nn.Parameter(np.ones(2))
        optimizer = getattr(optim, name)([p], lr=0.1, **hints)
        (p * p).sum().backward()
        optimizer.step()
        ends.append(p.tolist())
    assert ends[0] == ends[1]
    with pytest.raises(OptionError, match="differentiable"):
        getattr(optim, name)([p], lr=0.1, differentiable=True)
