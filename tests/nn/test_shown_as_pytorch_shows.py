"""Layers, optimizers and devices are printed as PyTorch prints them."""

import pytest

import tinyvision
from tinyvision.device_names import Device

torch = pytest.importorskip("torch")

LAYERS = [
    *(lambda nn, name=name: getattr(nn, name)(3) for name in ("BatchNorm1d", "BatchNorm2d", "InstanceNorm2d")),
    lambda nn: nn.BatchNorm2d(3, affine=False), lambda nn: nn.BatchNorm1d(3, momentum=None, track_running_stats=False),
    lambda nn: nn.InstanceNorm1d(3, affine=True), lambda nn: nn.GroupNorm(1, 3), lambda nn: nn.LayerNorm(3, bias=False),
    lambda nn: nn.Conv2d(2, 3, 3, padding="same"), lambda nn: nn.Conv2d(2, 3, (2, 4), padding="same", dilation=2),
    lambda nn: nn.Conv2d(2, 3, 3, padding="valid"), lambda nn: nn.Conv2d(2, 3, 3, padding=(1, 2)),
    lambda nn: nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", groups=2, bias=False),
    lambda nn: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
    lambda nn: nn.Linear(2, 3, bias=False),
    lambda nn: nn.MaxPool2d(3, 2, 1, ceil_mode=True), lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"),
    lambda nn: nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Flatten(), nn.PReLU(), nn.Softmax(dim=1)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_layers(number):
    assert repr(LAYERS[number](tinyvision.nn)) == repr(LAYERS[number](torch.nn))


# What of PyTorch's options is about speed, or is refused here.
NOT_HERE = ("foreach", "fused", "capturable", "differentiable")


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_optimizers(name):
    shown = []
    for t in (torch, tinyvision):
        one, other = (t.nn.Parameter(t.ones(2)) for _ in range(2))
        optimizer = getattr(t.optim, name)([{"params": [one]}, {"params": [other], "lr": 0.5, "name": "head"}], lr=0.1)
        lines = repr(optimizer).split("\n")
        shown.append([line for line in lines if line.split(":")[0].strip() not in NOT_HERE])
    assert shown[0] == shown[1]


def test_devices():
    for place in (("cpu",), ("cuda", 1)):
        assert repr(Device(*place)) == repr(torch.device(*place))
