"""Weights that are computed from others, by weight norm, spectral norm or a function of one's own: as PyTorch's."""

import copy
import pickle
from importlib import import_module

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError, TinyVisionError
from tinyvision.nn.utils import parametrizations, parametrize

torch = pytest.importorskip("torch")

LAYERS = {
    "conv": (lambda n: n.Conv2d(4, 6, (3, 2), stride=2, padding=1), (2, 4, 6, 5)),
    "grouped": (lambda n: n.Conv2d(4, 6, 3, groups=2, bias=False), (2, 4, 6, 5)),
    "transposed": (lambda n: n.ConvTranspose2d(4, 3, 3, stride=2), (2, 4, 3, 5)),
    "linear": (lambda n: n.Linear(5, 3), (4, 5)),
    "embedding": (lambda n: n.Embedding(7, 3), None),
}
NORMS = {
    "weight_norm": lambda t, layer: t.nn.utils.weight_norm(layer),
    "weight_norm of the whole": lambda t, layer: t.nn.utils.weight_norm(layer, dim=None),
    "weight_norm along axis 1": lambda t, layer: t.nn.utils.weight_norm(layer, "weight", 1),
    "spectral_norm": lambda t, layer: t.nn.utils.spectral_norm(layer),
    "spectral_norm, 3 steps": lambda t, layer: t.nn.utils.spectral_norm(layer, n_power_iterations=3, dim=1),
    "weight_norm, newer": lambda t, layer: t.nn.utils.parametrizations.weight_norm(layer),
    "weight_norm along axis 1, newer": lambda t, layer: t.nn.utils.parametrizations.weight_norm(layer, dim=1),
    "spectral_norm, newer": lambda t, layer: t.nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=2),
    "WeightNorm.apply": lambda t, layer: applied(t, layer, "WeightNorm", 0),
    "SpectralNorm.apply": lambda t, layer: applied(t, layer, "SpectralNorm", 2, 1, 1e-9),
}  # fmt: skip


def applied(t, layer, name, *options):
    """A layer with a hook of PyTorch's file of this norm, as few-shot scripts put it on."""
    file = {"WeightNorm": "weight_norm", "SpectralNorm": "spectral_norm"}[name]
    hook_type = getattr(import_module(f"{t.__name__}.nn.utils.{file}"), name)
    assert isinstance(hook_type.apply(layer, "weight", *options), hook_type)
    return layer


pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def both(layer, norm):
    """(PyTorch's layer, ours with the same state), both in float64."""
    make, shape = LAYERS[layer]
    theirs, ours = (NORMS[norm](t, make(t.nn).double()) for t in (torch, tv))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours, shape


