"""Modules: the tree of parameters as PyTorch lists it, modes, freezing, moving, state dicts, hooks."""

import collections
import copy
import gc
import weakref

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import DeviceError, DtypeError, GraphError, OptionError, WeightsError
from tinyvision.nn.module import numpy_state
from tinyvision.tensors.taped import conv2d

torch = pytest.importorskip("torch")


def network(library, tensor):
    """A network with every kind of ownership, in this library or in PyTorch's."""
    nn = library

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.scale = nn.Parameter(tensor([2.0]))
            self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(width)
            self.register_buffer("offset", tensor([0.5]))
            self.register_buffer("scratch", tensor([7.0]), persistent=False)
            self.skip = None

        def forward(self, x):
            return self.bn(self.conv(x)) * self.scale + self.offset

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 3)
            self.body = nn.Sequential(Block(4), nn.ReLU(), Block(4))
            self.temperature = nn.Parameter(tensor([1.5]))
            self.stem = nn.Conv2d(3, 4, 3)
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.again = self.body[0]
            self.tied = nn.Linear(4, 3)
            self.tied.weight = self.head.weight
            self.more = nn.ModuleList([nn.Linear(2, 2), nn.Dropout(0.5)])
            self.named = nn.ModuleDict({"a": nn.Linear(1, 2), "b": nn.Identity()})

        def forward(self, x):
            x = self.pool(self.body(self.stem(x))).flatten(1)
            return (self.head(x) + self.tied(x)) * self.temperature

    return Network()


@pytest.fixture
def pair():
    ours, theirs = network(nn, lambda v: tv.tensor(v)).double(), network(torch.nn, torch.tensor).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_the_tree_is_listed_as_in_pytorch(pair):
    ours, theirs = pair
    for list_of in (
        lambda m: [name for name, _ in m.named_modules()],
        lambda m: [name for name, _ in m.named_modules(remove_duplicate=False)],
        lambda m: [name for name, _ in m.named_children()],
        lambda m: [type(child).__name__ for child in m.children()],
        lambda m: [type(module).__name__ for module in m.modules()],
        lambda m: [(name, tuple(p.shape)) for name, p in m.named_parameters()],
        lambda m: [name for name, _ in m.named_parameters("p", recurse=False)],
        lambda m: [tuple(p.shape) for p in m.parameters()],
        lambda m: [tuple(p.shape) for p in m.body.parameters(recurse=False)],
        lambda m: [name for name, _ in m.named_buffers()],
        lambda m: [tuple(b.shape) for b in m.buffers()],
        lambda m: [(name, tuple(value.shape)) for name, value in m.state_dict().items()],
        lambda m: list(m.get_submodule("body.2").state_dict()),
        lambda m: [type(next(m.children())).__name__, type(next(iter(m.modules()))).__name__],
    ):
        assert list_of(ours) == list_of(theirs)
    visited = {}
    for library, model in (("ours", ours), ("theirs", theirs)):
        seen = visited.setdefault(library, [])
        assert model.apply(lambda m, seen=seen: seen.append(type(m).__name__)) is model
    assert visited["ours"] == visited["theirs"]


def test_it_prints_as_in_pytorch(pair):
    ours, theirs = map(repr, pair)
    assert ours == theirs


def test_values_and_gradients_of_all_that_is_shared(pair):
    ours, theirs = pair
    x = np.random.default_rng(0).normal(size=(4, 3, 6, 7))
    y, expected = ours(tv.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-10)  # float64, rounding only
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-8, atol=1e-10)


def test_train_and_eval_reach_everything(pair):
    ours, _ = pair
    assert all(module.training for module in ours.modules())
    assert ours.eval() is ours
    assert not any(module.training for module in ours.modules())
    assert all(module.training for module in ours.train().modules())
    with pytest.raises(OptionError, match="train"):
        ours.train("yes")


def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 2),
    )


