"""Sequentials put together, names under which a shared weight is found, what load_state_dict takes and says."""

import copy

import numpy as np
import pytest

import tinyvision
from tinyvision import nn
from tinyvision.errors import OptionError

torch = pytest.importorskip("torch")
BOTH = pytest.mark.parametrize("t", [torch, tinyvision], ids=["torch", "tinyvision"])


def a_net(t):
    """Two linear layers with one weight."""
    net = t.nn.Sequential(t.nn.Linear(3, 3), t.nn.ReLU(), t.nn.Linear(3, 3))
    net[2].weight = net[0].weight
    return net


@BOTH
def test_sequentials_are_added_and_repeated(t):
    relu, tanh = t.nn.ReLU(), t.nn.Tanh()
    one, other = t.nn.Sequential(relu), t.nn.Sequential(tanh, relu)
    assert list(one + other) == [relu, tanh, relu]
    assert list(one * 3) == list(3 * one) == [relu] * 3
    more = [tanh]
    assert list(t.nn.ModuleList([relu]) + more) == [relu, tanh]
    kept = one
    one += other
    one *= 2
    assert one is kept
    assert list(one) == [relu, tanh, relu] * 2


@pytest.mark.parametrize("wrong", [lambda: nn.Sequential() + nn.ModuleList(), lambda: nn.Sequential(nn.ReLU()) * 0,
                                   lambda: nn.Sequential(nn.ReLU()) * 1.5, lambda: nn.ModuleList() + 3])  # fmt: skip
def test_what_cannot_be_added_or_repeated_is_refused(wrong):
    with pytest.raises(OptionError, match=r"can be (added|repeated)"):
        wrong()


@BOTH
def test_a_shared_weight_has_all_its_names_if_asked(t):
    net = a_net(t)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    names = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    net.mean, net.again = (t.nn.Buffer(t.zeros(1)),) * 2
    assert len(list(net.named_buffers())) == 1
    assert len(list(net.named_buffers(remove_duplicate=False))) == 2


@BOTH
def test_loading_says_what_fitted(t):
    net = t.nn.Linear(2, 1)
    assert repr(net.load_state_dict(net.state_dict())) == str(net.load_state_dict(net.state_dict()))
    assert f"{net.load_state_dict(net.state_dict())}" == "<All keys matched successfully>"
    result = net.load_state_dict({"weight": t.zeros(1, 2), "more": t.zeros(1)}, strict=False)
    assert repr(result) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['more'])"


@BOTH
def test_assigned_state_is_put_in_the_place_of_the_old(t):
    net = t.nn.Sequential(t.nn.Linear(2, 2), t.nn.BatchNorm1d(2))
    net[0].bias.requires_grad = False
    old = net[0].weight
    state = {name: value.double() for name, value in copy.deepcopy(net.state_dict()).items()}
    net.load_state_dict(state, assign=True)
    assert net[0].weight is not old
    assert net[0].weight.dtype == t.float64
    assert net[0].weight.requires_grad
    assert isinstance(net[0].weight, t.nn.Parameter)
    assert not net[0].bias.requires_grad
    state["0.weight"].fill_(7)
    state["1.running_mean"].fill_(5)
    assert bool((net[0].weight == 7).all())
    assert bool((net[1].running_mean == 5).all())
    assert list(net.state_dict()) == list(state)


@BOTH
def test_parameters_share_the_memory_of_the_vector_they_are_made_from(t):
    net = t.nn.Linear(2, 2)
    before = net.weight.data
    vector = t.arange(6.0)
    t.nn.utils.vector_to_parameters(vector, net.parameters())
    vector[0] = 9
    np.testing.assert_array_equal(net.weight.detach().numpy(), [[9, 1], [2, 3]])
    assert not bool((before == net.weight).all())


@BOTH
def test_modules_are_registered_and_hooks_end_with_their_block(t):
    net, seen = t.nn.Module(), []
    net.register_module("act", t.nn.ReLU())
    with net.act.register_forward_hook(lambda m, x, y: seen.append(1)):
        net.act(t.ones(1))
    net.act(t.ones(1))
    assert seen == [1]


@BOTH
def test_steps_are_seen_before_and_after(t):
    p, seen = t.nn.Parameter(t.ones(1)), []
    optimizer = t.optim.SGD([p], lr=1.0)
    handle = optimizer.register_step_pre_hook(lambda o, given, options: seen.append((o is given[0], p.item(), options)))
    optimizer.register_step_post_hook(lambda o, given, options: seen.append(p.item()))
    p.grad = t.ones(1)
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert seen == [(True, 1.0, {}), 0.0, -1.0]


def test_hooks_that_no_step_would_call_or_obey_are_refused():
    class Own(tinyvision.optim.Optimizer):
        def step(self, closure=None):
            return None

    p = nn.Parameter(tinyvision.ones(1))
    with pytest.raises(OptionError, match="calls no hooks"):
        Own([p], {}).register_step_post_hook(print)
    optimizer = tinyvision.optim.SGD([p], lr=1.0)
    optimizer.register_step_pre_hook(lambda *given: (given, {}))
    with pytest.raises(OptionError, match="must return None"):
        optimizer.step()


@BOTH
def test_what_an_optimizer_does_not_remember_is_no_state_and_parameters_come_first(t):
    p = t.nn.Parameter(t.ones(1))
    optimizer = t.optim.SGD([{"params": [p], "weight_decay": 0.1}], lr=1.0)
    p.grad = t.ones(1)
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}
    assert list(optimizer.param_groups[0])[:3] == ["params", "weight_decay", "lr"]


@BOTH
def test_a_state_is_put_where_it_is_wanted_and_as_it_is(t):
    net = t.nn.Linear(2, 2)
    kept = net.state_dict(keep_vars=True)
    assert kept["weight"] is net.weight
    assert kept["bias"] is net.bias
    there = {"a": 1}
    assert net.state_dict(destination=there, prefix="net.") is there
    assert list(there) == ["a", "net.weight", "net.bias"]
    assert not there["net.weight"].requires_grad
    assert net._get_name() == "Linear"


@BOTH
def test_a_single_number_of_an_old_file_is_a_list_of_one(t):
    norm = t.nn.BatchNorm1d(2)
    norm.load_state_dict({**norm.state_dict(), "num_batches_tracked": t.tensor([7])})
    assert norm.num_batches_tracked.item() == 7


@BOTH
def test_parameters_come_with_their_names(t):
    net = t.nn.Linear(2, 1)
    for given in (net.named_parameters(), [{"params": net.named_parameters(), "lr": 0.5}]):
        optimizer = t.optim.SGD(given, lr=0.5)
        assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
        assert optimizer.param_groups[0]["params"][0] is net.weight
        optimizer.load_state_dict(optimizer.state_dict())
    before = net.bias.item()
    net(t.ones(1, 2)).sum().backward()
    optimizer.step()
    assert net.bias.item() == pytest.approx(before - 0.5)


def test_missing_names_of_modules_are_explained_and_a_users_own_are_not():
    net = nn.Linear(1, 1)
    for name in ("_register_state_dict_hook", "register_load_state_dict_pre_hook", "set_submodule", "share_memory"):
        assert not hasattr(net, name)
        with pytest.raises(AttributeError, match=f"Linear has no {name} here: "):
            getattr(net, name)
    with pytest.raises(AttributeError, match=r"^'Linear' object has no attribute 'lstm'$"):
        net.lstm  # noqa: B018
