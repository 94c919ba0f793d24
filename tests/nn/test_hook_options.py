"""Hooks that want the options of a call, or a place in front; lists and dicts of parameters as they print."""

import numpy as np
import pytest
import torch

import tinyvision as tv
from tinyvision.errors import OptionError


class Scaled:
    """A module of either engine whose forward has an option."""

    def __new__(cls, engine):
        class Module(engine.nn.Module):
            def forward(self, x, scale=1.0):
                return x * scale

        return Module()


def called(engine):
    module, log, x = Scaled(engine), [], engine.ones(2)
    double = module.register_forward_pre_hook(lambda m, a, k: ((a[0] * 2,), {**k, "scale": 5.0}), with_kwargs=True)
    module.register_forward_pre_hook(lambda m, a: log.append(("first", a[0].tolist())), prepend=True)
    module.register_forward_hook(lambda m, a, y: log.append(("last", y.tolist())))
    module.register_forward_hook(lambda m, a, k, y: y + k["scale"], with_kwargs=True, prepend=True)
    answers = [module(x, scale=3.0).tolist()]
    double.remove()
    answers.append(module(x, scale=3.0).tolist())
    return answers, log


def test_hooks_see_options_and_stand_in_front():
    assert called(tv) == called(torch)


def test_what_a_hook_cannot_have_is_refused():
    module = tv.nn.ReLU()
    with pytest.raises(OptionError, match="always_call"):
        module.register_forward_hook(print, always_call=True)
    module.register_forward_pre_hook(lambda m, a, k: a, with_kwargs=True)
    with pytest.raises(OptionError, match="with_kwargs gives None or"):
        module(tv.ones(1))


@pytest.mark.parametrize("shapes", [[], [(3,)], [(2,), (3, 4)]])
def test_parameters_in_lists_and_dicts_are_printed(shapes):
    def printed(engine):
        own = [engine.nn.Parameter(engine.ones(shape)) for shape in shapes]
        named = engine.nn.ParameterDict({f"p{i}": p for i, p in enumerate(own)})
        return repr(engine.nn.ParameterList(own)), repr(named), repr(engine.nn.Sequential(engine.nn.ParameterList(own)))

    assert printed(tv) == printed(torch)


LAYERS = {
    "conv": lambda t: t.nn.Conv2d(2, 3, 3, padding=1),
    "conv without bias": lambda t: t.nn.Conv2d(2, 3, 3, stride=2, bias=False),
    "transposed": lambda t: t.nn.ConvTranspose2d(2, 3, 2),
    "norm": lambda t: t.nn.BatchNorm2d(2),
    "norm without weights": lambda t: t.nn.BatchNorm2d(2, affine=False),
    "one slope": lambda t: t.nn.PReLU(),
    "groups": lambda t: t.nn.GroupNorm(1, 2),
    "relu": lambda t: t.nn.ReLU(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
def test_hooks_of_the_old_form_see_the_gradient_of_the_input_first(name, rng):
    x, dy = rng.standard_normal((2, 2, 5, 5)), rng.standard_normal((2, 3, 9, 9))
    weights = {k: rng.standard_normal(tuple(p.shape)) for k, p in LAYERS[name](torch).named_parameters()}

    def run(t):
        layer, seen = LAYERS[name](t).double(), []
        for k, p in layer.named_parameters():
            p.data.copy_(t.tensor(weights[k]))
        layer.register_backward_hook(lambda m, gi, go: seen.append((len(gi), gi[0].tolist(), go[0].tolist())))
        y = layer(t.tensor(x).requires_grad_())
        part = dy[:, : y.shape[1], : y.shape[2], : y.shape[3]]
        y.backward(t.tensor(np.resize(part, tuple(y.shape))))
        return seen[0]

    (count, dx, seen), (their_count, their_dx, their_seen) = run(tv), run(torch)
    np.testing.assert_allclose(dx, their_dx, atol=1e-12)
    np.testing.assert_allclose(seen, their_seen, atol=1e-12)
    assert count == their_count


@pytest.mark.parametrize("look", [
    lambda gi: gi[0], lambda gi: len(gi), lambda gi: list(gi), lambda gi: gi[-1],
])  # fmt: skip
@pytest.mark.parametrize("make", [lambda: tv.nn.Linear(2, 2), lambda: tv.nn.Sequential(tv.nn.ReLU(), tv.nn.ReLU())])
def test_what_the_old_form_would_show_otherwise_is_not_shown(make, look):
    layer = make()
    layer.register_backward_hook(lambda m, gi, go: look(gi) and None)
    with pytest.raises(OptionError, match="register_full_backward_hook"):
        layer(tv.ones(1, 2, requires_grad=True)).sum().backward()


def test_hooks_of_the_old_form_see_outputs_and_replace_nothing_inside():
    layer, seen = tv.nn.Sequential(tv.nn.Linear(2, 2), tv.nn.ReLU()), []
    handle = layer.register_backward_hook(lambda m, gi, go: seen.append(go[0].tolist()))
    layer(tv.ones(1, 2)).sum().backward()
    assert seen == [[[1.0, 1.0]]]
    handle.remove()
    layer.register_backward_hook(lambda m, gi, go: (go[0],))
    with pytest.raises(OptionError, match="what the hook replaces"):
        layer(tv.ones(1, 2)).sum().backward()


@pytest.mark.parametrize("first", ["forward", "backward"])
def test_a_backward_hook_sees_the_gradient_of_what_forward_hooks_made(first):
    def seen(t):
        layer, found = t.nn.Linear(2, 2).double(), []
        with t.no_grad():
            layer.weight.fill_(0.5)
            layer.bias.fill_(0.1)
        register = {
            "forward": lambda: layer.register_forward_hook(lambda m, x, y: y * 0.1),
            "backward": lambda: layer.register_full_backward_hook(lambda m, gi, go: found.append([gi[0], go[0]])),
        }
        for name in (first, *({*register} - {first})):
            register[name]()
        x = t.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=t.float64, requires_grad=True)
        layer(x).pow(2).sum().backward()
        return [g.tolist() for g in (*found[0], x.grad, layer.weight.grad)]

    np.testing.assert_allclose(seen(tv), seen(torch), rtol=1e-12)


def test_a_hook_on_a_parameter_is_called_when_the_walk_has_used_it_for_the_last_time():
    """And not at the end: what it writes down stands where PyTorch's stands, between the hooks of layers."""

    def heard(t):
        t.manual_seed(0)
        shared = t.nn.Conv2d(3, 3, 1)
        model = t.nn.Sequential(t.nn.Conv2d(3, 3, 1), t.nn.BatchNorm2d(3), shared, t.nn.PReLU(3), shared, t.nn.ReLU())
        x, log = t.ones(2, 3, 2, 2).requires_grad_(), []
        for name, p in model.named_parameters():
            p.register_hook(lambda g, name=name: log.append((name, [q.grad is None for q in model.parameters()])))
        for name, layer in model.named_children():
            layer.register_full_backward_hook(lambda m, a, b, name=name: log.append(name))
        x.register_hook(lambda g: log.append("x"))
        model(x).sum().backward()
        heard_first = len(log)
        t.autograd.grad(model(x).sum(), [shared.weight, model[0].weight])
        return log[:heard_first] + [entry[0] for entry in log[heard_first:]]

    assert heard(tv) == heard(torch)
