"""Distributions and norms against PyTorch: densities, entropies, divergences with their gradients, and draws."""

import importlib

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import distributions
from tinyvision.errors import OptionError

torch = pytest.importorskip("torch")
A = np.array([[0.2, 0.7, 0.1], [1.0, 0.5, 0.25]])
B = np.array([[0.9, 0.3, 0.6], [0.4, 0.8, 0.05]])

VALUES = {
    "normal": lambda d, t, a, b: [d.Normal(a, b).log_prob(b * 2), d.Normal(a, b).entropy(), d.Normal(a, b).cdf(b)],
    "uniform": lambda d, t, a, b: [d.Uniform(a - 1, b + 1).log_prob(a), d.Uniform(a - 1, b + 1).entropy()],
    "bernoulli": lambda d, t, a, b: [d.Bernoulli(b).log_prob(t.ones_like(a)), d.Bernoulli(b).entropy()],
    "moments": lambda d, t, a, b: [d.Uniform(a - 1, b + 1).variance, d.Uniform(a - 1, b + 1).stddev,
                                   d.Uniform(a - 1, b + 1).cdf(a), d.Bernoulli(b).stddev, d.Normal(a, b).mode,
                                   d.Normal(a, b).perplexity(), d.Bernoulli(b).mode + a * 0],
    "unasked": lambda d, t, a, b: [d.Bernoulli(b, validate_args=False).log_prob(a * 3)],
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
        t = importlib.import_module(engine)
        d = importlib.import_module(f"{engine}.distributions")
        a, b = (t.tensor(v, requires_grad=True) for v in (A, B))
        values = VALUES[name](d, t, a, b)
        weights = np.random.default_rng(0)
        total = sum((v * t.tensor(weights.standard_normal(tuple(v.shape)))).sum() for v in values)
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


@pytest.mark.parametrize("t", [tv, torch], ids=["tinyvision", "torch"])
def test_what_lies_outside_of_a_distribution_is_not_scored(t):
    d, half = t.distributions, t.tensor([0.5])
    refused = [
        lambda: d.Bernoulli(half).log_prob(half),
        lambda: d.Uniform(half * 0, half).log_prob(half * 3),
        lambda: d.Uniform(half * 0, half).cdf(-half),
        lambda: d.Normal(half, half).log_prob(half * float("nan")),
        lambda: d.Normal(half, half).cdf(half * float("nan")),
        lambda: d.Normal(half, half).log_prob(0.5),
        lambda: d.Categorical(t.ones(2)).log_prob(t.tensor(2)),
        lambda: d.Categorical(t.ones(2)).log_prob(t.tensor([-1])),
        lambda: d.Categorical(t.ones(2)).log_prob(half),
    ]
    for call in refused:
        with pytest.raises(ValueError, match=r"(?s)value|support"):
            call()
    assert d.Uniform(half * 0, half).log_prob(half).item() == -np.inf


@pytest.mark.parametrize("t", [tv, torch], ids=["tinyvision", "torch"])
def test_what_is_told_of_a_distribution_besides(t):
    d = t.distributions
    assert d.Normal(t.zeros(3), t.ones(3)).event_shape == t.Size([])
    assert d.Categorical(t.tensor([[0.2, 0.8], [0.6, 0.4]])).mode.tolist() == [1, 0]
    nan = [d.Categorical(t.ones(2)).mean, d.Categorical(t.ones(2)).variance, d.Uniform(0.0, 1.0).mode]
    assert all(value.isnan() for value in [*nan, d.Bernoulli(t.tensor(0.5)).mode])


def test_a_missing_name_of_a_distribution_says_what_there_is():
    with pytest.raises(AttributeError, match=r"Normal has no icdf here; there are cdf, entropy"):
        distributions.Normal(0.0, 1.0).icdf  # noqa: B018