def run(t, layer, arrays, slope):
    """What a layer makes of some arrays, one after the other, and the gradients of its parameters."""
    outputs = []
    for array in arrays:
        x = t.tensor(array)
        y = layer(x)
        (y * t.tensor(slope)[: y.shape[0]]).sum().backward() if y.ndim < 3 else (y**2 * slope[0, 0]).sum().backward()
        outputs.append(y.detach().numpy())
    gradients = {name: p.grad.numpy() for name, p in layer.named_parameters()}
    return outputs, gradients, {name: value.numpy().copy() for name, value in layer.state_dict().items()}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_values_gradients_and_states_are_pytorchs(layer, norm, rng):
    theirs, ours, shape = both(layer, norm)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    arrays = [rng.standard_normal(shape) if shape else rng.integers(0, 7, 5) for _ in range(3)]
    slope = rng.standard_normal((8, 3))
    for mode in (True, False):
        theirs.train(mode), ours.train(mode)
        expected, got = run(torch, theirs, arrays, slope), run(tv, ours, arrays, slope)
        for one, other in zip(got[0], expected[0], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
        for part in (1, 2):
            assert got[part].keys() == expected[part].keys()
            for name in got[part]:
                np.testing.assert_allclose(got[part][name], expected[part][name], rtol=1e-8, atol=1e-10, err_msg=name)
    torch_again = NORMS[norm](torch, LAYERS[layer][0](torch.nn).double())
    torch_again.load_state_dict({name: torch.tensor(value) for name, value in got[2].items()})  # and the way back


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_taken_off_again_the_weight_stays(norm, rng):
    for t in (torch, tv):
        layer = NORMS[norm](t, t.nn.Conv2d(2, 3, 3).double())
        x = t.tensor(rng.standard_normal((1, 2, 4, 4)))
        layer.eval()
        before = layer(x).detach().numpy()
        assert getattr(t.nn.utils, f"remove_{norm}")(layer) is layer
        assert list(layer.state_dict()) in (["weight", "bias"], ["bias", "weight"])
        assert isinstance(layer.weight, t.nn.Parameter)
        np.testing.assert_allclose(layer(x).detach().numpy(), before, rtol=1e-12)
        with pytest.raises((ValueError, TinyVisionError)):
            getattr(t.nn.utils, f"remove_{norm}")(layer)


def test_a_spectral_norm_is_one_after_some_calls(rng):
    layer = nn.utils.spectral_norm(nn.Linear(6, 4))
    for _ in range(60):
        layer(tv.ones(1, 6))
    assert abs(np.linalg.svd(layer.weight.detach().numpy())[1][0] - 1) < 1e-3
    at_once = parametrizations.spectral_norm(nn.Linear(6, 4).double())
    assert 0.9 < np.linalg.svd(at_once.weight.detach().numpy())[1][0] < 1.1


def parts(t):
    """Functions of one's own for either engine."""

    class Symmetric(t.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(0, 1)

        def right_inverse(self, y):
            return y.triu()

    class Doubled(t.nn.Module):
        def forward(self, x):
            return 2 * x

        def right_inverse(self, y):
            return y / 2

    class Halves(t.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, y):
            return y / 2, y / 2

    return Symmetric(), Doubled(), Halves()


def life(t, which):
    """What becomes of a layer whose weight is computed: values, and what is one object or one memory."""
    parametrize, seen = t.nn.utils.parametrize, []
    symmetric, doubled, halves = parts(t)
    layer = t.nn.Linear(3, 3, bias=False).double()
    first = layer.weight
    first.data.copy_(t.arange(9.0).view(3, 3))
    memory, optimizer = first.data, t.optim.SGD(layer.parameters(), lr=0.125)
    parametrize.register_parametrization(layer, "weight", {"one": symmetric, "several": halves}[which])

    def look():
        own = layer.parametrizations.weight
        originals = [own.original] if which == "one" else [own.original0, own.original1]
        seen.append([layer.weight.detach().tolist(), [p.tolist() for p in originals], memory.tolist()])
        seen.append([p is first for p in originals])

    look()
    layer(t.ones(2, 3, dtype=t.float64)).pow(2).sum().backward()
    optimizer.step()
    look()
    layer.weight = value = t.eye(3, dtype=t.float64) * 4
    value.mul_(2)
    look()
    parametrize.register_parametrization(layer, "weight", doubled)  # which changes the value
    look()
    layer.weight = t.ones(3, 3, dtype=t.float64)
    look()
    parametrize.remove_parametrizations(layer, "weight")
    seen.append([layer.weight is first, layer.weight.tolist(), memory.tolist(), type(layer).__name__])
    return seen


@pytest.mark.parametrize("which", ["one", "several"])
def test_a_function_of_ones_own_and_one_on_top_of_it(which):
    assert life(tv, which) == life(torch, which)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_what_shares_memory_and_what_an_optimizer_knows_when_a_norm_is_put_on(norm):
    def both(t):
        seen = []
        for put_on, names in (
            (getattr(t.nn.utils, norm), ("weight_v", "weight_orig")),
            (getattr(t.nn.utils.parametrizations, norm), ("original1", "original")),
        ):
            layer = t.nn.Linear(3, 2)
            weight = layer.weight
            put_on(layer)
            own = [p for name, p in layer.named_parameters() if name.endswith(names)]
            seen.append([p is weight for p in own] + [p.data_ptr() == weight.data_ptr() for p in own])
        return seen

    assert both(tv) == both(torch)


def test_a_frozen_weight_taken_off_is_a_parameter_or_a_buffer_as_pytorch_has_it():
    def both(t):
        layer = t.nn.utils.parametrizations.weight_norm(t.nn.Linear(3, 2)).requires_grad_(False)
        t.nn.utils.parametrize.remove_parametrizations(layer, "weight")
        return [name for name, _ in layer.named_parameters()], [name for name, _ in layer.named_buffers()]

    assert both(tv) == both(torch)


def test_what_cannot_be_set_is_refused():
    class Upper(nn.Module):
        def forward(self, x):
            return x.triu()

    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Upper())
    with pytest.raises(OptionError, match="Upper has no right_inverse"):
        layer.weight = tv.eye(3)
    with pytest.raises(OptionError, match="is computed already"):
        parametrizations.weight_norm(layer)


def test_a_copy_has_a_weight_of_its_own():
    layer = parametrizations.weight_norm(nn.Linear(3, 2))
    again = copy.deepcopy(layer)
    with tv.no_grad():
        again.parametrizations.weight.original0.mul_(2)
    np.testing.assert_allclose(again.weight.detach().numpy(), 2 * layer.weight.detach().numpy(), rtol=1e-6)
    parametrize.remove_parametrizations(again, "weight")
    assert parametrize.is_parametrized(layer)
    assert not parametrize.is_parametrized(again)


def test_a_computed_weight_is_not_folded_into(rng):
    x = tv.tensor(rng.standard_normal((2, 3, 6, 6)).astype("f"))
    for normed in (nn.utils.weight_norm, parametrizations.weight_norm):
        model = nn.Sequential(normed(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
        model(x)
        model.eval()
        with tv.no_grad():
            model(x)  # a weight that still hangs on the tape cannot be copied, in PyTorch neither
        np.testing.assert_allclose(model.fuse()(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (lambda: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(2, 2))), "is computed already"),
        (lambda: nn.utils.spectral_norm(nn.ReLU()), "is not there"),
        (lambda: nn.utils.weight_norm(nn.Linear(2, 2), dim=5), "axis 5 does not exist"),
        (lambda: nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "must be a positive integer"),
        (lambda: parametrizations.spectral_norm(parametrizations.spectral_norm(nn.Linear(2, 2))), "computed already"),
        (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "weight", abs), "must be a module"),
        (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "wait", nn.ReLU()), "no parameter or buffer"),
        (lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"), "has no parametrization"),
        (lambda: pickle.dumps(parametrizations.weight_norm(nn.Linear(2, 2))), r"save its state_dict\(\)"),
        (lambda: parametrizations.orthogonal, "has no orthogonal here"),
    ],
)
def test_what_cannot_be_done_is_said(line, says):
    with pytest.raises((OptionError, AttributeError), match=says):
        line()


def test_a_function_must_keep_the_shape():
    layer = nn.Linear(2, 3)
    with pytest.raises(ShapeError, match=r"of shape \(3, 2\) one of \(6,\)"):
        parametrize.register_parametrization(layer, "weight", nn.Flatten(0))
    assert type(layer) is nn.Linear
    assert isinstance(layer.weight, nn.Parameter)
