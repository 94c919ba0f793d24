"""What layers in the middle put out, by torchvision's names: the same numbers and gradients as watching by hand."""

import copy
import pickle
import threading

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import OptionError, nn
from tinyvision.models import resnet18
from tinyvision.torchvision.models._utils import IntermediateLayerGetter, _make_divisible
from tinyvision.torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names


class Twice(nn.Module):
    """One activation and one block that run twice."""

    def __init__(self):
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.act, self.norm, self.head = nn.ReLU(), nn.BatchNorm2d(4), nn.Linear(4 * 2 * 2, 5)

    def forward(self, x, scale=1.0):
        x = self.act(self.first(x))
        x = self.act(self.second(x) * scale)
        return self.head(self.norm(x).flatten(1))


def pictures(*shape):
    return tv.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def watched(model, names, *inputs):
    """What the layers of these names put out, noted by hooks of one's own."""
    seen = {}
    for name in names:
        note = lambda module, inputs, output, name=name: seen.setdefault(name, []).append(output)  # noqa: E731
        model.get_submodule(name).register_forward_hook(note)
    model(*inputs)
    return seen


@pytest.mark.parametrize("train", [False, True])
def test_resnet_gives_what_its_layers_put_out(train):
    model, x = resnet18(num_classes=5).train(train), pictures(2, 3, 32, 32)
    names = {"layer3": "coarse", "layer1.0.relu_1": "block", "layer2.1.conv1": "conv"}
    seen = watched(copy.deepcopy(model), ["layer3", "layer1.0.relu", "layer2.1.conv1"], x)
    outputs = create_feature_extractor(model, names)(x)
    assert list(outputs) == ["block", "conv", "coarse"]  # in the order in which they ran
    np.testing.assert_array_equal(outputs["block"].detach(), seen["layer1.0.relu"][1].detach())
    np.testing.assert_array_equal(outputs["conv"].detach(), seen["layer2.1.conv1"][0].detach())
    np.testing.assert_array_equal(outputs["coarse"].detach(), seen["layer3"][0].detach())
    outputs["coarse"].sum().backward()
    assert model.conv1.weight.grad is not None
    assert model.layer4[0].conv1.weight.grad is None


def test_it_ends_with_the_last_layer_that_is_wanted():
    model, x = Twice().train(), pictures(2, 3, 9, 9)
    outputs = create_feature_extractor(model, ["act", "act_1"])(x, scale=2.0)
    assert [tuple(y.shape) for y in outputs.values()] == [(2, 4, 7, 7), (2, 4, 5, 5)]
    assert model.norm.num_batches_tracked == 0
    with pytest.raises(tv.ShapeError):
        model(x)  # its head is made for pictures of 6 x 6


def test_it_is_a_network_like_the_other():
    model = Twice()
    extractor = create_feature_extractor(model, ["second"])
    assert list(extractor.state_dict()) == list(model.state_dict())
    assert extractor.first is model.first
    assert not model._forward_hooks
    assert tuple(model(pictures(1, 3, 6, 6)).shape) == (1, 5)
    assert extractor.eval().training is False
    assert model.training
    assert not model.first.training
    twin, x = copy.deepcopy(extractor), pictures(1, 3, 6, 6)
    np.testing.assert_array_equal(twin(x)["second"].detach(), extractor(x)["second"].detach())
    assert type(extractor) is type(create_feature_extractor(model, ["first"]))
    assert not any(m.has_hooks() for m in model.modules())


def test_it_is_pickled_and_made_from_another():
    extractor, x = create_feature_extractor(resnet18(num_classes=3).eval(), ["layer1", "fc"]), pictures(1, 3, 32, 32)
    twin = pickle.loads(pickle.dumps(extractor))
    assert type(twin) is type(extractor)
    for name, y in extractor(x).items():
        np.testing.assert_array_equal(twin(x)[name].detach(), y.detach())
    other = create_feature_extractor(extractor, {"layer2": "two"})
    assert list(other(x)) == ["two"]
    assert list(extractor(x)) == ["layer1", "fc"]


