"""The library einops on our tensors, beside the same patterns on PyTorch's."""

import copy
import importlib
import sys

import einops
import einops.layers.torch as torch_layers
import numpy as np
import pytest
import torch

import tinyvision
from tinyvision import einops as ours
from tinyvision import nn
from tinyvision.einops.layers.torch import Rearrange, Reduce

SHAPE = (2, 3, 4, 6)


def both(name, *arguments, shape=SHAPE, **lengths):
    """(value, gradient) of a function of einops, of ours and of PyTorch's tensor, under a random upstream gradient."""
    rng = np.random.default_rng(5)
    numbers = rng.permutation(int(np.prod(shape))).reshape(shape) / 7.0 - 3.0  # no two are equal, none is 0
    found = []
    for engine, library in ((tinyvision, ours), (torch, einops)):
        x = engine.from_numpy(numbers.copy()).requires_grad_()
        y = getattr(library, name)(x, *arguments, **lengths)
        upstream = np.random.default_rng(6).standard_normal(tuple(y.shape))
        y.backward(engine.from_numpy(upstream))
        found.append((y.detach().numpy(), x.grad.numpy()))
    return found


@pytest.mark.parametrize(
    ("pattern", "lengths"),
    [
        ("b c h w -> b (h w) c", {}),
        ("b c (h p) (w q) -> b (h w) (p q c)", {"p": 2, "q": 3}),
        ("b (g c) h w -> g b c h w", {"g": 3}),
        ("b c h w -> b c h w", {}),
        ("b ... -> ... b", {}),
        ("b c h w -> b 1 c (h w)", {}),
        ("b c h w -> (b c h w)", {}),
    ],
)
def test_rearrange(pattern, lengths):
    (value, gradient), (expected, expected_gradient) = both("rearrange", pattern, **lengths)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(gradient, expected_gradient)


@pytest.mark.parametrize("reduction", ["min", "max", "sum", "mean", "prod"])
@pytest.mark.parametrize(
    "pattern", ["b c h w -> b c", "b c (h 2) (w 3) -> b h w c", "b c h w -> ", "b c h w -> b c 1 1"]
)
def test_reduce(pattern, reduction):
    (value, gradient), (expected, expected_gradient) = both("reduce", pattern, reduction)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12)


@pytest.mark.parametrize("reduction", ["any", "all"])
def test_truth_values_are_reduced(reduction):
    x = np.random.default_rng(0).random(SHAPE) < 0.3
    found = ours.reduce(tinyvision.from_numpy(x), "b c h w -> b w", reduction)
    expected = einops.reduce(torch.from_numpy(x), "b c h w -> b w", reduction)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("pattern", "lengths"),
    [
        ("b c h w -> b c (h 2) (w 3)", {}),
        ("b c h w -> n b c h w", {"n": 4}),
        ("b c h w -> b c h w k", {"k": 2}),
        ("b c h w -> (n b) c h w", {"n": 3}),
    ],
)
def test_repeat(pattern, lengths):
    (value, gradient), (expected, expected_gradient) = both("repeat", pattern, **lengths)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-13)


def test_a_repeated_tensor_is_no_copy():
    x = tinyvision.arange(6.0).reshape(2, 3)
    again = ours.repeat(x, "a b -> n a b", n=5)
    x[0, 0] = 9.0
    assert again[:, 0, 0].tolist() == [9.0] * 5


def test_lists_packs_and_sums_of_products():
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal((3, 4)) for _ in range(2)]
    for library, engine in ((ours, tinyvision), (einops, torch)):
        tensors = [engine.from_numpy(a) for a in arrays]
        stacked = library.rearrange(tensors, "n a b -> a (n b)")
        np.testing.assert_array_equal(stacked.numpy(), np.concatenate(arrays, axis=1))
        packed, shapes = library.pack([tensors[0], engine.from_numpy(arrays[1][0])], "* b")
        assert tuple(packed.shape) == (4, 4)
        np.testing.assert_array_equal(library.unpack(packed, shapes, "* b")[1].numpy(), arrays[1][0])
        product = library.einsum(tensors[0], tensors[1], "i k, j k -> i j")
        np.testing.assert_allclose(product.numpy(), arrays[0] @ arrays[1].T, rtol=1e-13)
        assert library.parse_shape(tensors[0], "a _") == {"a": 3}
        np.testing.assert_array_equal(library.asnumpy(tensors[1]), arrays[1])


def test_layers_are_modules():
    pattern = "b c (h p) (w q) -> b (h w) (p q c)"
    embedding = nn.Sequential(
        Rearrange(pattern, p=2, q=3), nn.Linear(18, 5), nn.LayerNorm(5), Reduce("b n d -> b d", "mean")
    )
    theirs = torch.nn.Sequential(
        torch_layers.Rearrange(pattern, p=2, q=3),
        torch.nn.Linear(18, 5),
        torch.nn.LayerNorm(5),
        torch_layers.Reduce("b n d -> b d", "mean"),
    ).double()
    embedding.double()
    embedding.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(2).standard_normal(SHAPE)
    for module, engine in ((copy.deepcopy(embedding), tinyvision), (embedding, tinyvision), (theirs, torch)):
        module(engine.from_numpy(x)).square().sum().backward()
    for own, their in zip(embedding.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(own.grad.numpy(), their.grad.numpy(), rtol=1e-10, atol=1e-12)
    assert repr(embedding[0]) == repr(theirs[0])


def test_the_librarys_own_imports_take_our_tensors():
    x = tinyvision.ones(2, 3)
    assert einops.rearrange(x, "a b -> b a").shape == (3, 2)
    assert isinstance(einops.rearrange(x, "a b -> b a"), tinyvision.Tensor)


def test_a_pattern_that_does_not_fit_is_the_librarys_error():
    with pytest.raises(ours.EinopsError, match="can't divide axis of length 3 in chunks of 2"):
        ours.rearrange(tinyvision.ones(2, 3), "a (b c) -> a b c", c=2)


def test_what_is_not_here_is_said():
    with pytest.raises(ImportError, match="EinMix here: einsum and a Parameter"):
        from tinyvision.einops.layers.torch import EinMix  # noqa: F401


def test_without_the_library_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "einops", None)
    monkeypatch.delitem(sys.modules, "tinyvision.einops")
    with pytest.raises(ImportError, match=r"pip install 'tinyvision\[einops\]'"):
        importlib.import_module("tinyvision.einops")
