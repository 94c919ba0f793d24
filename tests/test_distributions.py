"""Distributions and norms against PyTorch: densities, entropies, divergences with their gradients, and draws."""

import importlib

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import distributions
from tinyvision.errors import OptionError

pytest.importorskip("torch")
A = np.array([[0.2, 0.7, 0.1], [1.0, 0.5, 0.25]])
B = np.array([[0.9, 0.3, 0.6], [0.4, 0.8, 0.05]])

VALUES = {
    "normal": lambda d, t, a, b: [d.Normal(a, b).log_prob(b * 2), d.Normal(a, b).entropy(), d.Normal(a, b).cdf(b)],
    "uniform": lambda d, t, a, b: [d.Uniform(a - 1, b + 1).log_prob(a), d.Uniform(a - 1, b + 1).entropy()],
    "bernoulli": lambda d, t, a, b: [d.Bernoulli(b).log_prob(t.ones_like(a)), d.Bernoulli(b).entropy()],
    "logits": lambda d, t, a, b: [d.Bernoulli(logits=a * 50).log_prob(t.zeros_like(a)), d.Bernoulli(logits=a).variance],
    "categorical": lambda d, t, a, b: [d.Categorical(a).log_prob(t.tensor([2, 0])), d.Categorical(a).entropy()],
    "scores": lambda d, t, a, b: [d.Categorical(logits=a).log_prob(t.tensor([2, 0]))],
    "kl normal": lambda d, t, a, b: [d.kl_divergence(d.Normal(a, b), d.Normal(b, a))],
    "kl bernoulli": lambda d, t, a, b: [d.kl_divergence(d.Bernoulli(a * 0.9), d.Bernoulli(b))],
    "kl categorical": lambda d, t, a, b: [d.kl_divergence(d.Categorical(a), d.Categorical(b))],
    "norms": lambda d, t, a, b: [t.linalg.norm(a), t.linalg.norm(a - b, 1), t.linalg.norm(a, 3, dim=1),
                                 t.linalg.vector_norm(a - b, float("inf")), t.linalg.matrix_norm(a),
                                 t.linalg.norm(a, float("inf"), dim=(0, 1), keepdim=True)],
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_and_gradients_like_torch(name):
    results = []
    for engine in ("tinyvision", "torch"):
        torch = importlib.import_module(engine)
        d = importlib.import_module(f"{engine}.distributions")
        a, b = (torch.tensor(v, requires_grad=True) for v in (A, B))
        values = VALUES[name](d, torch, a, b)
        weights = np.random.default_rng(0)
        total = sum((v * torch.tensor(weights.standard_normal(tuple(v.shape)))).sum() for v in values)
        total.backward()
        results.append([np.asarray(v.detach()) for v in (*values, a.grad, b.grad) if v is not None])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_draws_have_the_moments_that_they_should():
    tv.manual_seed(0)
    n = 20000  # three standard deviations of a mean are then 0.02 of one of a draw
    draws = distributions.Normal(tv.tensor([0.0, 5.0]), tv.tensor([1.0, 2.0])).sample((n,))
    assert draws.shape == (n, 2)
    np.testing.assert_allclose(draws.mean(0).numpy(), [0, 5], atol=0.05)
    np.testing.assert_allclose(draws.std(0).numpy(), [1, 2], atol=0.05)
    np.testing.assert_allclose(distributions.Bernoulli(tv.tensor([0.2])).sample((n,)).mean().item(), 0.2, atol=0.02)
    places = distributions.Categorical(tv.tensor([[1.0, 3.0], [1.0, 0.0]])).sample((n,))
    np.testing.assert_allclose(places.float().mean(0).numpy(), [0.75, 0], atol=0.02)
    low_high = distributions.Uniform(1.0, 3.0).sample((n,))
    np.testing.assert_allclose([low_high.mean().item(), low_high.min().item()], [2, 1], atol=0.05)


def test_gradients_flow_through_draws():
    loc, scale = tv.zeros(3, requires_grad=True), tv.ones(3, requires_grad=True)
    normal = distributions.Normal(loc, scale)
    x = normal.rsample()
    x.sum().backward()
    np.testing.assert_allclose(loc.grad.numpy(), 1)
    np.testing.assert_allclose(scale.grad.numpy(), x.detach().numpy(), rtol=1e-6)
    assert not normal.sample().requires_grad


@pytest.mark.parametrize("call", [
    lambda: distributions.Normal(0.0, -1.0), lambda: distributions.Bernoulli(), lambda: distributions.Bernoulli(2.0),
    lambda: distributions.Categorical(tv.tensor([-1.0, 2.0])), lambda: distributions.Bernoulli(0.5).rsample(),
    lambda: distributions.kl_divergence(distributions.Normal(0.0, 1.0), distributions.Bernoulli(0.5)),
    lambda: distributions.Uniform(1.0, 1.0), lambda: tv.linalg.norm(tv.ones(2, 2), "nuc"),
])  # fmt: skip
def test_doors(call):
    with pytest.raises(OptionError):
        call()


@pytest.mark.parametrize("name", ["Bernoulli", "Categorical", "Normal", "Uniform"])
def test_each_has_a_module_of_its_own_as_in_pytorch(name):
    for engine in ("tinyvision", "torch"):
        module = importlib.import_module(f"{engine}.distributions.{name.lower()}")
        assert getattr(module, name) is getattr(importlib.import_module(f"{engine}.distributions"), name)