def test_frozen_layers_cost_no_weight_gradients_and_stay_frozen(monkeypatch):
    model, x = small(), tv.randn(2, 3, 8, 8)
    needs = []
    monkeypatch.setattr(
        conv2d, "backward", lambda dy, cache, n, real=conv2d.backward: needs.append(n) or real(dy, cache, n)
    )
    model(x).sum().backward()
    assert needs == [(True, True, True), (False, True, True)]  # nobody reads a gradient of the image
    model.zero_grad()
    model[:5].freeze()
    assert model.train() is model
    assert [m.training for m in model] == [False] * 5 + [True] * 3
    before = numpy_state(model)
    needs.clear()
    loss = model(x).sum()
    loss.backward()
    assert needs == []  # not even recorded
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["7.weight", "7.bias"]
    for name, value in numpy_state(model).items():
        np.testing.assert_array_equal(value, before[name])
    model[:5].unfreeze()
    model.train()
    model[1].freeze()  # in the middle: gradients pass through, statistics rest
    model(x).sum().backward()
    assert needs == [(True, True, True), (False, True, True)]
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert model[1].weight.grad is None
    np.testing.assert_array_equal(model[1].running_mean.numpy(), before["1.running_mean"])
    assert (model[4].running_mean.numpy() != before["4.running_mean"]).all()
    assert model[1].num_batches_tracked.item() == before["1.num_batches_tracked"] == 1


def test_requires_grad_alone_leaves_the_modes(pair):
    ours, _ = pair
    for p in ours.parameters():
        p.requires_grad = False
    ours.head.weight.requires_grad_()
    ours(tv.tensor(np.ones((2, 3, 6, 6)))).sum().backward()
    assert [name for name, p in ours.named_parameters() if p.grad is not None] == ["head.weight"]
    assert ours.body[0].bn.num_batches_tracked.item() == 1


def test_moving_and_converting_keep_every_parameter_itself():
    model = small()
    parameters = list(model.parameters())
    model(tv.randn(2, 3, 8, 8)).sum().backward()
    for convert, dtype in (
        (lambda: model.double(), "float64"),
        (lambda: model.float(), "float32"),
        (lambda: model.to(np.float64), "float64"),
        (lambda: model.to("cpu", dtype=tv.float32), "float32"),
        (lambda: model.to(tv.ones(1, dtype=np.float64)), "float64"),
        (lambda: model.to(device=tv.device("cpu"), dtype="float32"), "float32"),
    ):
        assert convert() is model
        assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
        assert {p.dtype.name for p in parameters} == {p.grad.dtype.name for p in parameters} == {dtype}
        assert model[1].running_var.dtype == dtype
        assert model[1].num_batches_tracked.dtype == np.int64
    for target, error in (("gpu", DtypeError), (np.int32, DtypeError), (None, DtypeError), ("cuda:x", DeviceError)):
        with pytest.raises(error):
            model.to(target)
    with pytest.raises(DeviceError):
        model.to(device="tpu")


def test_state_dicts_share_memory_and_copies_do_not():
    model = small()
    state, twin = model.state_dict(), copy.deepcopy(model)
    saved = copy.deepcopy(state)
    with tv.no_grad():
        model[0].weight.fill_(7)
    assert (state["0.weight"].numpy() == 7).all()
    assert (saved["0.weight"].numpy() != 7).all()
    assert (twin[0].weight.detach().numpy() != 7).all()
    assert not state["0.weight"].requires_grad
    assert model.load_state_dict(saved) == ([], [])
    np.testing.assert_array_equal(model[0].weight.detach().numpy(), twin[0].weight.detach().numpy())
    assert isinstance(twin[0].weight, nn.Parameter)
    assert twin[0].weight.array.strides == model[0].weight.array.strides


