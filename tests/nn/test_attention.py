"""Attention against PyTorch's."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(4)
ATTENTION = "scaled_dot_product_attention"


def both(*shape):
    numbers = RNG.standard_normal(shape)
    return tv.tensor(numbers, requires_grad=True), torch.tensor(numbers, requires_grad=True)


def close(ours, theirs):
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-12)


def compare(ours, theirs, inputs):
    """Values, and gradients for a random signed upstream gradient."""
    close(ours.detach(), theirs.detach())
    upstream = RNG.standard_normal(tuple(theirs.shape))
    ours.backward(tv.tensor(upstream))
    theirs.backward(torch.tensor(upstream))
    for mine, its in inputs:
        close(mine.grad, its.grad)


MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "where": {"attn_mask": RNG.random((5, 4)) < 0.6},
    "nowhere": {"attn_mask": np.arange(5)[:, None] % 2 + np.zeros((5, 4)) > 0},
    "numbers": {"attn_mask": RNG.standard_normal((2, 1, 5, 4))},
    "scale": {"scale": 0.3},
}


@pytest.mark.parametrize("mask", MASKS)
def test_attention(mask):
    pairs = [both(2, 3, 5, 7), both(2, 3, 4, 7), both(2, 3, 4, 6)]
    options = MASKS[mask]
    made = []
    for i, library in enumerate((tv, torch)):
        given = {k: library.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        attention = getattr(library.nn.functional, ATTENTION)
        made.append(attention(*(pair[i] for pair in pairs), **given))
    compare(*made, pairs)


def test_dropped_weights_and_options_that_are_not_here():
    ones = tv.ones(1, 300, 2)
    tv.manual_seed(0)
    dropped = nn.functional.scaled_dot_product_attention(ones, ones, ones, dropout_p=0.5)
    assert 0.8 < dropped.mean().item() < 1.2
    assert len(np.unique(dropped.numpy())) > 10
    for options, reason in (
        ({"enable_gqa": True}, "enable_gqa"),
        ({"is_causal": True, "attn_mask": tv.ones(300, 300)}, "not both"),
    ):
        with pytest.raises(OptionError, match=reason):
            nn.functional.scaled_dot_product_attention(ones, ones, ones, **options)


LAYERS = [
    {},
    {"batch_first": True},
    {"bias": False, "batch_first": True},
    {"kdim": 5, "vdim": 3},
    {"kdim": 6, "vdim": 3, "bias": False, "batch_first": True},
]


def twins(options):
    """Our layer and PyTorch's, with the same random parameters."""
    layers = [library.nn.MultiheadAttention(6, 2, **options, dtype=library.float64) for library in (tv, torch)]
    state = {k: RNG.standard_normal(tuple(v.shape)) for k, v in layers[1].state_dict().items()}
    assert list(layers[0].state_dict()) == list(state)
    for library, layer in zip((tv, torch), layers, strict=True):
        layer.load_state_dict({k: library.tensor(v) for k, v in state.items()})
    return layers


@pytest.mark.parametrize("options", LAYERS, ids=str)
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("calls", ["plain", "no weights", "heads", "masked", "masked for each head", "padded"])
def test_a_layer(options, batched, calls):
    layers = twins(options)
    lengths = (4, 3, 3)
    sizes = (6, options.get("kdim", 6), options.get("vdim", 6))
    n = 2 if batched else 1
    shapes = [(n, l, e) if options.get("batch_first") else (l, n, e) for l, e in zip(lengths, sizes, strict=True)]
    pairs = [both(*(shape if batched else (l, e))) for shape, l, e in zip(shapes, lengths, sizes, strict=True)]
    given = {
        "plain": {},
        "no weights": {"need_weights": False},
        "heads": {"average_attn_weights": False},
        "masked": {"attn_mask": np.triu(np.ones((4, 3), bool), 1)},
        "masked for each head": {"attn_mask": RNG.standard_normal((n * 2, 4, 3)), "need_weights": False},
        "padded": {"key_padding_mask": np.array([[False, True, False], [True, False, False]])[:n]},
    }[calls]
    if calls == "padded" and not batched:
        given = {"key_padding_mask": given["key_padding_mask"][0]}
    found = []
    for i, (library, layer) in enumerate(zip((tv, torch), layers, strict=True)):
        more = {k: library.tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        found.append(layer(*(pair[i] for pair in pairs), **more))
    (ours, weights), (theirs, its) = found
    assert (weights is None) == (its is None)
    if weights is not None:
        close(weights.detach(), its.detach())
    compare(ours, theirs, [*pairs, *zip(layers[0].parameters(), layers[1].parameters(), strict=True)])


def test_a_new_layer_begins_as_pytorchs_and_drops_in_training():
    tv.manual_seed(1)
    layer = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
    bound = np.sqrt(6 / (8 + 24))
    assert 0.9 * bound < np.abs(layer.in_proj_weight.detach().numpy()).max() <= bound
    assert not layer.in_proj_bias.any()
    assert not layer.out_proj.bias.any()
    x = tv.randn(3, 5, 8)
    assert (layer(x, x, x)[1] == 0).any()
    assert tv.allclose(layer.eval()(x, x, x)[1].sum(-1), tv.ones(3, 5))


def test_mistakes():
    with pytest.raises(OptionError, match="embed_dim 6 cannot be divided by num_heads 4"):
        nn.MultiheadAttention(6, 4)
    for options in ({"add_bias_kv": True}, {"add_zero_attn": True}):
        with pytest.raises(OptionError, match="are not here"):
            nn.MultiheadAttention(6, 2, **options)
    layer, x = nn.MultiheadAttention(6, 2), tv.zeros(4, 1, 6)
    with pytest.raises(ShapeError, match=r"attn_mask must be \(4, 4\) or \(2, 4, 4\), got \(3, 4\)"):
        layer(x, x, x, attn_mask=tv.zeros(3, 4))
    with pytest.raises(ShapeError, match=r"key_padding_mask must be \(1, 4\)"):
        layer(x, x, x, key_padding_mask=tv.zeros(2, 4))
    with pytest.raises(ShapeError, match="need two axes, or three with the batch"):
        layer(x, x[0], x)
    with pytest.raises(OptionError, match="is_causal is a hint"):
        layer(x, x, x, is_causal=True)
