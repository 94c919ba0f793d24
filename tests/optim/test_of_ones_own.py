"""Optimizers of one's own, written as for PyTorch: they keep what they like in `self.state[p]`."""

import numpy as np
import pytest

import tinyvision as tv

torch = pytest.importorskip("torch")


def climbing(t):
    """An optimizer that takes the gradient some way uphill, and steps from where it was, by another optimizer."""

    class Climbing(t.optim.Optimizer):
        def __init__(self, params, base, reach, **options):
            super().__init__(params, {"reach": reach, **options})
            self.base = base(self.param_groups, **options)
            self.param_groups = self.base.param_groups

        @t.no_grad()
        def climb(self):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["before"] = p.data.clone()
                    p.add_(p.grad, alpha=group["reach"])
            self.zero_grad()

        @t.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data = self.state[p]["before"]
            self.base.step()
            self.zero_grad()

    return Climbing


def test_a_state_fills_as_it_is_asked_for():
    rng, results = np.random.default_rng(0), []
    weight, x, y = rng.standard_normal((2, 3)), rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    for t in (torch, tv):
        layer = t.nn.Linear(3, 2).double()
        with t.no_grad():
            layer.weight.copy_(t.tensor(weight))
            layer.bias.zero_()
        optimizer = climbing(t)(layer.parameters(), t.optim.SGD, 0.1, lr=0.2, momentum=0.9)
        losses = []
        for _ in range(4):
            for turn in (optimizer.climb, optimizer.step):
                loss = t.nn.functional.mse_loss(layer(t.tensor(x)), t.tensor(y))
                loss.backward()
                turn()
                losses.append(loss.item())
        assert optimizer.state_dict()["state"].keys() == {0, 1}
        results.append((losses, layer.weight.detach().numpy()))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-12)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-12)


def test_a_state_still_fills_after_it_was_loaded():
    p = tv.nn.Parameter(np.ones(2, np.float32))
    optimizer = tv.optim.SGD([p], lr=0.1, momentum=0.9)
    p.grad = tv.ones(2)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.state[p]["note"] = 1
    assert {"momentum_buffer", "note"} <= optimizer.state[p].keys()


def factored(t):
    """An optimizer whose state has numbers, and tensors of other shapes than its parameters'."""

    class Factored(t.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @t.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if not state:
                        state.update(n=0, rows=t.zeros(p.shape[0], dtype=p.dtype), seen=[])
                    state["n"] += 1
                    state["rows"].mul_(0.9).add_((p.grad**2).mean(1), alpha=0.1)
                    state["seen"].append(state["n"])
                    p.addcdiv_(p.grad, state["rows"].sqrt().unsqueeze(1) + 1e-3, value=-group["lr"] / state["n"])

    return Factored


def test_a_state_of_any_kind_goes_on_where_it_was():
    x, results = np.random.default_rng(0).standard_normal((4, 3)), []
    for t in (torch, tv):
        p = t.nn.Parameter(t.ones(2, 3, dtype=t.float64))
        optimizer = factored(t)([p], 0.1)
        for turn in range(4):
            p.grad = None
            (t.tensor(x, dtype=t.float64) @ p.T).pow(2).sum().backward()
            optimizer.step()
            if turn == 1:
                saved, optimizer = optimizer.state_dict(), factored(t)([p], 0.1)
                optimizer.load_state_dict(saved)
                assert isinstance(optimizer.state[p]["rows"], t.Tensor)
        assert (optimizer.state[p]["n"], optimizer.state[p]["seen"]) == (4, [1, 2, 3, 4])
        results.append(p.detach().numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-12)


def test_a_gpu_for_a_while_without_one_is_nothing():
    with tv.cuda.device(-1), tv.cuda.device("cuda:0" if tv.cuda.is_available() else 0):
        assert tv.ones(1).item() == 1