def test_a_state_dict_that_does_not_fit_is_described_whole_and_changes_nothing():
    model = small()
    before = numpy_state(model)
    state = {name: value + 1 for name, value in before.items()}
    state["0.weight"], state["7.bias"] = state["0.weight"][:, :2], state["7.bias"][None]
    state["1.bias"] = "text"
    del state["3.weight"], state["4.running_var"]
    state["extra"], state["7.scale"] = np.ones(2), np.ones(3)
    with pytest.raises(WeightsError) as error:
        model.load_state_dict(state)
    for part in (
        "missing (2)",
        "3.weight",
        "4.running_var",
        "unexpected (2)",
        "extra",
        "7.scale",
        "not fitting (3)",
        "0.weight: the state dict has (4, 2, 3, 3), the model (4, 3, 3, 3)",
        "7.bias",
        "1.bias: not an array",
    ):
        assert part in str(error.value)
    with pytest.raises(WeightsError) as error:
        model.load_state_dict(state, strict=False)
    assert "missing" not in str(error.value)
    for name, value in numpy_state(model).items():
        np.testing.assert_array_equal(value, before[name])
    for name in ("0.weight", "7.bias", "1.bias"):
        del state[name]
    result = model.load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.weight", "1.bias", "3.weight", "4.running_var", "7.bias"]
    assert result.unexpected_keys == ["extra", "7.scale"]
    np.testing.assert_array_equal(model[7].weight.detach().numpy(), before["7.weight"] + 1)
    with pytest.raises(WeightsError, match="list"):
        model.load_state_dict([1, 2])


def test_old_files_without_num_batches_tracked_load():
    model = small()
    state = {name: value for name, value in numpy_state(model).items() if "num_batches" not in name}
    assert model.load_state_dict(state) == ([], [])


def test_state_of_other_kinds():
    model = nn.Linear(2, 1)
    model.load_state_dict({"weight": [[1, 2]], "bias": torch.tensor([3.0], dtype=torch.float16, requires_grad=True)})
    assert model.weight.tolist() == [[1, 2]]
    assert model.bias.tolist() == [3]
    assert model.weight.dtype == np.float32


def test_a_plain_tensor_does_not_push_out_what_is_registered():
    layer = nn.BatchNorm2d(2)
    layer.running_mean = layer.running_mean * 0.5 + 1
    assert isinstance(layer.running_mean, nn.Buffer)
    assert layer.state_dict()["running_mean"].tolist() == [1, 1]
    with pytest.raises(OptionError, match=r"BatchNorm2d.weight is a Parameter"):
        layer.weight = tv.ones(2)
    layer.weight = nn.Parameter(tv.ones(2) * 3)
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_names_that_cannot_be():
    module = nn.Module()
    for name in ("", "a.b", 3, "forward", "training"):
        with pytest.raises(OptionError):
            module.add_module(name, nn.ReLU())
    with pytest.raises(OptionError, match="expected a module"):
        module.add_module("a", 3)
    with pytest.raises(OptionError, match="Parameter or None"):
        module.register_parameter("w", tv.ones(2))
    module.register_parameter("w", None)
    module.register_parameter("w", nn.Parameter(tv.ones(2)))
    with pytest.raises(OptionError, match=r"has no module 'a\.b'"):
        module.get_submodule("a.b")
    with pytest.raises(OptionError, match="does not define forward"):
        module(1)


def test_zero_grad():
    model = nn.Linear(2, 1)
    model(tv.ones(3, 2)).sum().backward()
    first = model.weight.grad
    model.zero_grad(set_to_none=False)
    assert model.weight.grad is first
    assert first.tolist() == [[0, 0]]
    model.zero_grad()
    assert model.weight.grad is None


# -- hooks


def test_forward_hooks_see_and_replace():
    layer, calls = nn.Linear(2, 2), []
    x = tv.ones(1, 2)
    before = layer.register_forward_pre_hook(lambda m, inputs: calls.append(("pre", m, inputs)))
    after = layer.register_forward_hook(lambda m, inputs, output: calls.append(("post", m, inputs, output)))
    y = layer(x)
    assert [c[0] for c in calls] == ["pre", "post"]
    assert calls[0][1:] == (layer, (x,))
    assert calls[1][2] == (x,)
    assert calls[1][3] is y
    before.remove()
    before.remove()
    after.remove()
    layer(x)
    assert len(calls) == 2
    layer.register_forward_pre_hook(lambda m, inputs: inputs[0] * 2)
    layer.register_forward_hook(lambda m, inputs, output: output + 1)
    np.testing.assert_allclose(
        layer(x).detach().numpy(), 2 * y.detach().numpy() - layer.bias.detach().numpy() + 1, rtol=1e-6
    )


