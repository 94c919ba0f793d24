"""U-Net: sizes that do not divide, the encoder beside torchvision's ResNet, its ONNX file, its gradient."""

import numpy as np
import pytest
import torch
from torchvision_oracle import torchvision

import tinyvision as tv
from tinyvision import models, random
from tinyvision.errors import OptionError, ShapeError
from tinyvision.interop import export


def made(*args, **options):
    with random.use(random.stream(0, "unet")):
        return models.UNet(*args, **options)


@pytest.mark.parametrize("size", [(16, 24), (17, 31), (8, 8)])
def test_scores_have_the_size_of_the_image(size):
    network = made(1, 3, width=4)
    assert network(tv.tensor(np.zeros((2, 1, *size), np.float32))).shape == (2, 3, *size)


def test_the_usual_width_has_a_quarter_of_a_million_parameters():
    assert sum(p.numel() for p in made(1, 2).parameters()) == 253_646


def test_every_parameter_gets_a_gradient_and_pytorch_agrees_with_the_first():
    network = made(2, 3, width=3, depth=2).double()
    x = tv.tensor(np.random.default_rng(0).normal(size=(2, 2, 12, 8)))
    dy = np.random.default_rng(1).normal(size=(2, 3, 12, 8))
    (network(x) * tv.tensor(dy)).sum().backward()
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in network.parameters() if "0.bias" not in repr(p))
    weight, step = network.encoder.stages[0][0][0].weight, 1e-6
    gradient = weight.grad.numpy()[1, 1, 0, 2]
    losses = []
    for sign in (1, -1):
        weight.array[1, 1, 0, 2] += sign * step
        losses.append((network(x) * tv.tensor(dy)).sum().item())
        weight.array[1, 1, 0, 2] -= sign * step
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient, rel=1e-5)


@pytest.mark.parametrize("backbone", [None, "resnet18"])
def test_the_onnx_file_computes_the_same(tmp_path, backbone):
    ort = pytest.importorskip("onnxruntime")
    network = made(3, 2, width=4, backbone=backbone).eval()
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 32)).astype(np.float32)
    export(network, x[:1], tmp_path / "unet.onnx")
    session = ort.InferenceSession(str(tmp_path / "unet.onnx"), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    with tv.no_grad():
        ours = network(tv.tensor(x)).numpy()
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(ours).max()


def test_the_backbone_is_torchvisions(tmp_path):
    network = made(3, 2, width=8, backbone="resnet18").eval()
    theirs = torchvision.models.resnet18().eval()
    theirs.load_state_dict({**theirs.state_dict(), **{
        name: torch.tensor(value.numpy()) for name, value in network.encoder.body.state_dict().items()}})  # fmt: skip
    x = np.random.default_rng(0).normal(size=(1, 3, 70, 64)).astype(np.float32)
    with tv.no_grad():
        ours = [f.numpy() for f in network.encoder(tv.tensor(x))]
        assert network(tv.tensor(x)).shape == (1, 2, 70, 64)
    with torch.no_grad():
        y = theirs.relu(theirs.bn1(theirs.conv1(torch.tensor(x))))
        expected, y = [y], theirs.maxpool(y)
        for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            y = stage(y)
            expected.append(y)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4 * float(other.abs().max()))


def test_what_does_not_fit_is_said():
    with pytest.raises(ShapeError, match=r"must be \(N, 1, H, W\)"):
        made(1, 2)(tv.tensor(np.zeros((1, 3, 16, 16), np.float32)))
    with pytest.raises(ShapeError, match="at least 8 pixels"):
        made(1, 2)(tv.tensor(np.zeros((1, 1, 16, 7), np.float32)))
    for options, message in (
        ({"width": 0}, "width must be an integer from 1"),
        ({"backbone": "vgg16"}, "backbone must be resnet18"),
        ({"weights": "DEFAULT"}, "weights are a backbone's"),
        ({"in_channels": 1, "backbone": "resnet18"}, "takes 3 channels"),
    ):
        with pytest.raises(OptionError, match=message):
            models.UNet(**options)
