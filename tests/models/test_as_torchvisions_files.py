"""What scripts take from the files of torchvision's models: blocks, their makers, weights, and what they override."""

import importlib

import numpy as np
import pytest
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision import models

FILES = [
    "alexnet", "convnext", "densenet", "efficientnet", "googlenet", "inception", "mobilenet", "mobilenetv2",
    "mobilenetv3", "resnet", "shufflenetv2", "squeezenet", "vgg",
]  # fmt: skip
# What each engine makes from its own file, and the shape of a picture for it.
PARTS = {
    "resnet": [
        ("conv3x3(3, 6, 2, 3, 2)", (3, 9, 8)),
        ("conv1x1(3, 5, stride=2)", (3, 9, 8)),
        ("ResNet(BasicBlock, [1, 1, 1, 1], 4)._make_layer(Bottleneck, 8, 2, stride=2)", (512, 5, 6)),
        ("ResNet(Bottleneck, [1, 1, 1, 1], 4)._make_layer(Bottleneck, 8, 2, 2, True)", (2048, 5, 6)),
    ],
    "vgg": [
        ("make_layers(cfgs['A'])", (3, 32, 33)),
        ("make_layers([4, 'M', 6, 6, 'M'], batch_norm=True)", (3, 9, 8)),
    ],
    "densenet": [
        ("_DenseLayer(num_input_features=6, growth_rate=4, bn_size=2, drop_rate=0.0)", (6, 5, 6)),
        ("_DenseBlock(num_layers=3, num_input_features=6, bn_size=2, growth_rate=4, drop_rate=0.0)", (6, 5, 6)),
        ("_Transition(num_input_features=6, num_output_features=3)", (6, 5, 6)),
    ],
}


@pytest.mark.parametrize(("file", "part", "shape"), [(f, *part) for f, parts in PARTS.items() for part in parts])
def test_a_part_of_a_network(file, part, shape):
    rng = np.random.default_rng(0)
    pictures, state, found = rng.standard_normal((2, *shape)), {}, []
    for engine, room in ((torch, torchvision.models), (tv, tv.torchvision.models)):
        layer = eval(part, vars(importlib.import_module(f"{room.__name__}.{file}"))).double()
        if not state:
            state = {n: rng.standard_normal(v.shape) / 4 for n, v in layer.state_dict().items() if v.ndim}
        assert {n for n, v in layer.state_dict().items() if v.ndim} == set(state)
        layer.load_state_dict({n: engine.tensor(v) for n, v in state.items() if "running_var" not in n}, strict=False)
        x = engine.tensor(pictures, requires_grad=True)
        y = layer(x)
        (y * engine.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)))).sum().backward()
        found.append([y.detach().numpy(), x.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11 * max(1, np.abs(a).max()))


def test_every_file_has_the_weights_of_its_networks_and_says_what_it_lacks():
    for file in FILES:
        theirs = importlib.import_module(f"torchvision.models.{file}")
        ours = importlib.import_module(f"tinyvision.torchvision.models.{file}")
        for name in vars(theirs):
            if name.endswith("_Weights") and hasattr(models, name):
                assert getattr(ours, name) is getattr(models, name)
    from tinyvision.torchvision.models.mobilenetv2 import _make_divisible

    assert _make_divisible(37, 8) == 40
    with pytest.raises(ImportError, match=r"torchvision.models.resnet has no model_urls here; instead: .*\.url"):
        from tinyvision.torchvision.models.resnet import model_urls  # noqa: F401
    with pytest.raises(ImportError, match=r"no BasicBlok here; there are BasicBlock, .*; did you mean BasicBlock\?"):
        from tinyvision.torchvision.models.resnet import BasicBlok  # noqa: F401


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0"]
)
def test_a_subclass_overrides_forward_impl(name):
    """torchvision's forward hands on to it, so that a subclass that returns something else is heard."""
    model = models.get_model(name)

    class Mean(type(model)):
        def _forward_impl(self, x):
            return x.mean((1, 2, 3))

    model.__class__ = Mean
    x = tv.ones(2, 3, 32, 32)
    np.testing.assert_array_equal(model(x), [1, 1])