class Two:
    """A module of two inputs and two outputs, in this library or in PyTorch's."""

    @staticmethod
    def of(library):
        class Both(library.Module):
            def __init__(self):
                super().__init__()
                self.one = library.Linear(3, 2)

            def forward(self, a, b):
                y = self.one(a)
                return y * b, y + b

        return Both()


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("inputs_need", [(True, True), (True, False), (False, True), (False, False)], ids=str)
def test_backward_hooks_see_what_pytorchs_see(inputs_need):
    ours, theirs = Two.of(nn).double(), Two.of(torch.nn).double()
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    a, b, u, v = (rng.normal(size=s) for s in ((4, 3), (4, 2), (4, 2), (4, 2)))
    seen = {}
    for library, model, tensor in (("ours", ours, tv.tensor), ("theirs", theirs, torch.tensor)):
        model.register_full_backward_hook(lambda m, gi, go, key=library: seen.setdefault(key, []).append((gi, go)))
        x, y = (tensor(value, requires_grad=need) for value, need in zip((a, b), inputs_need, strict=True))
        p, q = model(x, y)
        ((p * tensor(u)).sum() + (q * tensor(v)).sum()).backward()
    assert len(seen["ours"]) == len(seen["theirs"]) == 1
    # PyTorch works out all input gradients as soon as one is needed; here the others are None.
    assert tuple(g is not None for g in seen["ours"][0][0]) == inputs_need
    for mine, other in zip(seen["ours"][0], seen["theirs"][0], strict=True):
        for g, h in zip(mine, other, strict=True):
            if g is not None:
                np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-12)


def test_backward_hooks_on_layers_that_hand_their_input_on():
    for layer in (nn.Identity(), nn.Dropout(0.5).eval()):
        seen = []
        layer.register_full_backward_hook(lambda m, gi, go, seen=seen: seen.append((gi, go)))
        x = tv.ones(2, requires_grad=True)
        (layer(x) * 3).sum().backward()
        assert [[g.tolist() for g in part] for part in seen[0]] == [[[3, 3]], [[3, 3]]]
        assert x.grad.tolist() == [3, 3]


def test_backward_hooks_replace_the_gradient_and_can_be_removed():
    layer, x = nn.ReLU(), tv.ones(2, requires_grad=True)
    handle = layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    layer(x).sum().backward()
    assert x.grad.tolist() == [10, 10]
    handle.remove()
    layer(x).sum().backward()
    assert x.grad.tolist() == [11, 11]
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(OptionError, match="2 gradients for 1"):
        layer(x).sum().backward()
    two = Two.of(nn)
    two.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[1] * 2))
    with pytest.raises(OptionError, match="first input only"):
        two(tv.ones(1, 3, requires_grad=True), tv.ones(1, 2, requires_grad=True))[0].sum().backward()


def test_backward_hooks_leave_no_cycles():
    layer, x = nn.Linear(2, 2), tv.ones(1, 2, requires_grad=True)
    layer.register_full_backward_hook(lambda m, gi, go: None)
    gc.disable()
    try:
        y = layer(x)
        reference = weakref.ref(y)
        del y
        assert reference() is None
    finally:
        gc.enable()


def test_hooks_are_quiet_under_no_grad():
    layer, seen = nn.Linear(2, 2), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(gi))
    with tv.no_grad():
        assert not layer(tv.ones(1, 2, requires_grad=True)).requires_grad
    assert seen == []