def test_others_in_training_than_in_evaluation():
    extractor = create_feature_extractor(Twice(), train_return_nodes=["first"], eval_return_nodes={"head": "y"})
    x = pictures(1, 3, 6, 6)
    assert list(extractor(x)) == ["first"]
    assert list(extractor.eval()(x)) == ["y"]


def test_names():
    model = Twice()
    assert get_graph_node_names(model) == (["first", "second", "act", "norm", "head"],) * 2
    for names in get_graph_node_names(resnet18()):
        assert names[0] == "conv1"
        assert names[-1] == "fc"
        assert "layer1" not in names
        create_feature_extractor(resnet18(), names)


def test_what_is_no_layers_output_is_refused():
    model, x = Twice(), pictures(1, 3, 6, 6)
    for wrong, said in (
        (["flatten"], "no layer 'flatten'.*there are first, second"),
        ([], "at least one"),
        (["x_1"], "'x_1'"),
    ):
        with pytest.raises(OptionError, match=said):
            create_feature_extractor(model, wrong)
    for options in ({}, {"train_return_nodes": ["act"]}, {"return_nodes": ["act"], "eval_return_nodes": ["act"]}):
        with pytest.raises(OptionError, match="name return_nodes, or else"):
            create_feature_extractor(model, **options)
    with pytest.raises(OptionError, match="not traced"):
        create_feature_extractor(model, ["act"], tracer_kwargs={"leaf_modules": []})
    with pytest.raises(OptionError, match="act did not run 4 times in this forward pass"):
        create_feature_extractor(model, {"act_3": "late"})(x)
    assert not any(m.has_hooks() for m in model.modules())


def test_children_up_to_the_last_that_is_wanted():
    model, x = resnet18().eval(), pictures(1, 3, 32, 32)
    body = IntermediateLayerGetter(model, {"layer1": "low", "layer2": "high"})
    assert list(body) == ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2"]
    assert body.return_layers == {"layer1": "low", "layer2": "high"}
    outputs, others = body(x), create_feature_extractor(model, {"layer1": "low", "layer2": "high"})(x)
    for key in ("low", "high"):
        np.testing.assert_allclose(outputs[key].detach(), others[key].detach(), rtol=1e-4, atol=1e-5)
    with pytest.raises(OptionError, match="'layer9'; there are conv1"):
        IntermediateLayerGetter(model, {"layer9": "x"})
    assert _make_divisible(37, 8) == 40


def test_others_go_on_with_the_layers_meanwhile():
    """A pass of another thread, of the network or of an extractor, is neither ended nor taken for this one."""
    inside, go_on = threading.Event(), threading.Event()

    class Wait(nn.Module):
        def forward(self, x):
            if threading.current_thread().name == "first":
                inside.set()
                assert go_on.wait(600)
            return x

    model = nn.Sequential(Wait(), nn.Linear(2, 2), nn.ReLU()).eval()
    extractor = create_feature_extractor(model, {"1": "f"})
    x, other, found = tv.ones(1, 2), tv.full((1, 2), 100.0), []
    thread = threading.Thread(target=lambda: found.append(extractor(x)["f"]), name="first")
    thread.start()
    assert inside.wait(600)
    np.testing.assert_array_equal(model(other).detach(), model[1](other).relu().detach())
    np.testing.assert_array_equal(extractor(other)["f"].detach(), model[1](other).detach())
    go_on.set()
    thread.join()
    np.testing.assert_array_equal(found[0].detach(), model[1](x).detach())


def test_a_network_that_catches_whatever_ends_it():
    class Stubborn(nn.Module):
        def __init__(self):
            self.first = nn.Linear(2, 2)

        def forward(self, x):
            try:
                return self.first(x)
            except BaseException:  # as some do
                return None

    x, model = tv.ones(1, 2), Stubborn()
    np.testing.assert_array_equal(create_feature_extractor(model, ["first"])(x)["first"].detach(), model(x).detach())