def test_hooks_and_parts_are_dicts_that_can_be_emptied_and_replaced():
    counts = []
    for library in (torch, tv):
        nn, x = library.nn, library.ones(1, 2, requires_grad=True)
        model, calls = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), []
        model[0].register_forward_pre_hook(lambda m, i, calls=calls: calls.append("before"))
        model[0].register_forward_hook(lambda m, i, o, calls=calls: calls.append("after"))
        model[0].register_full_backward_hook(lambda m, gi, go, calls=calls: calls.append("back"))
        model(x).sum().backward()
        counts.append([*calls, len(model[0]._forward_hooks), len(model[1]._forward_hooks)])
        model[0]._forward_hooks.clear()
        model[0]._forward_pre_hooks = collections.OrderedDict()
        model[0]._backward_hooks = collections.OrderedDict()
        model[1]._forward_hooks[7] = lambda m, i, o, calls=calls: calls.append("put in")
        model(x).sum().backward()
        model._modules = collections.OrderedDict(first=model[1])
        model(x)
        counts.append([*calls, list(dict(model.named_children()))])
    assert counts[:2] == counts[2:]


def test_attributes_by_pytorchs_method():
    layer = nn.Linear(2, 3)
    assert layer.__getattr__("weight") is layer.weight
    assert not hasattr(layer, "wait")
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wait'"):
        layer.wait  # noqa: B018


def test_a_model_that_is_converted_after_a_forward_pass_is_not_gone_back_through():
    model = nn.Linear(3, 2)
    loss = model(tv.randn(4, 3)).sum()
    model.double()
    with pytest.raises(GraphError, match="changed in place after the call"):
        loss.backward()


@pytest.mark.parametrize(
    ("shapes", "hints"),
    [
        ({"2.weight": (5, 3), "2.bias": (5,)}, True),
        ({"2.bias": (5,)}, False),  # the classes are as many as they should be
        ({"2.weight": (5, 4), "2.bias": (5,)}, False),  # something else differs, too
        ({"1.running_mean": (5,)}, False),
        ({"0.weight": (7, 3)}, False),  # rows, and of the weight alone, but not of the last layer
    ],
)
def test_only_another_number_of_outputs_of_the_last_layer_is_asked_about_classes(shapes, hints):
    model = nn.Sequential(nn.Embedding(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    state = {**numpy_state(model), **{name: np.zeros(shape) for name, shape in shapes.items()}}
    with pytest.raises(WeightsError, match="not fitting") as caught:
        model.load_state_dict(state)
    assert ("The last layer, 2, gives 2 here and 5 in the state dict" in str(caught.value)) is hints


def test_what_was_done_to_make_a_checkpoint_fit_is_said():
    model = nn.Linear(3, 2)
    wrapped = {"state_dict": {f"module.{name}": array for name, array in numpy_state(model).items()}}
    with pytest.warns(UserWarning, match="took its entry 'state_dict' and removed the prefix 'module.' from 2 names"):
        model.load_state_dict(wrapped)


def test_a_copied_model_begins_without_gradients():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model(tv.ones(4, 2)).sum().backward()
    twin = copy.deepcopy(model)
    assert [p.grad for p in twin.parameters()] == [None] * 4
    assert all(p.grad is not None for p in model.parameters())
    assert [type(p) for p in twin.parameters()] == [nn.Parameter] * 4


def test_modules_are_put_into_training_by_their_own_method():
    class Body(nn.Module):
        def __init__(self):
            self.bn = nn.BatchNorm1d(2)

        def train(self, mode=True):
            super().train(mode)
            self.bn.eval()
            return self

    net = nn.Sequential(nn.Sequential(Body()), nn.Dropout())
    assert net.train() is net
    assert not net[0][0].bn.training
    assert net[0][0].training
    assert net[1].training
    assert not any(m.training for m in net.eval().modules())


def test_options_that_are_changed_later_count():
    """Each layer against one that was made so."""
    x = tv.randn(2, 2, 6, 6)
    conv = nn.Conv2d(2, 2, 3, padding=1)
    for name, value, made in (
        ("padding_mode", "circular", {"padding": 1, "padding_mode": "circular"}),
        ("padding", 2, {"padding": 2, "padding_mode": "circular"}),
        ("padding_mode", "zeros", {"padding": 2}), ("stride", 2, {"padding": 2, "stride": 2}),
        ("padding", (0, 1), {"padding": (0, 1), "stride": 2}), ("dilation", (1, 2), {
            "padding": (0, 1), "stride": 2, "dilation": (1, 2)
        }),
    ):  # fmt: skip
        setattr(conv, name, value)
        twin = nn.Conv2d(2, 2, 3, **made)
        twin.load_state_dict(conv.state_dict())
        np.testing.assert_array_equal(conv(x).detach(), twin(x).detach())
        assert repr(conv) == repr(twin)
    conv.stride, conv.dilation, conv.padding = 1, 1, "same"
    assert conv(x).shape == x.shape
    doubled = nn.functional.conv2d(x, conv.weight * 2, padding=1)
    np.testing.assert_array_equal(conv._conv_forward(x, conv.weight * 2, None).detach(), doubled.detach())
    with pytest.raises(OptionError, match="padding_mode must be one of"):
        conv.padding_mode = "mirror"
    with pytest.raises(OptionError, match="stride"):
        conv.stride = 0


def test_a_batch_norm_whose_tracking_ends_later_like_torch():
    x = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    found = []
    for engine in (tv, torch):
        norm = engine.nn.BatchNorm2d(2).double()
        norm(engine.tensor(x) * 3 + 1)
        norm.track_running_stats = False
        conv = engine.nn.Sequential(engine.nn.Conv2d(2, 2, 1), norm).double()
        with engine.no_grad():
            conv[0].weight[...] = engine.tensor(np.eye(2)[:, :, None, None])
            conv[0].bias[...] = engine.tensor(np.zeros(2))
            outputs = [conv(engine.tensor(x)), conv.eval()(engine.tensor(x))]
            norm.weight = norm.bias = None
            outputs += [conv(engine.tensor(x)), norm.running_mean]
        found.append([np.asarray(y) for y in outputs])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["get_extra_state", "_load_from_state_dict"])
def test_state_that_would_be_lost_is_refused(name):
    owner = type("Counts", (nn.Module,), {name: lambda self, *arguments: {}})
    model = nn.Sequential(nn.Linear(2, 2), owner())
    for use in (model.state_dict, lambda: model.load_state_dict(nn.Sequential(nn.Linear(2, 2)).state_dict())):
        with pytest.raises(WeightsError, match=rf"Counts\.{name} is not called here"):
            use()


def test_gradients_are_converted_as_the_objects_that_they_are():
    """Whoever holds one sees it converted, and parameters that share one go on sharing it, as in PyTorch."""

    def both(t):
        one, other = t.nn.Linear(2, 2, bias=False), t.nn.Linear(2, 2, bias=False)
        one.weight.grad = other.weight.grad = held = t.ones(2, 2)
        model = t.nn.Sequential(one, other).double()
        same = [p.grad is held for p in model.parameters()]
        return same, str(held.dtype), [str(p.grad.dtype) for p in model.float().parameters()]

    assert both(tv) == both(torch)


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("begin", ["registered as None", "set to None"])
def test_a_buffer_that_is_none_so_far_is_one_once_it_has_numbers(begin, persistent):
    named = []
    for t in (tv, torch):
        module = t.nn.Module()
        module.register_buffer("queue", None if begin == "registered as None" else t.ones(2), persistent=persistent)
        module.queue = None
        assert list(module.state_dict()) == []
        module.queue = t.zeros(3)
        module.plain = t.zeros(3)
        named.append(([name for name, _ in module.named_buffers()], list(module.state_dict())))
        module = copy.deepcopy(module)
        module.queue = t.ones(4)
        named[-1] += ([name for name, _ in module.named_buffers()], module.queue.tolist())
        if t is tv:
            module.double()
            assert module.queue.dtype == t.float64
            assert module.plain.dtype == t.float32
    assert named[0] == named[1]
    assert named[0][0] == ["queue"]
